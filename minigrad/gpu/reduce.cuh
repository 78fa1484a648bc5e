// Sums in a fixed order, so results are bit-identical in every run and on every GPU.

// The sum of `v` over the threads of a warp, returned to each.
template <class T>
__device__ inline T warp_sum(T v) {
    for (int bit = 16; bit > 0; bit /= 2) v += __shfl_xor_sync(0xffffffff, v, bit);
    return v;
}

// The sum of `v` over the THREADS threads of the block, returned to each.
__device__ REAL block_sum(REAL v) {
    __shared__ REAL warps[THREADS / 32];
    v = warp_sum(v);
    __syncthreads();  // all threads have read the previous sum
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
    __syncthreads();
    v = warps[0];
    for (int i = 1; i < THREADS / 32; ++i) v += warps[i];
    return v;
}
