// Dropout whose mask is the random stream of minigrad/rng.py, bit-identical to the CPU's. The backward
// pass draws the mask again, so it takes no memory. Macro: REAL.

// Philox 4x64-10 (Salmon et al., SC 2011): four words as a function of key and counter.
__device__ inline void philox(unsigned long long key0, unsigned long long key1,
                              unsigned long long words[4]) {
    const unsigned long long m0 = 0xD2E7470EE14C6C93ull, m1 = 0xCA5A826395121157ull;
    for (int round = 0; round < 10; ++round) {
        unsigned long long low0 = m0 * words[0], high0 = __umul64hi(m0, words[0]);
        unsigned long long low1 = m1 * words[2], high1 = __umul64hi(m1, words[2]);
        words[0] = high1 ^ words[1] ^ key0;
        words[1] = low1;
        words[2] = high0 ^ words[3] ^ key1;
        words[3] = low0;
        key0 += 0x9E3779B97F4A7C15ull;
        key1 += 0xBB67AE8584CAA73Bull;
    }
}

// y = x scale where the element's 32-bit word is at least `limit`, else x 0 (which is NaN for NaN and
// infinity). Arrays are flat, with one thread per block of the stream, which is eight elements.
// `stream` holds the two words of the key and the number of the draw. It is an array because it changes
// from step to step, while the arguments of a captured step cannot.
extern "C" __global__ void dropout(const REAL *__restrict__ x, long long n,
                                   const unsigned long long *stream, unsigned long long limit,
                                   REAL scale, REAL *__restrict__ y) {
    long long block = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    unsigned long long words[4] = {block + 1ull, 0, 0, stream[2]};  // NumPy counts before it draws
    philox(stream[0], stream[1], words);
    for (int k = 0; k < 8; ++k) {
        long long i = 8 * block + k;
        unsigned word = words[k / 2] >> k % 2 * 32;
        if (i < n) y[i] = x[i] * (word >= limit ? scale : 0);
    }
}
