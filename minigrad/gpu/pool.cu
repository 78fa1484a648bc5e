// Pooling of (C, H, W, N) arrays. Windows of (KH, KW) pixels with dilation (DH, DW) start at multiples
// of (SH, SW) minus the padding (PH, PW). The backward pass gathers: each pixel sums the gradients of the
// windows that contain it, in the order of its place in them.
//
// threadIdx.x runs over the batch; blockIdx.x and threadIdx.y run over the P positions: outputs
// (C, OH, OW) forward, pixels (C, H, W) backward.
//
// Macros: REAL; SUM: the type of sums; PLACE: the type of a place in the window.

struct Position {
    int c, row, column;
};

__device__ inline unsigned my_position() { return blockIdx.x * blockDim.y + threadIdx.y; }

__device__ inline Position position(unsigned p, unsigned height, unsigned width) {
    unsigned line = p / width;
    return {(int)(line / height), (int)(line % height), (int)(p % width)};
}

// The offset in memory of the N values of a position.
__device__ inline long long at(int c, int row, int column, int height, int width, int n) {
    return (((long long)c * height + row) * width + column) * n;
}

// The output row (or column) whose window has pixel row `i` at kernel offset `k`; negative if there is
// none.
__device__ inline int window_of(int i, int k, int stride, int padding, int dilation,
                                int outputs) {
    int start = i + padding - k * dilation;
    int o = start / stride;
    return o * stride == start && o < outputs ? o : -1;
}

// y = the largest element of each window, and `place` = the number of places from it to the window's
// end. Among equals, and among NaNs, the first counts. `lowest` is below all values.
extern "C" __global__ void max_pool(const REAL *__restrict__ x, unsigned P, int H, int W, int N,
                                    int OH, int OW, int KH, int KW, int SH, int SW, int PH, int PW,
                                    int DH, int DW, REAL lowest, REAL *__restrict__ y,
                                    PLACE *__restrict__ place) {
    unsigned p = my_position();
    if (p >= P) return;
    Position o = position(p, OH, OW);
    for (int n = threadIdx.x; n < N; n += blockDim.x) {
        REAL best = lowest;
        int left = KH * KW;
        for (int a = 0; a < KH; ++a) {
            int row = o.row * SH - PH + a * DH;
            if (row < 0 || row >= H) continue;
            for (int b = 0; b < KW; ++b) {
                int column = o.column * SW - PW + b * DW;
                if (column < 0 || column >= W) continue;
                REAL value = x[at(o.c, row, column, H, W, N) + n];
                if (value > best || (value != value && best == best)) {
                    best = value;
                    left = KH * KW - a * KW - b;
                }
            }
        }
        y[(long long)p * N + n] = best;
        place[(long long)p * N + n] = left;
    }
}

extern "C" __global__ void max_pool_gradient(const REAL *__restrict__ g,
                                             const PLACE *__restrict__ place, unsigned P, int H,
                                             int W, int N, int OH, int OW, int KH, int KW, int SH,
                                             int SW, int PH, int PW, int DH, int DW,
                                             REAL *__restrict__ gx) {
    unsigned p = my_position();
    if (p >= P) return;
    Position i = position(p, H, W);
    for (int n = threadIdx.x; n < N; n += blockDim.x) {
        SUM sum = 0;
        for (int a = 0; a < KH; ++a) {
            int row = window_of(i.row, a, SH, PH, DH, OH);
            for (int b = 0; row >= 0 && b < KW; ++b) {
                int column = window_of(i.column, b, SW, PW, DW, OW);
                if (column < 0) continue;
                long long o = at(i.c, row, column, OH, OW, N) + n;
                if (place[o] == KH * KW - a * KW - b) sum += g[o];
            }
        }
        gx[(long long)p * N + n] = sum;
    }
}

// y = the sum of each window, times scale (OH, OW). Pixels outside the image count as zeros.
extern "C" __global__ void avg_pool(const REAL *__restrict__ x, const REAL *__restrict__ scale,
                                    unsigned P, int H, int W, int N, int OH, int OW, int KH, int KW,
                                    int SH, int SW, int PH, int PW, int DH, int DW,
                                    REAL *__restrict__ y) {
    unsigned p = my_position();
    if (p >= P) return;
    Position o = position(p, OH, OW);
    for (int n = threadIdx.x; n < N; n += blockDim.x) {
        SUM sum = 0;
        for (int a = 0; a < KH; ++a) {
            int row = o.row * SH - PH + a * DH;
            if (row < 0 || row >= H) continue;
            for (int b = 0; b < KW; ++b) {
                int column = o.column * SW - PW + b * DW;
                if (column >= 0 && column < W) sum += x[at(o.c, row, column, H, W, N) + n];
            }
        }
        y[(long long)p * N + n] = sum * scale[o.row * OW + o.column];
    }
}

extern "C" __global__ void avg_pool_gradient(const REAL *__restrict__ g,
                                             const REAL *__restrict__ scale, unsigned P, int H,
                                             int W, int N, int OH, int OW, int KH, int KW, int SH,
                                             int SW, int PH, int PW, int DH, int DW,
                                             REAL *__restrict__ gx) {
    unsigned p = my_position();
    if (p >= P) return;
    Position i = position(p, H, W);
    for (int n = threadIdx.x; n < N; n += blockDim.x) {
        SUM sum = 0;
        for (int a = 0; a < KH; ++a) {
            int row = window_of(i.row, a, SH, PH, DH, OH);
            for (int b = 0; row >= 0 && b < KW; ++b) {
                int column = window_of(i.column, b, SW, PW, DW, OW);
                if (column < 0) continue;
                sum += g[at(i.c, row, column, OH, OW, N) + n] * scale[row * OW + column];
            }
        }
        gx[(long long)p * N + n] = sum;
    }
}

// Adaptive pooling: cell i of `cells` covers pixels [first(i), first(i + 1)) and, if its end lies inside
// a pixel, that pixel too.
__device__ inline int cell_start(int i, int pixels, int cells) {
    return (long long)i * pixels / cells;
}

__device__ inline int cell_end(int i, int pixels, int cells) {
    return ((i + 1LL) * pixels + cells - 1) / cells;
}

// y = the mean of each cell.
extern "C" __global__ void adaptive_avg_pool(const REAL *__restrict__ x, unsigned P, int H, int W,
                                             int N, int OH, int OW, REAL *__restrict__ y) {
    unsigned p = my_position();
    if (p >= P) return;
    Position o = position(p, OH, OW);
    int top = cell_start(o.row, H, OH), bottom = cell_end(o.row, H, OH);
    int left = cell_start(o.column, W, OW), right = cell_end(o.column, W, OW);
    for (int n = threadIdx.x; n < N; n += blockDim.x) {
        SUM sum = 0;
        for (int row = top; row < bottom; ++row)
            for (int column = left; column < right; ++column)
                sum += x[at(o.c, row, column, H, W, N) + n];
        y[(long long)p * N + n] = sum / ((bottom - top) * (right - left));
    }
}

extern "C" __global__ void adaptive_avg_pool_gradient(const REAL *__restrict__ g, unsigned P, int H,
                                                      int W, int N, int OH, int OW,
                                                      REAL *__restrict__ gx) {
    unsigned p = my_position();
    if (p >= P) return;
    Position i = position(p, H, W);
    // The cells that contain a pixel: the same formula with pixels and cells exchanged.
    int top = cell_start(i.row, OH, H), bottom = cell_end(i.row, OH, H);
    int left = cell_start(i.column, OW, W), right = cell_end(i.column, OW, W);
    for (int n = threadIdx.x; n < N; n += blockDim.x) {
        SUM sum = 0;
        for (int row = top; row < bottom; ++row)
            for (int column = left; column < right; ++column) {
                int height = cell_end(row, H, OH) - cell_start(row, H, OH);
                int width = cell_end(column, W, OW) - cell_start(column, W, OW);
                sum += g[at(i.c, row, column, OH, OW, N) + n] / (height * width);
            }
        gx[(long long)p * N + n] = sum;
    }
}
