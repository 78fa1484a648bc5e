// Activations of flat arrays, with one thread per element. Macro: REAL.

// gx = g where y is not 0 (y = max(x, 0), or NaN), else 0.
extern "C" __global__ void relu_gradient(const REAL *__restrict__ y, const REAL *__restrict__ g,
                                         long long n, REAL *__restrict__ gx) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) gx[i] = y[i] != 0 ? g[i] : 0;
}
