// Batch norm along rows: x is (C, M) in memory, so the M = H * W * N values of a channel are contiguous.
// minigrad/ops/norm.py has the formulas.
//
// A row is divided into `segments` of SEGMENT values, one for each block of THREADS threads: block b
// processes segment b % segments of row b / segments. Sums take two steps: each segment's sums go to
// `partial` (C, segments, 2), and one warp per row adds these in double precision.
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

__device__ inline Segment my_segment(long long m, int segments) {
    int row = blockIdx.x / segments;
    long long first = (long long)(blockIdx.x % segments) * SEGMENT;
    return {row, row * m + first, (int)(m - first < SEGMENT ? m - first : SEGMENT)};
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

struct Moments {
    double count, mean, squares;
};

// The moments of the union of two sets of values (Chan, Golub & LeVeque 1979).
__device__ inline Moments join(Moments a, Moments b) {
    if (b.count == 0) return a;
    if (a.count == 0) return b;
    double count = a.count + b.count, d = b.mean - a.mean;
    return {count, a.mean * (a.count / count) + b.mean * (b.count / count),
            a.squares + b.squares + d * d * (a.count * b.count / count)};
}

// The mean and biased variance of each row from those of its segments. One block of 32 per row.
extern "C" __global__ void merge_moments(const REAL *partial, long long m, int segments, REAL *mean,
                                         REAL *var) {
    Moments all = {0, 0, 0};
    for (long long s = threadIdx.x; s < segments; s += 32) {
        const REAL *p = partial + 2 * ((long long)blockIdx.x * segments + s);
        long long left = m - s * SEGMENT;
        all = join(all, {(double)(left < SEGMENT ? left : SEGMENT), (double)p[0], (double)p[1]});
    }
    for (int step = 16; step > 0; step /= 2)
        all = join(all, {__shfl_down_sync(0xffffffff, all.count, step),
                         __shfl_down_sync(0xffffffff, all.mean, step),
                         __shfl_down_sync(0xffffffff, all.squares, step)});
    if (threadIdx.x == 0) {
        mean[blockIdx.x] = all.mean;
        var[blockIdx.x] = all.squares / m;
    }
}

// Running statistics, with one thread per channel: both move towards the batch's by the fraction
// `take` = 1 − `keep`, after the variance is multiplied by `unbias`. Grid (⌈channels / block⌉).
extern "C" __global__ void track(const REAL *mean, const REAL *var, int channels, REAL keep,
                                 REAL take, REAL unbias, REAL *running_mean, REAL *running_var) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= channels) return;
    running_mean[c] = running_mean[c] * keep + take * mean[c];
    running_var[c] = running_var[c] * keep + take * (var[c] * unbias);
}

// y = (x − mean) r w + b + z with r = 1 / √(var + eps), or max(that, 0) with `relu`. `w`, `b` and `z`
// may be null. Mean and r are written to `kept` (2, C) for the gradient, because the caller's arrays may
// change before it.
extern "C" __global__ void normalize(const REAL *__restrict__ x, const REAL *__restrict__ z,
                                     long long m, int segments, int channels, const REAL *mean,
                                     const REAL *var, const REAL *w, const REAL *b, REAL eps,
                                     bool relu, REAL *__restrict__ y, REAL *kept) {
    Segment at = my_segment(m, segments);
    int c = at.row;
    REAL mu = mean[c], r = 1 / sqrt(var[c] + eps);
    REAL scale = w ? r * w[c] : r, shift = b ? b[c] : 0;
    for (int i = threadIdx.x; i < at.size; i += THREADS) {
        REAL value = (x[at.start + i] - mu) * scale + shift;
        if (z) value += z[at.start + i];
        y[at.start + i] = relu && value < 0 ? 0 : value;
    }
    if (blockIdx.x % segments == 0 && threadIdx.x == 0) {
        kept[c] = mu;
        kept[channels + c] = r;
    }
}

// g[i], or 0 where y[i], the result of ReLU, is 0. y is null without ReLU.
__device__ inline REAL active(const REAL *g, const REAL *y, long long i) {
    return y && y[i] == 0 ? 0 : g[i];
}

// Σ g and Σ g (x − mean) of each segment.
extern "C" __global__ void sums(const REAL *__restrict__ g, const REAL *__restrict__ y,
                                const REAL *__restrict__ x, long long m, int segments,
                                const REAL *kept, REAL *partial) {
    Segment at = my_segment(m, segments);
    REAL mu = kept[at.row], s = 0, t = 0;
    for (int i = threadIdx.x; i < at.size; i += THREADS) {
        REAL gradient = active(g, y, at.start + i);
        s += gradient;
        t += gradient * (x[at.start + i] - mu);
    }
    s = block_sum(s);
    t = block_sum(t);
    if (threadIdx.x == 0) {
        partial[2 * blockIdx.x] = s;
        partial[2 * blockIdx.x + 1] = t;
    }
}

// s = Σ g and t = Σ g x̂ of each row from the sums of its segments. One block of 32 per row.
extern "C" __global__ void merge_sums(const REAL *partial, int segments, int channels,
                                      const REAL *kept, REAL *s, REAL *t) {
    double first = 0, second = 0;
    for (int i = threadIdx.x; i < segments; i += 32) {
        const REAL *p = partial + 2 * ((long long)blockIdx.x * segments + i);
        first += p[0];
        second += p[1];
    }
    first = warp_sum(first);
    second = warp_sum(second);
    if (threadIdx.x == 0) {
        s[blockIdx.x] = first;
        t[blockIdx.x] = second * kept[channels + blockIdx.x];
    }
}

// gx = w r (g − s / m − x̂ t / m), or w r g if mean and var were constants (not `batch`); and gz = g.
// Each is skipped if it is null.
extern "C" __global__ void gradient(const REAL *__restrict__ g, const REAL *__restrict__ y,
                                    const REAL *__restrict__ x, long long m, int segments,
                                    int channels, const REAL *kept, const REAL *w, const REAL *s,
                                    const REAL *t, bool batch, REAL *__restrict__ gx,
                                    REAL *__restrict__ gz) {
    Segment at = my_segment(m, segments);
    int c = at.row;
    REAL mu = kept[c], r = kept[channels + c], scale = w ? r * w[c] : r;
    REAL slope = batch ? -scale * r * t[c] / m : 0, offset = batch ? -scale * s[c] / m : 0;
    for (int i = threadIdx.x; i < at.size; i += THREADS) {
        REAL own = active(g, y, at.start + i), value = scale * own;
        if (batch) value += slope * (x[at.start + i] - mu) + offset;
        if (gx) gx[at.start + i] = value;
        if (gz) gz[at.start + i] = own;
    }
}
