// Batch norm along rows: x is (C, M) in memory, so the M = H * W * N values of a channel are contiguous.
// minigrad/ops/norm.py has the formulas.
//
// A row is divided into `segments` of SEGMENT values, one for each block of THREADS threads: block b
// processes segment b % segments of row b / segments. Sums take two steps: each segment's sums go to
// `partial` (C, segments, 2); in the next kernel every block of the row adds these, in double precision
// and in the same order, and the row's first block also writes the result. A row of a single segment,
// which may be longer, takes one kernel: `partial` is null, and the block sums its row itself.
//
// Macros: REAL, THREADS, PER_THREAD.

#include "reduce.cuh"

#define SEGMENT (THREADS * PER_THREAD)

// The part of a row that this block processes.
struct Segment {
    int row;
    long long start;  // offset of the segment in memory
    int size;
};

__device__ inline int size_of(long long m, int segments, int segment) {
    long long left = m - (long long)segment * SEGMENT;
    return segments == 1 || left < SEGMENT ? left : SEGMENT;
}

__device__ inline Segment my_segment(long long m, int segments) {
    int row = blockIdx.x / segments, segment = blockIdx.x % segments;
    return {row, row * m + (long long)segment * SEGMENT, size_of(m, segments, segment)};
}

// The mean and Σ (x − mean)² of each segment in one pass over x, accurate however far the values are
// from zero.
extern "C" __global__ void moments(const REAL *__restrict__ x, long long m, int segments,
                                   REAL *partial) {
    Segment at = my_segment(m, segments);
    REAL values[PER_THREAD], sum = 0, squares = 0;
#pragma unroll
    for (int k = 0; k < PER_THREAD; ++k) {
        int i = k * THREADS + threadIdx.x;
        values[k] = i < at.size ? x[at.start + i] : 0;
        sum += values[k];
    }
    REAL mean = block_sum(sum) / at.size;
#pragma unroll
    for (int k = 0; k < PER_THREAD; ++k) {
        REAL d = values[k] - mean;
        if (k * THREADS + threadIdx.x < at.size) squares += d * d;
    }
    squares = block_sum(squares);
    if (threadIdx.x == 0) {
        partial[2 * blockIdx.x] = mean;
        partial[2 * blockIdx.x + 1] = squares;
    }
}

// Two numbers that the threads of the first warp hold, to all threads of the block.
__device__ inline void tell(REAL first, REAL second, REAL told[2]) {
    if (threadIdx.x == 0) told[0] = first, told[1] = second;
    __syncthreads();
}

// The mean and biased variance of a row that this block has alone, to all its threads.
__device__ inline void row_moments(const REAL *x, int m, REAL &mean, REAL &var) {
    REAL sum = 0, squares = 0;
#pragma unroll 4
    for (int i = threadIdx.x; i < m; i += THREADS) sum += x[i];
    mean = block_sum(sum) / m;
#pragma unroll 4
    for (int i = threadIdx.x; i < m; i += THREADS) squares += (x[i] - mean) * (x[i] - mean);
    var = block_sum(squares) / m;
}

// The mean and biased variance of a row from those of its segments, to all threads of the block. `share`
// is 1 / m, because most cards take long to divide in double precision.
__device__ inline void merge_moments(const REAL *partial, int row, long long m, double share,
                                     int segments, REAL told[2]) {
    double mean = 0, squares = 0;
    if (threadIdx.x < 32) {
        const REAL *mine = partial + 2LL * row * segments;
        for (int s = threadIdx.x; s < segments; s += 32)
            mean += (double)mine[2 * s] * size_of(m, segments, s);
        mean = warp_sum(mean) * share;
        for (int s = threadIdx.x; s < segments; s += 32) {
            double d = mine[2 * s] - mean;
            squares += mine[2 * s + 1] + d * d * size_of(m, segments, s);
        }
        squares = warp_sum(squares) * share;
    }
    tell(mean, squares, told);
}

// Running statistics, with one thread per channel: both move towards the batch's by the fraction
// `take` = 1 − `keep`, after the variance is multiplied by `unbias`. The batch is counted where
// `batches` is not null. Grid (⌈channels / block⌉).
extern "C" __global__ void track(const REAL *mean, const REAL *var, int channels, REAL keep,
                                 REAL take, REAL unbias, REAL *running_mean, REAL *running_var,
                                 long long *batches) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c == 0 && batches) ++*batches;
    if (c >= channels) return;
    running_mean[c] = running_mean[c] * keep + take * mean[c];
    running_var[c] = running_var[c] * keep + take * (var[c] * unbias);
}

// y = (x − mean) r w + b + z with r = 1 / √(var + eps), or max(that, 0) with `relu`. `w`, `b` and `z`
// may be null. Mean and r are written to `kept` (2, C) for the gradient, because the caller's arrays may
// change before it. With `batch`, mean and var are the row's, and are written.
extern "C" __global__ void normalize(const REAL *__restrict__ x, const REAL *__restrict__ z,
                                     long long m, double share, int segments, int channels,
                                     bool batch, const REAL *partial, REAL *mean, REAL *var,
                                     const REAL *w, const REAL *b, REAL eps, bool relu,
                                     REAL *__restrict__ y, REAL *kept) {
    __shared__ REAL told[2];
    Segment at = my_segment(m, segments);
    int c = at.row;
    bool first = blockIdx.x % segments == 0 && threadIdx.x == 0;
    REAL mu, variance;
    if (!batch) {
        mu = mean[c], variance = var[c];
    } else if (partial) {
        merge_moments(partial, c, m, share, segments, told);
        mu = told[0], variance = told[1];
    } else {
        row_moments(x + at.start, at.size, mu, variance);
    }
    if (batch && first) mean[c] = mu, var[c] = variance;
    REAL r = 1 / sqrt(variance + eps), scale = w ? r * w[c] : r, shift = b ? b[c] : 0;
    for (int i = threadIdx.x; i < at.size; i += THREADS) {
        REAL value = (x[at.start + i] - mu) * scale + shift;
        if (z) value += z[at.start + i];
        y[at.start + i] = relu && value < 0 ? 0 : value;
    }
    if (first) {
        kept[c] = mu;
        kept[channels + c] = r;
    }
}

// g[i], or 0 where y[i], the result of ReLU, is 0. y is null without ReLU.
__device__ inline REAL active(const REAL *g, const REAL *y, long long i) {
    return y && y[i] == 0 ? 0 : g[i];
}

// Σ g and Σ g (x − mean) of this block's segment, to all its threads.
__device__ inline void segment_sums(const REAL *g, const REAL *y, const REAL *x, Segment at, REAL mu,
                                    REAL &s, REAL &t) {
    s = t = 0;
#pragma unroll 4
    for (int i = threadIdx.x; i < at.size; i += THREADS) {
        REAL gradient = active(g, y, at.start + i);
        s += gradient;
        t += gradient * (x[at.start + i] - mu);
    }
    s = block_sum(s);
    t = block_sum(t);
}

// Σ g and Σ g (x − mean) of each segment.
extern "C" __global__ void sums(const REAL *__restrict__ g, const REAL *__restrict__ y,
                                const REAL *__restrict__ x, long long m, int segments,
                                const REAL *kept, REAL *partial) {
    Segment at = my_segment(m, segments);
    REAL s, t;
    segment_sums(g, y, x, at, kept[at.row], s, t);
    if (threadIdx.x == 0) {
        partial[2 * blockIdx.x] = s;
        partial[2 * blockIdx.x + 1] = t;
    }
}

// s = Σ g and t = Σ g x̂ of a row, from the sums of its segments, to all threads of the block.
__device__ inline void merge_sums(const REAL *partial, int row, int segments, REAL r, REAL told[2]) {
    double first = 0, second = 0;
    if (threadIdx.x < 32) {
        for (int i = threadIdx.x; i < segments; i += 32) {
            const REAL *p = partial + 2 * ((long long)row * segments + i);
            first += p[0];
            second += p[1];
        }
        first = warp_sum(first);
        second = warp_sum(second);
    }
    tell(first, second * r, told);
}

// gx = w r (g − s / m − x̂ t / m), or w r g if mean and var were constants (not `batch`); and gz = g.
// Each is skipped if it is null. s = Σ g and t = Σ g x̂ are written.
extern "C" __global__ void gradient(const REAL *__restrict__ g, const REAL *__restrict__ y,
                                    const REAL *__restrict__ x, long long m, int segments,
                                    int channels, const REAL *kept, const REAL *w,
                                    const REAL *partial, REAL *row_s, REAL *row_t, bool batch,
                                    REAL *__restrict__ gx, REAL *__restrict__ gz) {
    __shared__ REAL told[2];
    Segment at = my_segment(m, segments);
    int c = at.row;
    REAL mu = kept[c], r = kept[channels + c], scale = w ? r * w[c] : r;
    REAL s, t;
    if (partial) {
        merge_sums(partial, c, segments, r, told);
        s = told[0], t = told[1];
    } else {
        segment_sums(g, y, x, at, mu, s, t);
        t *= r;
    }
    if (blockIdx.x % segments == 0 && threadIdx.x == 0) row_s[c] = s, row_t[c] = t;
    if (!gx && !gz) return;
    REAL slope = batch ? -scale * r * t / m : 0, offset = batch ? -scale * s / m : 0;
    for (int i = threadIdx.x; i < at.size; i += THREADS) {
        REAL own = active(g, y, at.start + i), value = scale * own;
        if (batch) value += slope * (x[at.start + i] - mu) + offset;
        if (gx) gx[at.start + i] = value;
        if (gz) gz[at.start + i] = own;
    }
}
