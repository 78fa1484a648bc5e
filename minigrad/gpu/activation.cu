// Activations of flat arrays, with one thread per element. Macro: REAL.
// minigrad/ops/activation.py has the formulas.

#define ELEMENT ((long long)blockIdx.x * blockDim.x + threadIdx.x)

// gx = g where y is not 0 (y = max(x, 0), or NaN), else 0.
extern "C" __global__ void relu_gradient(const REAL *__restrict__ y, const REAL *__restrict__ g,
                                         long long n, REAL *__restrict__ gx) {
    long long i = ELEMENT;
    if (i < n) gx[i] = y[i] != 0 ? g[i] : 0;
}

// y = 1 / (1 + e^-x); its gradient is of y.
extern "C" __global__ void sigmoid(const REAL *__restrict__ x, long long n, REAL *__restrict__ y) {
    long long i = ELEMENT;
    if (i < n) y[i] = 1 / (1 + exp(-x[i]));
}

extern "C" __global__ void sigmoid_gradient(const REAL *__restrict__ y, const REAL *__restrict__ g,
                                            long long n, REAL *__restrict__ gx) {
    long long i = ELEMENT;
    if (i < n) gx[i] = g[i] * y[i] * (1 - y[i]);
}

// Phi(x), the normal distribution function.
__device__ inline REAL normal(REAL x) { return (REAL)0.5 * (1 + erf(x * (REAL)0.70710678118654752)); }

// y = x Phi(x)
extern "C" __global__ void gelu(const REAL *__restrict__ x, long long n, REAL *__restrict__ y) {
    long long i = ELEMENT;
    if (i < n) y[i] = x[i] * normal(x[i]);
}

extern "C" __global__ void gelu_gradient(const REAL *__restrict__ x, const REAL *__restrict__ g,
                                         long long n, REAL *__restrict__ gx) {
    long long i = ELEMENT;
    if (i >= n) return;
    REAL at = x[i], density = exp((REAL)-0.5 * at * at) * (REAL)0.39894228040143268;  // 1 / sqrt(2 pi)
    gx[i] = g[i] * (normal(at) + at * density);
}
