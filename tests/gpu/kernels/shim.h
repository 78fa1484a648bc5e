// CUDA's device language as plain C++, so that kernels run on a CPU.
//
// The threads of a block are fibers of one OS thread. A fiber runs until it has to wait at a
// barrier; then the next ready one goes on. So every run is deterministic. In one, fibers take
// turns, so that all keep in step. In the other (`opposite`) they start in the opposite order, and
// those that a barrier lets go run first, so that a warp runs as far ahead of others as it may.
// The two differ if a barrier is missing, or if two threads write to one place.
//
// Found out as errors: a barrier that some thread never reaches, a shuffle with less than the whole
// warp, an index outside a fixed-size array, a misaligned vector access, signed overflow, a write
// beyond dynamic shared memory. Shared memory is NaN at the start of a block.
// Atomics are not defined: kernels must not need them.

#pragma once

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
// A section of their own, which `run_block` fills. `extern __shared__` is replaced in shim.py.
#define __shared__ static __attribute__((section("shared_memory")))

using std::exp, std::expm1, std::fabs, std::fma, std::log, std::log1p, std::max, std::min, std::pow;
using std::isinf, std::isnan, std::sqrt;

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline dim3 gridDim, blockDim, blockIdx, threadIdx;

template <class T>
inline T __ldg(const T *p) { return *p; }

template <class To, class From>
inline To shim_bits(From value) {
    static_assert(sizeof(To) == sizeof(From));
    To bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
inline unsigned __float_as_uint(float x) { return shim_bits<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return shim_bits<float>(x); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}

// ---------------------------------------------------------------------------- fibers

namespace shim {

constexpr int WARP = 32, STACK = 1 << 16, BAND = 4096;

struct Copy { void *to; const void *from; int bytes; };  // no `from`: zeros

// Lives for many blocks: at the end of one it waits to be started again.
struct Fiber {
    ucontext_t start;
    jmp_buf here;
    bool started = false;
    dim3 index;
    int number, parity;
    std::deque<std::vector<Copy>> copies;  // cp.async: committed groups, then the open one
    std::unique_ptr<char[]> stack{new char[STACK]};
};

struct Barrier { std::vector<Fiber *> waiting; };
struct Slot { alignas(16) char bytes[16]; };

inline std::vector<Fiber> fibers;
inline std::deque<Fiber *> ready;
inline Fiber *current;
inline int alive, threads;
inline Barrier block_barrier, warp_barriers[WARP];
inline Slot slots[2][WARP * WARP];
inline jmp_buf home;
inline std::function<void()> body;
inline bool opposite;
inline char *dynamic_shared;
inline const char *error;
inline sigjmp_buf trap;

[[noreturn]] inline void fail(const char *what) {
    error = what;
    _longjmp(home, 1);
}

[[noreturn]] inline void resume_next() {
    if (ready.empty()) {
        if (alive) fail("a barrier that not all threads reach");
        _longjmp(home, 1);
    }
    current = ready.front();
    ready.pop_front();
    threadIdx = current->index;
    if (current->started) _longjmp(current->here, 1);
    current->started = true;
    setcontext(&current->start);
    __builtin_unreachable();
}

inline void live() {
    for (;;) {
        body();
        --alive;
        if (!_setjmp(current->here)) resume_next();
    }
}

inline void wait(Barrier &barrier, int members) {
    barrier.waiting.push_back(current);
    if ((int)barrier.waiting.size() < members) {
        if (!_setjmp(current->here)) resume_next();
        return;
    }
    for (Fiber *fiber : barrier.waiting)
        if (fiber != current) opposite ? ready.push_front(fiber) : ready.push_back(fiber);
    barrier.waiting.clear();
}

inline void wait_for_warp() {
    int warp = current->number / WARP, rest = threads - warp * WARP;
    wait(warp_barriers[warp], std::min(rest, WARP));
}

extern "C" __attribute__((weak)) char __start_shared_memory[], __stop_shared_memory[];

inline void run_block() {
    if (__start_shared_memory)
        memset(__start_shared_memory, 0xff, __stop_shared_memory - __start_shared_memory);
    ready.clear();
    block_barrier.waiting.clear();
    for (Barrier &barrier : warp_barriers) barrier.waiting.clear();
    alive = threads;
    for (int i = 0; i < threads; ++i) {
        int n = opposite ? threads - 1 - i : i;
        Fiber &fiber = fibers[n];
        fiber.number = n;
        fiber.parity = 0;
        fiber.copies.assign(1, {});
        fiber.index = {n % blockDim.x, n / blockDim.x % blockDim.y, n / blockDim.x / blockDim.y};
        if (!fiber.started) {
            getcontext(&fiber.start);
            fiber.start.uc_stack.ss_sp = fiber.stack.get();
            fiber.start.uc_stack.ss_size = STACK;
            makecontext(&fiber.start, live, 0);
        }
        ready.push_back(&fiber);
    }
    if (!_setjmp(home)) resume_next();
    if (error) fibers.clear();  // stopped anywhere
}

inline void on_signal(int number) { siglongjmp(trap, number); }

inline const char *run_grid(size_t shared) {
    size_t count = (size_t)gridDim.x * gridDim.y * gridDim.z;
    std::vector<double> memory((shared + 2 * BAND) / sizeof(double) + 1);
    char *raw = (char *)memory.data();
    dynamic_shared = raw + (16 - (size_t)raw % 16) % 16;
    threads = blockDim.x * blockDim.y * blockDim.z;
    if ((int)fibers.size() < threads) fibers = std::vector<Fiber>(threads);
    error = nullptr;
    for (size_t i = 0; i < count && !error; ++i) {
        unsigned long long n = opposite ? count - 1 - i : i;
        blockIdx = {(unsigned)(n % gridDim.x), (unsigned)(n / gridDim.x % gridDim.y),
                    (unsigned)(n / gridDim.x / gridDim.y)};
        memset(dynamic_shared, 0xff, shared + BAND);
        run_block();
        for (int k = 0; k < BAND && !error; ++k)
            if (dynamic_shared[shared + k] != (char)0xff) error = "dynamic shared memory overrun";
    }
    return error;
}

inline const char *run(const unsigned *grid, const unsigned *block, size_t shared,
                       bool opposite_order, std::function<void()> kernel) {
    opposite = opposite_order;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    body = kernel;
    const int numbers[] = {SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE};
    const char *names[] = {"an index outside its array, a misaligned access or an overflow",
                           "an index outside its array, a misaligned access or an overflow",
                           "a bad address", "a bad address", "a division by zero"};
    struct sigaction ours = {}, before[5];
    ours.sa_handler = on_signal;
    for (int i = 0; i < 5; ++i) sigaction(numbers[i], &ours, &before[i]);
    int number = sigsetjmp(trap, 1);
    const char *result = nullptr;
    if (!number) result = run_grid(shared);
    else fibers.clear();
    for (int i = 0; i < 5; ++i) {
        sigaction(numbers[i], &before[i], nullptr);
        if (number == numbers[i]) result = names[i];
    }
    return result;
}

}  // namespace shim

// ---------------------------------------------------------------------------- threads together

inline void __syncthreads() { shim::wait(shim::block_barrier, shim::threads); }
inline void __syncwarp(unsigned mask = 0xffffffff) {
    if (mask != 0xffffffff) shim::fail("a warp mask that is not full");
    shim::wait_for_warp();
}

// Two sets of slots in turn: who writes to one again has met all its readers at the other.
template <class T>
inline T __shfl_sync(unsigned mask, T value, int lane) {
    using namespace shim;
    if (mask != 0xffffffff || threads % WARP) fail("a shuffle of less than a whole warp");
    Slot *mine = slots[current->parity ^= 1];
    memcpy(mine[current->number].bytes, &value, sizeof value);
    wait_for_warp();
    memcpy(&value, mine[current->number / WARP * WARP + lane % WARP].bytes, sizeof value);
    return value;
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits) {
    return __shfl_sync(mask, value, (shim::current->number % shim::WARP) ^ bits);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, int by) {
    int lane = shim::current->number % shim::WARP;
    return __shfl_sync(mask, value, lane + by < shim::WARP ? lane + by : lane);
}

// cp.async copies as late as it may, when its group is waited for; in the opposite run as early as
// it may, at once. So the two runs differ if a kernel does not wait for it, or
// lets it overwrite what other threads still read.
namespace shim {
inline void do_copy(const Copy &copy) {
    copy.from ? memcpy(copy.to, copy.from, copy.bytes) : memset(copy.to, 0, copy.bytes);
}
inline void copy_later(void *to, const void *from, int bytes) {
    if (opposite)
        do_copy({to, from, bytes});
    else
        current->copies.back().push_back({to, from, bytes});
}
inline void commit_copies() { current->copies.push_back({}); }
inline void wait_for_copies(int pending) {
    auto &groups = current->copies;
    for (; (int)groups.size() > pending + 1; groups.pop_front())
        for (Copy &copy : groups.front()) do_copy(copy);
}
}  // namespace shim
