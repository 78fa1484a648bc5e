// What CuPy takes from CUB, Thrust and cuBLAS, by plain loops on the host.
//
// Only what minigrad reaches: sums, products, extremes and their places, cumulative sums, sorting,
// and products of matrices. It is no test of those libraries.
#include "runtime.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

using namespace emulator;
using Size = long;

// A function of a null pointer of the type that CuPy numbers so (cupy/cuda/cupy_cub.h).
template <class Work>
static void with_type(int number, Work work) {
    switch (number) {
        case 0: return work((int8_t *)nullptr);
        case 1: return work((u8 *)nullptr);
        case 2: return work((int16_t *)nullptr);
        case 3: return work((u16 *)nullptr);
        case 4: return work((i32 *)nullptr);
        case 5: return work((u32 *)nullptr);
        case 6: return work((i64 *)nullptr);
        case 7: return work((u64 *)nullptr);
        case 8: return work((_Float16 *)nullptr);
        case 9: return work((float *)nullptr);
        case 10: return work((double *)nullptr);
        default: fail("not emulated: CuPy's type number %d in CUB or Thrust", number);
    }
}

enum Operation { SUM, MIN, MAX, ARGMIN, ARGMAX, CUMSUM, CUMPROD, PROD };

template <class T>
static T sum(const T *x, Size count) {  // by halves, as exact as a tree of a device
    if (count > 8) return sum(x, count / 2) + sum(x + count / 2, count - count / 2);
    T total = 0;
    for (Size k = 0; k < count; ++k) total += x[k];
    return total;
}
template <class T>
static Size place(const T *x, Size count, bool largest) {  // of NaN first
    Size best = 0;
    for (Size k = 1; k < count && x[best] == x[best]; ++k)
        if (x[k] != x[k] || (largest ? x[k] > x[best] : x[k] < x[best])) best = k;
    return best;
}
template <class T>
static T reduced(const T *x, Size count, int operation) {
    if (operation == SUM) return sum(x, count);
    if (operation == MIN || operation == MAX) return x[place(x, count, operation == MAX)];
    T product = 1;
    for (Size k = 0; k < count; ++k) product *= x[k];
    return product;
}

static void reduce(void *from, void *to, Size rows, Size count, int operation, int type) {
    with_type(type, [&](auto *null) {
        using T = std::remove_pointer_t<decltype(null)>;
        auto *x = (const T *)readable((u64)from, rows * count * sizeof(T));
        if (operation == ARGMIN || operation == ARGMAX) {  // {int key; T value}
            i32 at = (i32)place(x, count, operation == ARGMAX);
            memcpy(writable((u64)to, 4), &at, 4);
            return;
        }
        auto *y = (T *)writable((u64)to, rows * sizeof(T));
        for (Size row = 0; row < rows; ++row) y[row] = reduced(x + row * count, count, operation);
    });
}
static void accumulate(void *from, void *to, Size count, int operation, int type) {
    with_type(type, [&](auto *null) {
        using T = std::remove_pointer_t<decltype(null)>;
        auto *x = (const T *)readable((u64)from, count * sizeof(T));
        auto *y = (T *)writable((u64)to, count * sizeof(T));
        T total = operation == CUMSUM ? 0 : 1;
        for (Size k = 0; k < count; ++k)
            y[k] = total = operation == CUMSUM ? T(total + x[k]) : T(total * x[k]);
    });
}

API size_t under_cub_device_reduce_get_workspace_size(void *, void *, int, void *, int, int) {
    return 512;
}
API size_t under_cub_device_segmented_reduce_get_workspace_size(void *, void *, int, int, void *,
                                                                int, int) {
    return 512;
}
API size_t under_cub_device_scan_get_workspace_size(void *, void *, int, void *, int, int) {
    return 512;
}
API void under_cub_device_reduce(void *, size_t &, void *x, void *y, int count, void *stream,
                                 int operation, int type) {
    Lock lock(machine_lock);
    submit(stream_of(stream), "cub reduce", [=] { reduce(x, y, 1, count, operation, type); });
}
API void under_cub_device_segmented_reduce(void *, size_t &, void *x, void *y, int rows, int count,
                                           void *stream, int operation, int type) {
    Lock lock(machine_lock);
    submit(stream_of(stream), "cub segmented reduce", [=] { reduce(x, y, rows, count, operation, type); });
}
API void under_cub_device_scan(void *, size_t &, void *x, void *y, int count, void *stream,
                               int operation, int type) {
    Lock lock(machine_lock);
    submit(stream_of(stream), "cub scan", [=] { accumulate(x, y, count, operation, type); });
}

API void under_thrust_sort(int type, void *data, size_t *, const std::vector<ptrdiff_t> &shape,
                           intptr_t stream, void *) {
    Lock lock(machine_lock);
    Size count = shape.back(), rows = 1;
    for (size_t k = 0; k + 1 < shape.size(); ++k) rows *= shape[k];
    submit(stream_of((void *)stream), "thrust sort", [=] {
        with_type(type, [&](auto *null) {
            using T = std::remove_pointer_t<decltype(null)>;
            auto *x = (T *)writable((u64)data, rows * count * sizeof(T));
            auto before = [](T a, T b) { return b != b ? a == a : a < b; };  // NaN last
            for (Size row = 0; row < rows; ++row)
                std::stable_sort(x + row * count, x + (row + 1) * count, before);
        });
    });
}
API void under_thrust_argsort(int type, size_t *places, void *data, void *,
                              const std::vector<ptrdiff_t> &shape, intptr_t stream, void *) {
    Lock lock(machine_lock);
    Size count = shape.back(), rows = 1;
    for (size_t k = 0; k + 1 < shape.size(); ++k) rows *= shape[k];
    submit(stream_of((void *)stream), "thrust sort", [=] {
        with_type(type, [&](auto *null) {
            using T = std::remove_pointer_t<decltype(null)>;
            auto *x = (const T *)readable((u64)data, rows * count * sizeof(T));
            auto *y = (size_t *)writable((u64)places, rows * count * sizeof(size_t));
            for (Size row = 0; row < rows; ++row, x += count, y += count) {
                for (Size k = 0; k < count; ++k) y[k] = k;
                std::stable_sort(y, y + count, [x](size_t a, size_t b) {
                    return x[b] != x[b] ? x[a] == x[a] : x[a] < x[b];
                });
            }
        });
    });
}

// ---------------------------------------------------------------- cuBLAS

// op(A) op(B) of column-major matrices, one after the other; numbers are added up in double.
struct Product {
    int m, n, k;
    bool turn_a, turn_b;
    double alpha, beta;
    const void *a, *b;
    void *c;
    int lda, ldb, ldc;
    Size step_a, step_b, step_c;
    int count;
    int type;  // 0 float, 1 double, 2 half
};

template <class T>
static void multiply(const Product &p) {
    auto bytes = [&](Size columns, Size ld, Size step) {
        return ((p.count - 1) * step + columns * ld) * sizeof(T);
    };
    auto last = [&](Size rows, Size columns, Size ld, Size step) {
        return bytes(columns, ld, step) - (ld - rows) * sizeof(T);
    };
    if (!p.m || !p.n || !p.count) return;
    Size a_rows = p.turn_a ? p.k : p.m, a_columns = p.turn_a ? p.m : p.k;
    Size b_rows = p.turn_b ? p.n : p.k, b_columns = p.turn_b ? p.k : p.n;
    auto *a = (const T *)readable((u64)p.a, last(a_rows, a_columns, p.lda, p.step_a));
    auto *b = (const T *)readable((u64)p.b, last(b_rows, b_columns, p.ldb, p.step_b));
    auto *c = (T *)writable((u64)p.c, last(p.m, p.n, p.ldc, p.step_c));
    for (int z = 0; z < p.count; ++z, a += p.step_a, b += p.step_b, c += p.step_c)
        for (Size j = 0; j < p.n; ++j)
            for (Size i = 0; i < p.m; ++i) {
                double total = 0;
                for (Size x = 0; x < p.k; ++x)
                    total += (double)a[p.turn_a ? i * p.lda + x : x * p.lda + i] *
                             (double)b[p.turn_b ? x * p.ldb + j : j * p.ldb + x];
                T &result = c[j * p.ldc + i];
                result = (T)(p.alpha * total + (p.beta ? p.beta * (double)result : 0));
            }
}

struct Handle {
    void *stream = nullptr;
    int math = 0, pointers = 0;
};
static int product(void *handle, const Product &p) {
    Lock lock(machine_lock);
    submit(stream_of(((Handle *)handle)->stream), "cublas gemm", [p] {
        p.type == 0 ? multiply<float>(p) : p.type == 1 ? multiply<double>(p) : multiply<_Float16>(p);
    });
    return 0;
}

API int under_cublasCreate_v2(void **handle) { return *handle = new Handle, 0; }
API int under_cublasDestroy_v2(void *handle) { return delete (Handle *)handle, 0; }
API int under_cublasGetVersion_v2(void *, int *version) { return *version = 130000, 0; }
API int under_cublasSetStream_v2(void *h, void *stream) { return ((Handle *)h)->stream = stream, 0; }
API int under_cublasGetStream_v2(void *h, void **stream) { return *stream = ((Handle *)h)->stream, 0; }
API int under_cublasSetMathMode(void *h, int mode) { return ((Handle *)h)->math = mode, 0; }
API int under_cublasGetMathMode(void *h, int *mode) { return *mode = ((Handle *)h)->math, 0; }
API int under_cublasSetPointerMode_v2(void *h, int mode) { return ((Handle *)h)->pointers = mode, 0; }
API int under_cublasGetPointerMode_v2(void *h, int *mode) { return *mode = ((Handle *)h)->pointers, 0; }

template <class T>
static int plain(void *h, int ta, int tb, int m, int n, int k, const T *alpha, const T *a, int lda,
                 Size sa, const T *b, int ldb, Size sb, const T *beta, T *c, int ldc, Size sc,
                 int count) {
    int type = std::is_same_v<T, float> ? 0 : 1;
    return product(h, {m, n, k, ta != 0, tb != 0, *alpha, *beta, a, b, c, lda, ldb, ldc, sa, sb, sc,
                       count, type});
}
API int under_cublasSgemm_v2(void *h, int ta, int tb, int m, int n, int k, const float *alpha,
                       const float *a, int lda, const float *b, int ldb, const float *beta,
                       float *c, int ldc) {
    return plain(h, ta, tb, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);
}
API int under_cublasDgemm_v2(void *h, int ta, int tb, int m, int n, int k, const double *alpha,
                       const double *a, int lda, const double *b, int ldb, const double *beta,
                       double *c, int ldc) {
    return plain(h, ta, tb, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);
}
API int under_cublasSgemmStridedBatched(void *h, int ta, int tb, int m, int n, int k, const float *alpha,
                                  const float *a, int lda, long long sa, const float *b, int ldb,
                                  long long sb, const float *beta, float *c, int ldc, long long sc,
                                  int count) {
    return plain(h, ta, tb, m, n, k, alpha, a, lda, sa, b, ldb, sb, beta, c, ldc, sc, count);
}
API int under_cublasDgemmStridedBatched(void *h, int ta, int tb, int m, int n, int k, const double *alpha,
                                  const double *a, int lda, long long sa, const double *b, int ldb,
                                  long long sb, const double *beta, double *c, int ldc,
                                  long long sc, int count) {
    return plain(h, ta, tb, m, n, k, alpha, a, lda, sa, b, ldb, sb, beta, c, ldc, sc, count);
}

// Types of matrices: cudaDataType's 0, 1 and 2. The scalars are double if the sums are.
static int of_types(void *h, int ta, int tb, int m, int n, int k, const void *alpha, const void *a,
                    int type, int lda, Size sa, const void *b, int type_b, int ldb, Size sb,
                    const void *beta, void *c, int type_c, int ldc, Size sc, int count, bool wide) {
    if (type > 2 || type_b != type || type_c != type) return 15;  // CUBLAS_STATUS_NOT_SUPPORTED
    auto number = [wide](const void *x) { return wide ? *(double *)x : (double)*(float *)x; };
    return product(h, {m, n, k, ta != 0, tb != 0, number(alpha), number(beta), a, b, c, lda, ldb,
                       ldc, sa, sb, sc, count, type});
}
API int under_cublasGemmEx(void *h, int ta, int tb, int m, int n, int k, const void *alpha, const void *a,
                     int type_a, int lda, const void *b, int type_b, int ldb, const void *beta,
                     void *c, int type_c, int ldc, int compute, int) {
    return of_types(h, ta, tb, m, n, k, alpha, a, type_a, lda, 0, b, type_b, ldb, 0, beta, c,
                    type_c, ldc, 0, 1, compute == 70 || compute == 71);
}
API int under_cublasGemmStridedBatchedEx(void *h, int ta, int tb, int m, int n, int k, const void *alpha,
                                   const void *a, int type_a, int lda, long long sa, const void *b,
                                   int type_b, int ldb, long long sb, const void *beta, void *c,
                                   int type_c, int ldc, long long sc, int count, int compute, int) {
    return of_types(h, ta, tb, m, n, k, alpha, a, type_a, lda, sa, b, type_b, ldb, sb, beta, c,
                    type_c, ldc, sc, count, compute == 70 || compute == 71);
}
API int under_cublasSgemmEx(void *h, int ta, int tb, int m, int n, int k, const float *alpha,
                      const void *a, int type_a, int lda, const void *b, int type_b, int ldb,
                      const float *beta, void *c, int type_c, int ldc) {
    return of_types(h, ta, tb, m, n, k, alpha, a, type_a, lda, 0, b, type_b, ldb, 0, beta, c,
                    type_c, ldc, 0, 1, false);
}
API int under_cublas_not_supported() { return 15; }
