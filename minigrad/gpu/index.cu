// Indexing with arrays. Macro: REAL.

// Check that each of M indices is in [-size, size). One that is not is written to `alarm`; of several,
// any one.
extern "C" __global__ void within(const long long *index, long long M, long long size,
                                  long long *alarm) {
    long long m = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (m < M && (index[m] < -size || index[m] >= size)) *alarm = index[m];
}

// y[p] = Σ of x[m] over the m whose place is p, in order; other elements of y stay. `sorted` holds
// place · M + m of each of the M elements, in ascending order. One thread per element: the thread of
// the first element of a place adds all of them.
extern "C" __global__ void add_at(const REAL *__restrict__ x,
                                  const long long *__restrict__ sorted, long long M,
                                  REAL *__restrict__ y) {
    long long k = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= M) return;
    long long place = sorted[k] / M;
    if (k > 0 && sorted[k - 1] / M == place) return;
    REAL sum = 0;
    for (; k < M && sorted[k] / M == place; ++k) sum += x[sorted[k] % M];
    y[place] = sum;
}
