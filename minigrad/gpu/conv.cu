// Two-dimensional convolution as matrix products whose column matrix is never stored.
//
// Arrays are batch-innermost, dense, float32 and aligned to 16 bytes. Sizes are named as in
// minigrad/ops/conv.py; each of G groups has M = O/G output channels (rows) and CG = C/G input
// channels. q = (c, kh, kw) counts the CG·KH·KW weights of a filter, j = (oh, ow, n) the J = OH·OW·N
// columns.
//
//   correlate        y[m, j]  = Σ_q w[m, q] · x̂[q, j] (+ bias[m])
//   weight_gradient  gw[m, q] = Σ_j g[m, j] · x̂[q, j]
//
// with x̂[q, j] = x[c, h, w, n], h = (oh·stride_h + kh·dilation_h + offset_h) / BASE_H, and w likewise.
// x̂ is 0 where the division leaves a remainder or the pixel lies outside, so no padded copy is needed.
// The forward pass has offset = -padding and BASE = 1. The input gradient is `correlate` of the output
// gradient with flipped filters, stride 1, offset = padding - dilation·(K-1) and BASE = the stride of
// the forward pass: it gathers too.
//
// Grid (⌈columns / BN⌉, ⌈M / BM⌉, G·splits): a block computes one BM x BN tile of the product of one
// group, over one of `splits` equal shares of each sum, BK terms at a time. Shared memory (at most 48 KB)
// holds two to four such steps: one is multiplied while the next ones are copied. A warp computes
// min(BM, 64) x 32 of the tile. With several splits, y and gw are arrays of partial sums (splits, ...),
// which `add_splits` adds in order: nothing is atomic, so results are bit-identical in every run.
//
// Macros:
//   PRECISION       0: float32 on the ordinary units; 1: factors rounded to tf32, 2: to bf16, both
//                   on tensor cores. Sums are always float32.
//   BM              16, 32, 64 or 128
//   KH, KW          size of the kernel
//   BASE_H, BASE_W  base dilation, see above
//   VEC_ROWS, VEC_COLUMNS   4 if the rows of the left matrix, and the batch, respectively, are
//                   multiples of 16 bytes; else 1

#include "mma.cuh"

#define BN 128
#define BK 16
#define WM (BM < 64 ? BM : 64)
#define WN 32
#define THREADS (32 * (BM / WM) * (BN / WN))
#define KERNEL_SIZE (KH * KW)

// Row strides in shared memory, chosen so that the lanes of a warp read from 32 different banks.
#if PRECISION == 2
#define ROW (BK + 8)
#define COLUMNS (BN + 4)
#else
#define ROW (BK + 4)
#define COLUMNS (BN + 8)
#endif

// tile[r][k] = a[r, first + k], or zero for r >= rows or first + k >= end. Rows of `a` have `length`.
__device__ void load_rows(float* tile, const float* a, int rows, int length, int first, int end)
{
    for (int i = threadIdx.x; i < BM * (BK / VEC_ROWS); i += THREADS) {
        int r = i / (BK / VEC_ROWS), k = i % (BK / VEC_ROWS) * VEC_ROWS;
        const float* from = a + (long long)r * length + first + k;
        cp_async<4 * VEC_ROWS>(tile + r * ROW + k, from, r < rows && first + k < end);
    }
}

// The input image, and the pixel that an output position reads for a weight.
struct Image {
    const float* x;  // of this group
    int height, width, images;
    int stride_h, stride_w, dilation_h, dilation_w, offset_h, offset_w;

    // The address of x̂[q, (oh, ow, n)], or null if it is zero.
    __device__ const float* at(int q, int oh, int ow, int n) const
    {
        int c = q / KERNEL_SIZE, kh = q % KERNEL_SIZE / KW, kw = q % KW;
        int h = oh * stride_h + kh * dilation_h + offset_h;
        int w = ow * stride_w + kw * dilation_w + offset_w;
        if (h < 0 || w < 0 || h % BASE_H || w % BASE_W) return nullptr;
        h /= BASE_H, w /= BASE_W;
        if (h >= height || w >= width) return nullptr;
        return x + ((long long)c * height + h) * width * images + (long long)w * images + n;
    }
};

// The position of a column; advances without division.
struct Column {
    int oh, ow, n;

    __device__ Column(int j, int ow_count, int images)
        : oh(j / images / ow_count), ow(j / images % ow_count), n(j % images)
    {
    }

    __device__ void advance(int by, int ow_count, int images)
    {
        for (n += by; n >= images; n -= images)
            if (++ow == ow_count) ow = 0, ++oh;
    }
};

// The sums of one thread, in the layout of the tensor cores' results: for each 16 x 8 block of its
// warp's tile, rows lane / 4 and lane / 4 + 8, columns 2 · (lane % 4) and the next.
typedef float Sums[WM / 16][WN / 8][4];

// An element of the left tile, (BM, BK) with k innermost.
#define LEFT(m, k) left[(m) * ROW + (k)]
// The right tile is (BK, BN) in `correlate` and, with k innermost too, (BN, BK) in
// `weight_gradient`.
#define RIGHT(k, n) right[(k) * K_STEP + (n) * N_STEP]

// sums += left · right for this warp's part of the tile, whose corner is (m, n).
template <int K_STEP, int N_STEP>
__device__ void multiply(Sums& sums, const float* left, const float* right, int m, int n)
{
    const int group = threadIdx.x % 32 / 4, t = threadIdx.x % 4;  // named as in PTX
#if PRECISION == 0
#pragma unroll 1  // full unrolling would take the compiler half a minute
    for (int k = 0; k < BK; ++k) {
        float a[WM / 8], b[WN / 4];
#pragma unroll
        for (int i = 0; i < WM / 8; ++i) a[i] = LEFT(m + 8 * i + group, k);
#pragma unroll
        for (int i = 0; i < WN / 4; ++i) b[i] = RIGHT(k, n + i / 2 * 8 + 2 * t + i % 2);
#pragma unroll
        for (int i = 0; i < WM / 8; ++i)
#pragma unroll
            for (int j = 0; j < WN / 4; ++j) sums[i / 2][j / 2][i % 2 * 2 + j % 2] += a[i] * b[j];
    }
#else
    const int depth = PRECISION == 1 ? 8 : 16;  // terms of one tensor-core product
#pragma unroll
    for (int k = 0; k < BK; k += depth) {
        unsigned a[WM / 16][4], b[WN / 8][2];
#pragma unroll
        for (int i = 0; i < WM / 16; ++i)
#pragma unroll
            for (int part = 0; part < 4; ++part) {
                int row = m + 16 * i + group + part % 2 * 8, half = part / 2 * (depth / 2);
#if PRECISION == 1
                a[i][part] = to_tf32(LEFT(row, k + half + t));
#else
                a[i][part] = to_bf16x2(LEFT(row, k + half + 2 * t), LEFT(row, k + half + 2 * t + 1));
#endif
            }
#pragma unroll
        for (int j = 0; j < WN / 8; ++j)
#pragma unroll
            for (int part = 0; part < 2; ++part) {
                int column = n + 8 * j + group, half = part * (depth / 2);
#if PRECISION == 1
                b[j][part] = to_tf32(RIGHT(k + half + t, column));
#else
                b[j][part] = to_bf16x2(
                    RIGHT(k + half + 2 * t, column), RIGHT(k + half + 2 * t + 1, column));
#endif
            }
#pragma unroll
        for (int i = 0; i < WM / 16; ++i)
#pragma unroll
            for (int j = 0; j < WN / 8; ++j)
#if PRECISION == 1
                mma_m16n8k8_tf32(sums[i][j], a[i], b[j]);
#else
                mma_m16n8k16_bf16(sums[i][j], a[i], b[j]);
#endif
    }
#endif
}

// The stages of a pipeline: as many of so many numbers as shared memory holds, at most four, or two
// where copies are not asynchronous.
__device__ constexpr int stages_of(int numbers)
{
    const int held = 48 * 1024 / 4 / numbers, most = TENSOR_CORES ? 4 : 2;
    return held < most ? held : most;
}

// The pipeline: sums = Σ over terms [first, end) of left · right, DEPTH stages of BK terms at a time in
// shared memory. load(stage, k) starts copying the terms from k on; see(left) looks at each left tile.
template <int DEPTH, int RIGHT_SIZE, int K_STEP, int N_STEP, class Load, class See>
__device__ void accumulate(
    Sums& sums, const float (*left)[BM * ROW], const float (*right)[RIGHT_SIZE], int first, int end,
    int m, int n, Load load, See see)
{
#pragma unroll
    for (int stage = 0; stage < DEPTH - 1; ++stage) {
        if (first + stage * BK < end) load(stage, first + stage * BK);
        cp_async_commit();
    }
    for (int k = first, stage = 0; k < end; k += BK) {
        int before = stage == 0 ? DEPTH - 1 : stage - 1, ahead = k + (DEPTH - 1) * BK;
        cp_async_wait<DEPTH - 2>();  // my copies of this stage are complete
        __syncthreads();  // and everybody's, and nobody multiplies the stage before any more
        if (ahead < end) load(before, ahead);
        cp_async_commit();
        see(left[stage]);
        multiply<K_STEP, N_STEP>(sums, left[stage], right[stage], m, n);
        stage = stage == DEPTH - 1 ? 0 : stage + 1;
    }
}

// Write the sums of this warp, whose corner is (m, n), to y (rows, columns).
__device__ void store(const Sums& sums, float* y, const float* bias, int m, int n, int rows, int columns)
{
    m += threadIdx.x % 32 / 4, n += threadIdx.x % 4 * 2;
#pragma unroll
    for (int i = 0; i < WM / 8; ++i) {
        int row = m + 8 * i;
        if (row >= rows) break;
        float shift = bias ? bias[row] : 0.0f;
#pragma unroll
        for (int j = 0; j < WN / 8; ++j) {
            int column = n + 8 * j;
            float* to = y + (long long)row * columns + column;
            const float* pair = sums[i / 2][j] + i % 2 * 2;
            if (columns % 2 == 0) {  // pairs are complete and aligned
                if (column < columns)
                    *reinterpret_cast<float2*>(to) = make_float2(pair[0] + shift, pair[1] + shift);
            } else {
                if (column < columns) to[0] = pair[0] + shift;
                if (column + 1 < columns) to[1] = pair[1] + shift;
            }
        }
    }
}

// The share [first, end) of `length` terms that belongs to a split, in whole steps of BK.
__device__ void share(int length, int splits, int split, int& first, int& end)
{
    int steps = (length + BK - 1) / BK, per = (steps + splits - 1) / splits;
    first = min(split * per * BK, length);
    end = min(first + per * BK, length);
}

// flipped (G·CG, M, KH, KW) = w (G·M, CG, KH, KW) with each filter rotated by 180° and the channel axes
// of each group swapped, by the threads of the whole grid.
__device__ void flip(const float* w, float* flipped, int groups, int rows, int channels)
{
    long long block = ((long long)blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    long long threads = (long long)gridDim.x * gridDim.y * gridDim.z * THREADS;
    long long size = (long long)groups * channels * rows * KERNEL_SIZE;
    for (long long i = block * THREADS + threadIdx.x; i < size; i += threads) {
        int k = i % KERNEL_SIZE, m = i / KERNEL_SIZE % rows;
        long long row = i / KERNEL_SIZE / rows;  // of a group and one of its input channels
        long long from = (row / channels * rows + m) * channels + row % channels;
        flipped[i] = w[from * KERNEL_SIZE + KERNEL_SIZE - 1 - k];
    }
}

// w (G·M, CG·KERNEL_SIZE), x (G·CG, height, width, N), bias (G·M) or null (always null with several
// splits), y (splits, G·M, OH, OW, N). `flipped`, if it is not null, is for the input gradient.
extern "C" __global__ void __launch_bounds__(THREADS) correlate(
    const float* __restrict__ w, const float* __restrict__ x, const float* __restrict__ bias,
    float* __restrict__ y, float* __restrict__ flipped, int groups, int rows, int channels, int height,
    int width, int oh, int ow, int images, int splits, int stride_h, int stride_w, int dilation_h,
    int dilation_w, int offset_h, int offset_w)
{
    constexpr int stages = stages_of(BM * ROW + BK * COLUMNS);
    __shared__ __align__(16) float left[stages][BM * ROW];
    __shared__ __align__(16) float right[stages][BK * COLUMNS];
    const int group = blockIdx.z / splits, split = blockIdx.z % splits;
    const int depth = channels * KERNEL_SIZE, columns = oh * ow * images;
    const int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN, warp = threadIdx.x / 32;
    const Image image{
        x + (long long)group * channels * height * width * images, height, width, images,
        stride_h, stride_w, dilation_h, dilation_w, offset_h, offset_w};
    int first, end;
    share(depth, splits, split, first, end);
    if (flipped) flip(w, flipped, groups, rows, channels);

    // Each thread copies one column, or VEC_COLUMNS neighbouring ones, throughout.
    const int across = BN / VEC_COLUMNS, mine = threadIdx.x % across * VEC_COLUMNS;
    const Column at(n0 + mine, ow, images);
    auto load = [&](int stage, int k) {
        load_rows(
            left[stage], w + ((long long)group * rows + m0) * depth, rows - m0, depth, k, end);
#pragma unroll
        for (int r = threadIdx.x / across; r < BK; r += THREADS / across) {
            const float* from = image.at(k + r, at.oh, at.ow, at.n);
            bool inside = from && k + r < end;  // columns beyond the last are not stored
            cp_async<4 * VEC_COLUMNS>(right[stage] + r * COLUMNS + mine, from, inside);
        }
    };
    Sums sums = {};
    const int m = warp / (BN / WN) * WM, n = warp % (BN / WN) * WN;
    accumulate<stages, BK * COLUMNS, COLUMNS, 1>(
        sums, left, right, first, end, m, n, load, [](const float*) {});
    y += ((long long)split * groups + group) * rows * columns;
    if (bias) bias += group * rows;
    store(sums, y, bias, m0 + m, n0 + n, rows, columns);
}

// g (G·M, OH, OW, N), x (G·CG, height, width, N), gw (splits, G·M, CG·KERNEL_SIZE). The sums of g's rows,
// gb (splits, G·M), are taken too, unless that is null.
extern "C" __global__ void __launch_bounds__(THREADS) weight_gradient(
    const float* __restrict__ g, const float* __restrict__ x, float* __restrict__ gw,
    float* __restrict__ gb, int groups, int rows, int channels, int height, int width, int oh, int ow,
    int images, int splits, int stride_h, int stride_w, int dilation_h, int dilation_w, int offset_h,
    int offset_w)
{
    constexpr int stages = stages_of(BM * ROW + BN * ROW);
    __shared__ __align__(16) float left[stages][BM * ROW];
    __shared__ __align__(16) float right[stages][BN * ROW];
    const int group = blockIdx.z / splits, split = blockIdx.z % splits;
    const int depth = channels * KERNEL_SIZE, columns = oh * ow * images;
    const int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN, warp = threadIdx.x / 32;
    const Image image{
        x + (long long)group * channels * height * width * images, height, width, images,
        stride_h, stride_w, dilation_h, dilation_w, offset_h, offset_w};
    int first, end;
    share(columns, splits, split, first, end);

    // Each thread copies one column, or VEC_COLUMNS neighbouring ones, of each BK.
    const int across = BK / VEC_COLUMNS, mine = threadIdx.x % across * VEC_COLUMNS;
    Column at(first + mine, ow, images);
    auto load = [&](int stage, int k) {
        load_rows(
            left[stage], g + ((long long)group * rows + m0) * columns, rows - m0, columns, k, end);
#pragma unroll
        for (int r = threadIdx.x / across; r < BN; r += THREADS / across) {
            const float* from = image.at(n0 + r, at.oh, at.ow, at.n);
            bool inside = from && n0 + r < depth && k + mine < end;
            cp_async<4 * VEC_COLUMNS>(right[stage] + r * ROW + mine, from, inside);
        }
        at.advance(BK, ow, images);
    };
    Sums sums = {};
    const int m = warp / (BN / WN) * WM, n = warp % (BN / WN) * WN;
    // A thread for each row, in one of the blocks that have it.
    const bool adding = gb && blockIdx.x == 0 && threadIdx.x < BM && m0 + threadIdx.x < rows;
    double total = 0;
    auto see = [&](const float* tile) {
        float sum = 0;
        for (int k = 0; adding && k < BK; ++k) sum += tile[threadIdx.x * ROW + k];
        total += sum;
    };
    accumulate<stages, BN * ROW, 1, ROW>(sums, left, right, first, end, m, n, load, see);
    if (adding) gb[((long long)split * groups + group) * rows + m0 + threadIdx.x] = total;
    gw += ((long long)split * groups + group) * rows * depth;
    store(sums, gw, nullptr, m0 + m, n0 + n, rows, depth);
}

// y[m, j] = Σ over splits of parts[split, m, j] (+ bias[m]), in order; m counts the rows of all
// groups. And gb[m] = Σ of gb_parts[split, m], unless gb is null. One thread per element of y:
// grid (⌈rows·columns / block⌉).
extern "C" __global__ void add_splits(
    const float* __restrict__ parts, const float* __restrict__ bias, float* __restrict__ y,
    const float* __restrict__ gb_parts, float* __restrict__ gb, int rows, int columns, int splits)
{
    long long size = (long long)rows * columns;
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    float sum = 0.0f;
    for (int split = 0; split < splits; ++split) sum += parts[split * size + i];
    y[i] = bias ? sum + bias[i / columns] : sum;
    if (!gb || i >= rows) return;
    sum = 0.0f;
    for (int split = 0; split < splits; ++split) sum += gb_parts[(long long)split * rows + i];
    gb[i] = sum;
}
