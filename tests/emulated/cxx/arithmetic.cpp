// Arithmetic of one thread. See "PTX ISA", sections 9.7.1 to 9.7.5.
//
// fma, add, mul, div and sqrt round as IEEE 754 says and as a device does; approximate functions
// (ex2, lg2, sin, rsqrt ...) are rounded exactly here, a few last bits closer than there.
#include "numbers.h"

namespace emulator {

// ---------------------------------------------------------------- shapes of instructions

template <class T, auto F>
static void binary(const Instruction &i, Thread &t) {
    Rounded rounded(i.rounding);
    volatile T y = F(operand<T>(i, t, 0), operand<T>(i, t, 1));
    result<T>(i, t, y);
}
template <class T, auto F>
static void ternary(const Instruction &i, Thread &t) {
    Rounded rounded(i.rounding);
    volatile T y = F(operand<T>(i, t, 0), operand<T>(i, t, 1), operand<T>(i, t, 2));
    result<T>(i, t, y);
}
template <class T, auto F>  // of 16 bits, by way of wider numbers
static void narrow(const Instruction &i, Thread &t) {
    double x[3] = {};
    for (size_t k = 0; k < i.from_slots.size(); ++k) x[k] = widened(get<T>(t, i.from_slots[k]));
    put(t, i.to[0], narrowed<T>(F(x[0], x[1], x[2])));
}
template <auto F>
static Step of_floats2(Type type) {
    return type == Type::f32 ? binary<float, F> : type == Type::f64 ? binary<double, F> : nullptr;
}
template <auto F>
static Step of_narrow(Type type) {
    return type == Type::f16 ? narrow<Half, F> : type == Type::bf16 ? narrow<Brain, F> : nullptr;
}

// ---------------------------------------------------------------- arithmetic

template <class T>
static T smaller(T a, T b, bool most) {
    if (a != a) return b;
    if (b != b) return a;
    if (a == b) return most == std::signbit((double)a) ? b : a;  // -0 is below 0
    return (a < b) != most ? a : b;
}

template <class T, bool most>
static void extreme(const Instruction &i, Thread &t) {
    T a = operand<T>(i, t, 0), b = operand<T>(i, t, 1);
    if (!i.quiet && (a != a || b != b)) return result<T>(i, t, std::numeric_limits<T>::quiet_NaN());
    result<T>(i, t, smaller(a, b, most));
}

// Sums with a carry, which a thread keeps from one instruction to the next.
static void with_carry(const Instruction &i, Thread &t, u64 a, u64 b, bool minus) {
    int bits = 8 * size_of(i.type);
    unsigned __int128 x = masked(a, i.type), y = masked(b, i.type);
    unsigned __int128 carry = i.carry_in && t.carry;
    unsigned __int128 sum = minus ? x - y - carry : x + y + carry;
    if (i.carry_out) t.carry = (sum >> bits) & 1;
    write(i, t, (u64)sum, i.type);
}
static void add_carry(const Instruction &i, Thread &t) {
    with_carry(i, t, t.r[i.from_slots[0]], t.r[i.from_slots[1]], i.mode == 1);
}
static void add_saturated(const Instruction &i, Thread &t) {
    i64 a = get<i32>(t, i.from_slots[0]), b = get<i32>(t, i.from_slots[1]);
    i64 sum = i.mode == 1 ? a - b : a + b;
    put<i32>(t, i.to[0], (i32)std::clamp<i64>(sum, INT32_MIN, INT32_MAX));
}

static u64 product(const Instruction &i, const Thread &t) {
    u64 a = read(i, t, 0, i.type), b = read(i, t, 1, i.type);
    if (!i.high) return a * b;
    unsigned __int128 whole = is_signed(i.type) ? (unsigned __int128)((__int128)(i64)a * (i64)b)
                                                : (unsigned __int128)a * b;
    return (u64)(whole >> 8 * size_of(i.type));
}
static Type of_product(const Instruction &i) {
    return !i.wide ? i.type : size_of(i.type) == 2 ? Type::b32 : Type::b64;
}
static void multiply(const Instruction &i, Thread &t) { write(i, t, product(i, t), of_product(i)); }
static void multiply_add(const Instruction &i, Thread &t) {
    u64 c = t.r[i.from_slots[2]];
    if (i.carry_in || i.carry_out) return with_carry(i, t, product(i, t), c, false);
    write(i, t, product(i, t) + c, of_product(i));
}

template <bool remainder>
static void divide(const Instruction &i, Thread &t) {
    u64 a = read(i, t, 0, i.type), b = read(i, t, 1, i.type), q;
    if (b == 0)
        q = remainder ? a : ~0ull;  // as a device does
    else if (is_signed(i.type) && b == ~0ull)
        q = remainder ? 0 : -a;
    else if (is_signed(i.type))
        q = remainder ? (i64)a % (i64)b : (i64)a / (i64)b;
    else
        q = remainder ? a % b : a / b;
    write(i, t, q, i.type);
}

static double approximate(const Instruction &i, double x) {
    switch (i.mode) {
        case 0: return exp2(x);
        case 1: return log2(x);
        case 2: return sin(x);
        case 3: return cos(x);
        case 4: return tanh(x);
        case 5: return 1 / sqrt(x);
        case 6: return sqrt(x);
        default: return 1 / x;
    }
}
template <class T>
static void by_libm(const Instruction &i, Thread &t) {
    Rounded rounded(i.rounding);
    double x = operand<T>(i, t, 0);
    if constexpr (std::is_same_v<T, float>)
        if (i.mode == 6 && i.rounding != Rounding::none) return result<T>(i, t, sqrtf((float)x));
    if constexpr (std::is_same_v<T, float>)
        if (i.mode == 7) return result<T>(i, t, 1.0f / (float)x);
    volatile T y = (T)approximate(i, x);
    result<T>(i, t, y);
}

template <class T>
static void copy_sign(const Instruction &i, Thread &t) {
    result<T>(i, t, std::copysign(get<T>(t, i.from_slots[1]), get<T>(t, i.from_slots[0])));
}
template <class T, bool absolute>
static void sign(const Instruction &i, Thread &t) {  // of NaN too
    T top = T(1) << (8 * sizeof(T) - 1), bits = get<T>(t, i.from_slots[0]);
    if constexpr (sizeof(T) == 4)
        if (i.flush) {
            float x = flushed(get<float>(t, i.from_slots[0]));
            memcpy(&bits, &x, 4);
        }
    put<T>(t, i.to[0], absolute ? bits & ~top : bits ^ top);
}

Step arithmetic(Instruction &i, const std::string &base) {
    constexpr auto add = [](auto a, auto b, auto... c) { return a + b; };
    constexpr auto subtract = [](auto a, auto b, auto... c) { return a - b; };
    constexpr auto times = [](auto a, auto b, auto... c) { return a * b; };
    constexpr auto over = [](auto a, auto b) { return a / b; };
    constexpr auto fused = [](auto a, auto b, auto c) { return std::fma(a, b, c); };
    constexpr auto least = [](auto a, auto b, auto... c) { return std::min(a, b); };
    constexpr auto most = [](auto a, auto b, auto... c) { return std::max(a, b); };
    constexpr auto minus = [](auto a, auto... b) { return -a; };
    constexpr auto size = [](auto a, auto... b) { return a < 0 ? -a : a; };
    bool real = i.type == Type::f32 || i.type == Type::f64, narrow = is_float(i.type) && !real;
    bool single = i.type == Type::f32;
    if (base == "add" || base == "sub" || base == "addc" || base == "subc") {
        bool minus_it = base[0] == 's';
        i.mode = minus_it;
        i.carry_in = base.size() == 4;
        if (i.carry_in || i.carry_out) return add_carry;
        if (i.saturate && i.type == Type::s32) return add_saturated;
        if (real) return minus_it ? of_floats2<subtract>(i.type) : of_floats2<add>(i.type);
        if (narrow) return minus_it ? of_narrow<subtract>(i.type) : of_narrow<add>(i.type);
        return minus_it ? of_integers<subtract>(i.type) : of_integers<add>(i.type);
    }
    if (base == "mul" || base == "mul24")
        return real ? of_floats2<times>(i.type) : narrow ? of_narrow<times>(i.type) : multiply;
    if (base == "fma" || (base == "mad" && is_float(i.type))) {
        if (narrow) return of_narrow<fused>(i.type);
        return single ? ternary<float, fused> : ternary<double, fused>;
    }
    if (base == "mad" || base == "madc") {
        i.carry_in = base == "madc";
        return multiply_add;
    }
    if (base == "div") return real ? of_floats2<over>(i.type) : divide<false>;
    if (base == "rem") return divide<true>;
    if (base == "min" || base == "max") {
        bool max = base == "max";
        if (single) return max ? extreme<float, true> : extreme<float, false>;
        if (real) return max ? extreme<double, true> : extreme<double, false>;
        constexpr auto nan_least = [](double a, double b, double) { return std::fmin(a, b); };
        constexpr auto nan_most = [](double a, double b, double) { return std::fmax(a, b); };
        if (narrow) return max ? of_narrow<nan_most>(i.type) : of_narrow<nan_least>(i.type);
        return max ? of_integers<most>(i.type) : of_integers<least>(i.type);
    }
    if (base == "neg" || base == "abs") {
        bool absolute = base == "abs";
        if (single) return absolute ? sign<u32, true> : sign<u32, false>;
        if (real) return absolute ? sign<u64, true> : sign<u64, false>;
        if (narrow) return absolute ? sign<u16, true> : sign<u16, false>;
        return absolute ? of_integers<size>(i.type) : of_integers<minus>(i.type);
    }
    if (base == "copysign") return single ? copy_sign<float> : copy_sign<double>;
    static const std::vector<std::string> functions = {"ex2", "lg2", "sin", "cos", "tanh",
                                                       "rsqrt", "sqrt", "rcp"};
    auto found = std::find(functions.begin(), functions.end(), base);
    if (found == functions.end() || narrow) return nullptr;
    i.mode = int(found - functions.begin());
    return single ? by_libm<float> : by_libm<double>;
}

}  // namespace emulator
