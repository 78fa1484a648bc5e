// Tensor cores and asynchronous copies, as functions.
//
// From compute capability 8.0 each is one instruction; below, shuffles and plain copies give the same
// result. Fragments are those of PTX. With g = lane / 4, t = lane % 4, and for bf16 each pair in one
// register (the lower column in the lower half):
//
//   tf32  A 16 x 8    a[0..3] = A[g][t], A[g+8][t], A[g][t+4], A[g+8][t+4]
//         B  8 x 8    b[0..1] = B[t][g], B[t+4][g]
//   bf16  A 16 x 16   a[0..3] = A[g][2t, 2t+1], A[g+8][..], A[g][2t+8, 2t+9], A[g+8][..]
//         B 16 x 8    b[0..1] = B[2t, 2t+1][g], B[2t+8, 2t+9][g]
//   both  D 16 x 8    d[0..3] = D[g][2t], D[g][2t+1], D[g+8][2t], D[g+8][2t+1]
//
// All 32 lanes of a warp must call the mma functions together.

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
#define TENSOR_CORES 1
#else
#define TENSOR_CORES 0
#endif

// x rounded to TF32 (10 bits of mantissa), ties away from zero.
__device__ inline unsigned to_tf32(float x) {
#if TENSOR_CORES
    unsigned y;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
    return y;
#else
    unsigned bits = __float_as_uint(x);
    bool finite = (bits & 0x7f800000) != 0x7f800000;
    return finite ? (bits + 0x1000) & ~0x1fffu : bits;
#endif
}

// x rounded to BF16 (7 bits of mantissa), ties to even, in the lower 16 bits.
__device__ inline unsigned to_bf16(float x) {
    unsigned bits = __float_as_uint(x);
    if (x != x) return 0x7fff;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// Two numbers as the halves of one BF16 register.
__device__ inline unsigned to_bf16x2(float low, float high) {
#if TENSOR_CORES
    unsigned y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
#else
    return to_bf16(low) | to_bf16(high) << 16;
#endif
}

#if !TENSOR_CORES
__device__ inline int lane_id() {
    return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32;
}

// d += the outer product of one column of A (rows g and g + 8) and one row of B (columns 2t, 2t+1).
__device__ inline void add_products(float d[4], float a0, float a8, float b0, float b1) {
    d[0] += a0 * b0;
    d[1] += a0 * b1;
    d[2] += a8 * b0;
    d[3] += a8 * b1;
}

__device__ inline float from_tf32(unsigned x) { return __uint_as_float(x & ~0x1fffu); }
__device__ inline float low_bf16(unsigned x) { return __uint_as_float(x << 16); }
__device__ inline float high_bf16(unsigned x) { return __uint_as_float(x & 0xffff0000u); }
#endif

// d += A B for A 16 x 8 and B 8 x 8 of TF32 (see to_tf32; lower bits are ignored).
__device__ inline void mma_m16n8k8_tf32(float d[4], const unsigned a[4], const unsigned b[2]) {
#if TENSOR_CORES
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    int lane = lane_id(), row = lane / 4 * 4, column = lane % 4 * 8;
    for (int k = 0; k < 8; ++k) {
        int half = k / 4, t = k % 4;
        float a0 = from_tf32(__shfl_sync(0xffffffff, a[2 * half], row + t));
        float a8 = from_tf32(__shfl_sync(0xffffffff, a[2 * half + 1], row + t));
        float b0 = from_tf32(__shfl_sync(0xffffffff, b[half], column + t));
        float b1 = from_tf32(__shfl_sync(0xffffffff, b[half], column + 4 + t));
        add_products(d, a0, a8, b0, b1);
    }
#endif
}

// d += A B for A 16 x 16 and B 16 x 8 of BF16.
__device__ inline void mma_m16n8k16_bf16(float d[4], const unsigned a[4], const unsigned b[2]) {
#if TENSOR_CORES
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    int lane = lane_id(), row = lane / 4 * 4, column = lane % 4 * 8;
    for (int pair = 0; pair < 8; ++pair) {
        int half = pair / 4, t = pair % 4;
        unsigned a0 = __shfl_sync(0xffffffff, a[2 * half], row + t);
        unsigned a8 = __shfl_sync(0xffffffff, a[2 * half + 1], row + t);
        unsigned b0 = __shfl_sync(0xffffffff, b[half], column + t);
        unsigned b1 = __shfl_sync(0xffffffff, b[half], column + 4 + t);
        add_products(d, low_bf16(a0), low_bf16(a8), low_bf16(b0), low_bf16(b1));
        add_products(d, high_bf16(a0), high_bf16(a8), high_bf16(b0), high_bf16(b1));
    }
#endif
}

// Copy 4 or 16 bytes (aligned likewise) to shared memory asynchronously, or zeros if not `inside`.
// `cp_async_commit` closes a group of copies; `cp_async_wait<N>` waits until all but this thread's
// latest N groups are complete. Other threads see them after a barrier.
template <int BYTES>
__device__ inline void cp_async(void *shared, const void *global, bool inside) {
#if TENSOR_CORES
    unsigned to = (unsigned)__cvta_generic_to_shared(shared);
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;"
                 :: "r"(to), "l"(global), "n"(BYTES), "r"(inside ? BYTES : 0) : "memory");
#elif defined(__CUDA_ARCH__)
    for (int i = 0; i < BYTES / 4; ++i)
        ((unsigned *)shared)[i] = inside ? ((const unsigned *)global)[i] : 0;
#else
    shim::copy_later(shared, inside ? global : nullptr, BYTES);
#endif
}

__device__ inline void cp_async_4(void *shared, const void *global, bool inside = true) {
    cp_async<4>(shared, global, inside);
}

__device__ inline void cp_async_16(void *shared, const void *global, bool inside = true) {
    cp_async<16>(shared, global, inside);
}

__device__ inline void cp_async_commit() {
#if TENSOR_CORES
    asm volatile("cp.async.commit_group;" ::: "memory");
#elif !defined(__CUDA_ARCH__)
    shim::commit_copies();
#endif
}

template <int N>
__device__ inline void cp_async_wait() {
#if TENSOR_CORES
    asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory");
#elif !defined(__CUDA_ARCH__)
    shim::wait_for_copies(N);
#endif
}
