// Classification losses of (C, M) arrays, classes first, with one thread per column: one prediction.
// minigrad/ops/loss.py has the formulas. Macros: REAL; SUM: the type of sums over classes.
//
// `shifts` (2, M) turns x into ln softmax(x): it holds the maximum of each column and, separately so
// that large logits lose no digits, ln Σ e^(x − max).

// `used`: whether each class index is in [0, C) and (if `ignoring`) is not `ignored`. `safe`: the index
// if it is used, else 0. An index that is neither a class nor ignored is written to `alarm`; of several,
// any one.
extern "C" __global__ void class_indices(const long long *index, bool ignoring, long long ignored,
                                         int C, long long M, long long *__restrict__ safe,
                                         bool *__restrict__ used, long long *alarm) {
    long long m = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (m >= M) return;
    long long c = index[m];
    bool counts = !(ignoring && c == ignored), is_class = c >= 0 && c < C;
    used[m] = counts && is_class;
    safe[m] = used[m] ? c : 0;
    if (counts && !is_class) *alarm = c;
}

// Weighted, smoothed one-hot columns `target` (C, M) of class indices, 0 where not `used`; and `each`
// (M), the weights of the true classes. A null `weight` (C) stands for ones.
extern "C" __global__ void distribution(const long long *index, const bool *used,
                                        const REAL *weight, REAL own, REAL share, int C,
                                        long long M, REAL *__restrict__ target,
                                        REAL *__restrict__ each) {
    long long m = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (m >= M) return;
    int truth = index[m];
    REAL counted = used[m];
    each[m] = used[m] ? (weight ? weight[truth] : 1) : 0;
    for (int c = 0; c < C; ++c) {
        REAL spread = (weight ? weight[c] * share : share) * counted;
        target[c * M + m] = c == truth ? each[m] * own + spread : spread;
    }
}

// The column's shifts, or zeros if x is ln softmax already.
__device__ inline void find_shifts(const REAL *x, int C, long long M, long long m, bool from_log,
                                   REAL *shifts) {
    REAL most = x[m];
    SUM sum = 0;
    for (int c = 1; c < C; ++c) most = x[c * M + m] > most ? x[c * M + m] : most;
    for (int c = 0; c < C && !from_log; ++c) sum += exp(x[c * M + m] - most);
    shifts[m] = from_log ? 0 : most;
    shifts[M + m] = from_log ? 0 : log((REAL)sum);
}

// loss = −Σ target ln p, where 0 · −∞ counts as 0; p = softmax(x), or e^x with `from_log`.
extern "C" __global__ void cross_entropy(const REAL *__restrict__ x,
                                         const REAL *__restrict__ target, int C, long long M,
                                         bool from_log, REAL *shifts, REAL *loss) {
    long long m = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (m >= M) return;
    find_shifts(x, C, M, m, from_log, shifts);
    REAL most = shifts[m], rest = shifts[M + m];
    SUM sum = 0;
    for (int c = 0; c < C; ++c) {
        REAL t = target[c * M + m];
        sum += t == 0 ? t : t * (x[c * M + m] - most - rest);
    }
    loss[m] = -sum;
}

// gx = g (p Σ target − target), or −g target with `from_log`; 0 where not `used`, which may be null.
// `g` has one value per column, or one for all.
extern "C" __global__ void cross_entropy_gradient(const REAL *__restrict__ x,
                                                  const REAL *__restrict__ target,
                                                  const REAL *shifts, const bool *used,
                                                  const REAL *g, bool g_per_column, int C,
                                                  long long M, bool from_log,
                                                  REAL *__restrict__ gx) {
    long long m = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (m >= M) return;
    REAL most = shifts[m], rest = shifts[M + m], slope = g[g_per_column ? m : 0];
    SUM all = 0;
    bool counts = !used || used[m];
    for (int c = 0; c < C; ++c) all += target[c * M + m];
    for (int c = 0; c < C; ++c) {
        REAL p = from_log ? 0 : exp(x[c * M + m] - most - rest) * (REAL)all;
        gx[c * M + m] = counts ? (p - target[c * M + m]) * slope : 0;
    }
}

// loss = −weight (1 − p)^gamma ln p, p = softmax(x) of the class `index`. `weight` is (M).
extern "C" __global__ void focal(const REAL *__restrict__ x, const long long *index,
                                 const REAL *weight, REAL gamma, int C, long long M, REAL *shifts,
                                 REAL *loss) {
    long long m = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (m >= M) return;
    find_shifts(x, C, M, m, false, shifts);
    REAL log_p = x[index[m] * M + m] - shifts[m] - shifts[M + m];
    loss[m] = -weight[m] * pow(-expm1(log_p), gamma) * log_p;
}

extern "C" __global__ void focal_gradient(const REAL *__restrict__ x, const long long *index,
                                          const REAL *weight, const REAL *shifts, const REAL *g,
                                          bool g_per_column, REAL gamma, int C, long long M,
                                          REAL *__restrict__ gx) {
    long long m = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (m >= M) return;
    REAL most = shifts[m], rest = shifts[M + m];
    REAL log_p = x[index[m] * M + m] - most - rest, q = -expm1(log_p);
    REAL ratio = q > 0 ? log_p / q : -1;  // the limit
    REAL slope = weight[m] * pow(q, gamma) * (gamma * exp(log_p) * ratio - 1);
    slope *= g[g_per_column ? m : 0];
    for (int c = 0; c < C; ++c) {
        REAL value = -exp(x[c * M + m] - most - rest) * slope;
        gx[c * M + m] = c == index[m] ? value + slope : value;
    }
}
