// Optimisers: one launch updates all parameters of a rule. minigrad/optim has the rules.
//
// `arrays` holds the addresses of `count` parameters, then of their gradients, then of each state
// array, in the same order; `sizes` (count) holds their numbers of elements. Blocks [starts[i],
// starts[i + 1]) update parameter i, CHUNK elements each. `numbers` are the rule's. They are in an array
// because some change from step to step, while the arguments of a captured step cannot. Numbers that
// follow from an option, such as take = 1 − keep, are computed in float64 before conversion to REAL.
//
// Macros: REAL, CHUNK. Blocks of any size.

struct Chunk {
    int parameter;
    long long first, last;  // its elements
};

__device__ inline Chunk my_chunk(const long long *sizes, const int *starts, int count) {
    int low = 0, high = count - 1, block = blockIdx.x;
    while (low < high) {  // find the last parameter that starts at or before this block
        int middle = (low + high + 1) / 2;
        if (starts[middle] <= block)
            low = middle;
        else
            high = middle - 1;
    }
    long long first = (long long)(block - starts[low]) * CHUNK, size = sizes[low];
    return {low, first, first + CHUNK < size ? first + CHUNK : size};
}

// keep mean + take x with keep + take = 1, in the form that rounds the smaller term.
__device__ inline REAL towards(REAL mean, REAL x, REAL keep, REAL take) {
    return take < REAL(0.5) ? mean + (x - mean) * take : x - (x - mean) * keep;
}

// g ← sign g + decay p;  b ← momentum b + take g;  p ← p − lr b, or lr (g + momentum b). With
// momentum 0 there is no b, and p ← p − lr g.
extern "C" __global__ void sgd(REAL *const *arrays, const long long *sizes, const int *starts,
                               int count, const REAL *numbers) {
    const REAL lr = numbers[0], momentum = numbers[1], take = numbers[2], decay = numbers[3];
    const REAL sign = numbers[4];
    const bool nesterov = numbers[5] != 0;
    Chunk chunk = my_chunk(sizes, starts, count);
    REAL *p = arrays[chunk.parameter];
    const REAL *g = arrays[count + chunk.parameter];
    REAL *b = momentum != 0 ? arrays[2 * count + chunk.parameter] : nullptr;
    for (long long i = chunk.first + threadIdx.x; i < chunk.last; i += blockDim.x) {
        REAL d = sign * g[i] + decay * p[i], v = d;
        if (b) b[i] = v = momentum * b[i] + take * d;
        p[i] -= lr * (nesterov ? d + momentum * v : v);
    }
}

// p ← shrink p;  g ← sign g + decay p;  m ← keep1 m + take1 g;  v ← keep2 v + take2 g²;
// p ← p − rate m / (√v + eps). With `amsgrad`, v_max ← max(v_max, v) replaces v in the last step.
extern "C" __global__ void adam(REAL *const *arrays, const long long *sizes, const int *starts,
                                int count, const REAL *numbers) {
    const REAL rate = numbers[0], eps = numbers[1], keep1 = numbers[2], take1 = numbers[3];
    const REAL keep2 = numbers[4], take2 = numbers[5];
    const REAL decay = numbers[6], shrink = numbers[7], sign = numbers[8];
    Chunk chunk = my_chunk(sizes, starts, count);
    REAL *p = arrays[chunk.parameter];
    const REAL *g = arrays[count + chunk.parameter];
    REAL *m = arrays[2 * count + chunk.parameter], *v = arrays[3 * count + chunk.parameter];
    REAL *v_max = numbers[9] != 0 ? arrays[4 * count + chunk.parameter] : nullptr;
    for (long long i = chunk.first + threadIdx.x; i < chunk.last; i += blockDim.x) {
        REAL q = shrink * p[i], d = sign * g[i] + decay * q;
        REAL first = towards(m[i], d, keep1, take1);
        REAL second = keep2 * v[i] + take2 * (d * d);
        m[i] = first;
        v[i] = second;
        if (v_max) v_max[i] = second = second <= v_max[i] ? v_max[i] : second;
        p[i] = q - rate * (first / (sqrt(second) + eps));
    }
}

// g ← sign g + decay p;  v ← keep v + take g²;  u = g / (√v + eps), where `centered` takes
// √(v − mean²) with mean ← keep mean + take g;  b ← momentum b + u;  p ← p − lr b, or p − lr u with
// momentum 0. State: v, then b with momentum, then mean if `centered`.
extern "C" __global__ void rmsprop(REAL *const *arrays, const long long *sizes, const int *starts,
                                   int count, const REAL *numbers) {
    const REAL lr = numbers[0], keep = numbers[1], take = numbers[2], eps = numbers[3];
    const REAL decay = numbers[4], momentum = numbers[5], sign = numbers[6];
    const bool centered = numbers[7] != 0;
    Chunk chunk = my_chunk(sizes, starts, count);
    REAL *p = arrays[chunk.parameter];
    const REAL *g = arrays[count + chunk.parameter];
    REAL *v = arrays[2 * count + chunk.parameter];
    REAL *b = momentum != 0 ? arrays[3 * count + chunk.parameter] : nullptr;
    REAL *mean = centered ? arrays[(b ? 4 : 3) * count + chunk.parameter] : nullptr;
    for (long long i = chunk.first + threadIdx.x; i < chunk.last; i += blockDim.x) {
        REAL d = sign * g[i] + decay * p[i], spread = keep * v[i] + take * (d * d);
        v[i] = spread;
        if (mean) {
            mean[i] = towards(mean[i], d, keep, take);
            spread -= mean[i] * mean[i];
        }
        REAL u = d / (sqrt(spread) + eps);
        if (b) b[i] = u = momentum * b[i] + u;
        p[i] -= lr * u;
    }
}
