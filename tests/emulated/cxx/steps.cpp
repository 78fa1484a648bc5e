// What instructions of PTX do to one thread. See "PTX ISA", chapter 9.
//
// Rounding: fma, add, mul, div and sqrt round as IEEE 754 says and as a device does; approximate
// functions (ex2, lg2, sin, rsqrt ...) are rounded exactly here, a few last bits closer than there.
#include "ptx.h"

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstring>
#include <limits>

namespace emulator {

// ---------------------------------------------------------------- numbers

struct Half { u16 bits; };
struct Brain { u16 bits; };

static float widened(Half h) {
    _Float16 value;
    memcpy(&value, &h, 2);
    return (float)value;
}
static float widened(Brain b) {
    u32 bits = (u32)b.bits << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

template <class T>
static T narrowed(double x);
template <>
Half narrowed<Half>(double x) {
    _Float16 value = (_Float16)x;
    Half h;
    memcpy(&h, &value, 2);
    return h;
}
template <>
Brain narrowed<Brain>(double x) {  // of a float's value, to the nearest even
    float value = (float)x;
    u32 bits;
    memcpy(&bits, &value, 4);
    if (value != value) return {0x7fff};
    return {(u16)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

template <class T>
static T flushed(T x) {
    if constexpr (std::is_same_v<T, float>)
        return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
    return x;
}

// Rounds as an instruction says, within its scope.
class Rounded {
  public:
    explicit Rounded(Rounding rounding) {
        static const int modes[] = {-1, -1, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD, -1};
        if (int mode = modes[(int)rounding]; mode >= 0) {
            before_ = fegetround();
            fesetround(mode);
        }
    }
    ~Rounded() {
        if (before_ >= 0) fesetround(before_);
    }

  private:
    int before_ = -1;
};

template <class T>
static T operand(const Instruction &i, const Thread &t, int k) {
    T x = get<T>(t, i.from_slots[k]);
    return i.flush ? flushed(x) : x;
}

template <class T>
static void result(const Instruction &i, Thread &t, T x) {
    if (i.flush) x = flushed(x);
    if constexpr (std::is_floating_point_v<T>)
        if (i.saturate) x = x != x ? 0 : std::min<T>(1, std::max<T>(0, x));
    if constexpr (std::is_same_v<T, float>)
        if (x != x) return put<u32>(t, i.to[0], 0x7fffffff);  // a device has one NaN
    put(t, i.to[0], x);
}

// ---------------------------------------------------------------- shapes of instructions

template <class T, auto F>
static void unary(const Instruction &i, Thread &t) {
    volatile T x = operand<T>(i, t, 0);
    Rounded rounded(i.rounding);
    volatile T y = F((T)x);
    result<T>(i, t, y);
}
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
template <class T, auto F>  // integers, of any number of operands
static void whole(const Instruction &i, Thread &t) {
    T a = get<T>(t, i.from_slots[0]);
    T b = i.from_slots.size() > 1 ? get<T>(t, i.from_slots[1]) : T(0);
    T c = i.from_slots.size() > 2 ? get<T>(t, i.from_slots[2]) : T(0);
    put<T>(t, i.to[0], (T)F(a, b, c));
}

template <auto F>
static Step of_integers(Type type) {
    switch (type) {
        case Type::b8: case Type::u8: return whole<u8, F>;
        case Type::b16: case Type::u16: return whole<u16, F>;
        case Type::s16: return whole<int16_t, F>;
        case Type::b32: case Type::u32: return whole<u32, F>;
        case Type::s32: return whole<i32, F>;
        case Type::b64: case Type::u64: return whole<u64, F>;
        case Type::s64: return whole<i64, F>;
        case Type::pred: return whole<u8, F>;
        default: return nullptr;
    }
}
template <auto F>
static Step of_floats1(Type type) {
    return type == Type::f32 ? unary<float, F> : type == Type::f64 ? unary<double, F> : nullptr;
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

static u64 masked(u64 value, Type type) {
    int bits = 8 * size_of(type);
    return bits == 64 ? value : value & ((1ull << bits) - 1);
}
static i64 extended(u64 value, Type type) {
    int unused = 64 - 8 * size_of(type);
    return (i64)(value << unused) >> unused;
}
static u64 read(const Instruction &i, const Thread &t, int k, Type type) {
    u64 bits = t.r[i.from_slots[k]];
    return is_signed(type) ? (u64)extended(bits, type) : masked(bits, type);
}
static void write(const Instruction &i, Thread &t, u64 value, Type type) {
    t.r[i.to[0]] = masked(value, type);
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

// ---------------------------------------------------------------- conversion

static double as_number(const Instruction &i, const Thread &t) {
    int slot = i.from_slots[0];
    switch (i.from) {
        case Type::f64: return get<double>(t, slot);
        case Type::f32: return i.flush ? flushed(get<float>(t, slot)) : get<float>(t, slot);
        case Type::f16: return widened(get<Half>(t, slot));
        default: return widened(get<Brain>(t, slot));
    }
}
static double to_whole(double x, Rounding rounding) {
    switch (rounding) {
        case Rounding::nearest: return nearbyint(x);
        case Rounding::down: return floor(x);
        case Rounding::up: return ceil(x);
        default: return trunc(x);
    }
}
static u64 clamped(double x, Type type) {
    int bits = 8 * size_of(type);
    if (x != x) return bits == 64 ? 1ull << 63 : 0;
    double low = is_signed(type) ? -ldexp(1, bits - 1) : 0;
    double high = ldexp(1, is_signed(type) ? bits - 1 : bits);
    if (x <= low) return is_signed(type) ? ~0ull << (bits - 1) : 0;
    if (x >= high) return is_signed(type) ? (1ull << (bits - 1)) - 1 : masked(~0ull, type);
    return is_signed(type) ? (u64)(i64)x : (u64)x;
}
static u64 float_bits(const Instruction &i, double x) {
    u64 bits = 0;
    Rounded rounded(i.rounding);
    volatile float narrow;
    switch (i.type) {
        case Type::f64: memcpy(&bits, &x, 8); break;
        case Type::f16: { Half h = narrowed<Half>(x); bits = h.bits; break; }
        case Type::bf16: bits = narrowed<Brain>(x).bits; break;
        default: {
            narrow = (float)x;
            float y = i.flush ? flushed((float)narrow) : (float)narrow;
            if (y != y) return 0x7fffffff;
            memcpy(&bits, &y, 4);
        }
    }
    return bits;
}
static void convert(const Instruction &i, Thread &t) {
    if (is_float(i.from)) {
        double x = as_number(i, t);
        if (i.integral) x = to_whole(x, i.rounding);
        if (is_float(i.type)) {
            if (i.saturate) x = x != x ? 0 : std::clamp(x, 0.0, 1.0);
            t.r[i.to[0]] = float_bits(i, x);
        } else {
            t.r[i.to[0]] = clamped(to_whole(x, i.rounding), i.type) & (size_of(i.type) == 8 ? ~0ull : ~0u);
        }
        return;
    }
    u64 bits = read(i, t, 0, i.from);
    if (is_float(i.type)) {
        Rounded rounded(i.rounding);
        volatile float narrow = is_signed(i.from) ? (float)(i64)bits : (float)bits;
        volatile double x = is_signed(i.from) ? (double)(i64)bits : (double)bits;
        t.r[i.to[0]] = i.type == Type::f64 ? float_bits(i, x) : float_bits(i, narrow);
    } else if (i.saturate) {
        t.r[i.to[0]] = clamped(is_signed(i.from) ? (double)(i64)bits : (double)bits, i.type);
    } else {
        u64 value = is_signed(i.type) ? (u64)extended(bits, i.type) : masked(bits, i.type);
        t.r[i.to[0]] = size_of(i.type) == 8 ? value : value & ~0u;
    }
}
static void convert_pair(const Instruction &i, Thread &t) {  // the first one is the upper half
    float high = get<float>(t, i.from_slots[0]), low = get<float>(t, i.from_slots[1]);
    bool half = i.type == Type::f16x2;
    u32 bits[2] = {half ? narrowed<Half>(low).bits : narrowed<Brain>(low).bits,
                   half ? narrowed<Half>(high).bits : narrowed<Brain>(high).bits};
    put<u32>(t, i.to[0], bits[1] << 16 | bits[0]);
}
static void convert_tf32(const Instruction &i, Thread &t) {
    u32 bits = get<u32>(t, i.from_slots[0]);
    bool finite = (bits & 0x7f800000) != 0x7f800000;
    u32 half = i.rounding == Rounding::away ? 0x1000 : 0xfff + (bits >> 13 & 1);
    put<u32>(t, i.to[0], finite ? (bits + half) & ~0x1fffu : bits);
}

// ---------------------------------------------------------------- comparison

enum Relation { EQ, NE, LT, LE, GT, GE, NUM, NAN_ };

template <class T>
static bool related(int relation, T a, T b) {
    switch (relation) {
        case EQ: return a == b;
        case NE: return a != b;
        case LT: return a < b;
        case LE: return a <= b;
        case GT: return a > b;
        default: return a >= b;
    }
}
// mode: the relation, 8 if it holds where there is a NaN, and 16, 32, 48 for and, or, xor.
static bool compared(const Instruction &i, const Thread &t, Type type) {
    int relation = i.mode & 7;
    bool found;
    if (is_float(type)) {
        double x[2];
        for (int k = 0; k < 2; ++k) {
            int slot = i.from_slots[k];
            x[k] = type == Type::f64   ? get<double>(t, slot)
                   : type == Type::f32 ? (double)operand<float>(i, t, k)
                   : type == Type::f16 ? widened(get<Half>(t, slot))
                                       : widened(get<Brain>(t, slot));
        }
        bool unordered = x[0] != x[0] || x[1] != x[1];
        if (relation == NUM || relation == NAN_)
            found = unordered == (relation == NAN_);
        else
            found = unordered ? (i.mode & 8) != 0 : related(relation, x[0], x[1]);
    } else {
        u64 a = read(i, t, 0, type), b = read(i, t, 1, type);
        found = is_signed(type) ? related(relation, (i64)a, (i64)b) : related(relation, a, b);
    }
    return found;
}
static bool joined(const Instruction &i, const Thread &t, bool found) {
    if (i.mode < 16) return found;
    bool other = (t.r[i.from_slots[2]] & 1) ^ i.negated;
    return i.mode < 32 ? found && other : i.mode < 48 ? found || other : found ^ other;
}
static void set_predicate(const Instruction &i, Thread &t) {
    bool found = compared(i, t, i.type);
    t.r[i.to[0]] = joined(i, t, found);
    if (i.to.size() > 1) t.r[i.to[1]] = joined(i, t, !found);
}
static void set_value(const Instruction &i, Thread &t) {
    bool found = joined(i, t, compared(i, t, i.from));
    write(i, t, i.type == Type::f32 ? (found ? 0x3f800000 : 0) : found ? ~0ull : 0, i.type);
}
static void select(const Instruction &i, Thread &t) {
    bool first = t.r[i.from_slots[2]] & 1;
    write(i, t, t.r[i.from_slots[first ? 0 : 1]], i.type);
}
static void test_property(const Instruction &i, Thread &t) {
    double x = i.type == Type::f64 ? get<double>(t, i.from_slots[0]) : get<float>(t, i.from_slots[0]);
    bool found[] = {std::isfinite(x), std::isinf(x), x == x, x != x};
    t.r[i.to[0]] = found[i.mode];
}

// ---------------------------------------------------------------- bits

static void logic(const Instruction &i, Thread &t) {
    u32 x[3], table = get<u32>(t, i.from_slots[3]), y = 0;
    for (int k = 0; k < 3; ++k) x[k] = get<u32>(t, i.from_slots[k]);
    for (u32 row = 0; row < 8; ++row)
        if (table >> row & 1)
            y |= (row & 4 ? x[0] : ~x[0]) & (row & 2 ? x[1] : ~x[1]) & (row & 1 ? x[2] : ~x[2]);
    put<u32>(t, i.to[0], y);
}
static void shift_left(const Instruction &i, Thread &t) {
    u32 by = get<u32>(t, i.from_slots[1]);
    write(i, t, by < 8u * size_of(i.type) ? t.r[i.from_slots[0]] << by : 0, i.type);
}
static void shift_right(const Instruction &i, Thread &t) {
    u32 by = get<u32>(t, i.from_slots[1]), most = 8 * size_of(i.type) - 1;
    u64 x = read(i, t, 0, i.type);
    if (is_signed(i.type))
        write(i, t, (u64)((i64)x >> std::min(by, most)), i.type);
    else
        write(i, t, by > most ? 0 : x >> by, i.type);
}
static void funnel(const Instruction &i, Thread &t) {  // mode: 1 left, 2 wrapping
    u32 by = get<u32>(t, i.from_slots[2]);
    by = i.mode & 2 ? by & 31 : std::min(by, 32u);
    u64 both = (u64)get<u32>(t, i.from_slots[1]) << 32 | get<u32>(t, i.from_slots[0]);
    put<u32>(t, i.to[0], i.mode & 1 ? (u32)(both << by >> 32) : (u32)(both >> by));
}
static void extract(const Instruction &i, Thread &t) {
    int bits = 8 * size_of(i.type);
    u32 at = t.r[i.from_slots[1]] & 255, count = t.r[i.from_slots[2]] & 255;
    u64 x = masked(t.r[i.from_slots[0]], i.type), y = 0;
    bool top = is_signed(i.type) && count && x >> std::min<u32>(at + count - 1, bits - 1) & 1;
    for (int k = 0; k < bits; ++k) {
        bool inside = (u32)k < count && at + k < (u32)bits;
        y |= (u64)(inside ? x >> (at + k) & 1 : top) << k;
    }
    write(i, t, y, i.type);
}
static void insert(const Instruction &i, Thread &t) {
    u64 from = t.r[i.from_slots[0]], y = t.r[i.from_slots[1]];
    u32 at = t.r[i.from_slots[2]] & 255, count = t.r[i.from_slots[3]] & 255;
    for (u32 k = 0; k < count && at + k < 8u * size_of(i.type); ++k)
        y = (y & ~(1ull << (at + k))) | (from >> k & 1) << (at + k);
    write(i, t, y, i.type);
}
static void reverse(const Instruction &i, Thread &t) {
    int bits = 8 * size_of(i.type);
    u64 x = t.r[i.from_slots[0]], y = 0;
    for (int k = 0; k < bits; ++k) y |= (x >> k & 1) << (bits - 1 - k);
    write(i, t, y, i.type);
}
static void count_bits(const Instruction &i, Thread &t) {  // 0 set ones, 1 leading zeros
    u64 x = masked(t.r[i.from_slots[0]], i.type);
    int unused = 64 - 8 * size_of(i.type);
    int zeros = x ? __builtin_clzll(x) - unused : 64 - unused;
    put<u32>(t, i.to[0], i.mode ? zeros : __builtin_popcountll(x));
}
static void find_bit(const Instruction &i, Thread &t) {
    u64 x = read(i, t, 0, i.type);
    if (is_signed(i.type) && (i64)x < 0) x = ~x;
    u32 top = x ? 63 - __builtin_clzll(x) : ~0u;
    put<u32>(t, i.to[0], i.mode && x ? 8 * size_of(i.type) - 1 - top : top);
}
static void permute(const Instruction &i, Thread &t) {
    u64 bytes = (u64)get<u32>(t, i.from_slots[1]) << 32 | get<u32>(t, i.from_slots[0]);
    u32 which = get<u32>(t, i.from_slots[2]), y = 0;
    for (int k = 0; k < 4; ++k) {
        u32 choice = which >> 4 * k & 15;
        u8 byte = (u8)(bytes >> 8 * (choice & 7));
        if (choice & 8) byte = byte & 0x80 ? 0xff : 0;
        y |= (u32)byte << 8 * k;
    }
    put<u32>(t, i.to[0], y);
}

// ---------------------------------------------------------------- moves and memory

static void move(const Instruction &i, Thread &t) {
    int bits = 8 * size_of(i.type);
    if (i.to.size() > 1) {
        int part = bits / (int)i.to.size();
        u64 x = t.r[i.from_slots[0]];
        for (size_t k = 0; k < i.to.size(); ++k) t.r[i.to[k]] = x >> k * part & ((1ull << part) - 1);
    } else if (i.from_slots.size() > 1) {
        int part = bits / (int)i.from_slots.size();
        u64 x = 0;
        for (size_t k = 0; k < i.from_slots.size(); ++k)
            x |= (t.r[i.from_slots[k]] & ((1ull << part) - 1)) << k * part;
        t.r[i.to[0]] = x;
    } else {
        write(i, t, t.r[i.from_slots[0]], i.type);
    }
}
static const u64 WINDOW[] = {0, 0, 1ull << 56, 2ull << 56, 0, 0};  // of generic addresses, by space
static void to_generic(const Instruction &i, Thread &t) {
    t.r[i.to[0]] = t.r[i.from_slots[0]] + (i.mode ? -WINDOW[(int)i.space] : WINDOW[(int)i.space]);
}
static void load(const Instruction &i, Thread &t) {
    int bytes = size_of(i.type);
    const u8 *from =
        access(t, i, i.space, t.r[i.from_slots[0]] + i.offset, bytes * i.vector, nullptr);
    for (int k = 0; k < i.vector; ++k) {
        u64 value = 0;
        memcpy(&value, from + k * bytes, bytes);
        t.r[i.to[k]] = is_signed(i.type) ? (u64)extended(value, i.type) : value;
    }
}
static void store(const Instruction &i, Thread &t) {
    int bytes = size_of(i.type);
    u8 value[32];
    for (int k = 0; k < i.vector; ++k) memcpy(value + k * bytes, &t.r[i.from_slots[1 + k]], bytes);
    u64 at = t.r[i.from_slots[0]] + i.offset;
    memcpy(access(t, i, i.space, at, bytes * i.vector, value), value, bytes * i.vector);
}
enum Atomic { ADD, MIN, MAX, AND, OR, XOR, EXCHANGE, SWAP };
static void atomic(const Instruction &i, Thread &t) {
    int bytes = size_of(i.type);
    u64 old = 0, y, x = t.r[i.from_slots[1]];
    u8 *at = access(t, i, i.space, t.r[i.from_slots[0]] + i.offset, bytes, (const u8 *)&x);
    memcpy(&old, at, bytes);
    bool less = is_signed(i.type) ? extended(old, i.type) < extended(x, i.type)
                                  : masked(old, i.type) < masked(x, i.type);
    switch (i.mode) {
        case MIN: y = less ? old : x; break;
        case MAX: y = less ? x : old; break;
        case AND: y = old & x; break;
        case OR: y = old | x; break;
        case XOR: y = old ^ x; break;
        case EXCHANGE: y = x; break;
        case SWAP: y = masked(old, i.type) == masked(x, i.type) ? t.r[i.from_slots[2]] : old; break;
        default:
            y = old + x;
            if (i.type == Type::f32) {
                float a, b;
                memcpy(&a, &old, 4), memcpy(&b, &x, 4);
                a += b, y = 0, memcpy(&y, &a, 4);
            } else if (i.type == Type::f64) {
                double a, b;
                memcpy(&a, &old, 8), memcpy(&b, &x, 8);
                a += b, memcpy(&y, &a, 8);
            } else if (is_float(i.type)) {
                fail("not emulated: %s", i.text.c_str());
            }
    }
    memcpy(at, &y, bytes);
    if (!i.to.empty()) t.r[i.to[0]] = masked(old, i.type);
}

// ---------------------------------------------------------------- control

static void branch(const Instruction &i, Thread &t) {
    size_t which = i.from_slots.empty() ? 0 : get<u32>(t, i.from_slots[0]);
    if (which >= i.targets.size()) fail("a branch to nowhere: %s", i.text.c_str());
    t.pc = i.targets[which];
}
static void leave(const Instruction &, Thread &t) {
    t.state = t.function->is_entry ? State::done : State::returned;
}
static void wait(const Instruction &, Thread &t) { t.state = State::at_barrier; }
static void nothing(const Instruction &, Thread &) {}
static void trap(const Instruction &i, Thread &) { fail("a trap: %s", i.text.c_str()); }

// ---------------------------------------------------------------- the table

static int relation_named(const std::string &name) {
    static const std::map<std::string, int> relations = {
        {"eq", EQ}, {"ne", NE}, {"lt", LT}, {"le", LE}, {"gt", GT}, {"ge", GE}, {"lo", LT},
        {"ls", LE}, {"hi", GT}, {"hs", GE}, {"equ", EQ | 8}, {"neu", NE | 8}, {"ltu", LT | 8},
        {"leu", LE | 8}, {"gtu", GT | 8}, {"geu", GE | 8}, {"num", NUM}, {"nan", NAN_},
    };
    auto found = relations.find(name);
    return found == relations.end() ? -1 : found->second;
}

static Step arithmetic(Instruction &i, const std::string &base) {
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

static Step bitwise(Instruction &i, const std::string &base) {
    constexpr auto both = [](auto a, auto b, auto... c) { return a & b; };
    constexpr auto either = [](auto a, auto b, auto... c) { return a | b; };
    constexpr auto one = [](auto a, auto b, auto... c) { return a ^ b; };
    constexpr auto inverse = [](auto a, auto... c) { return ~a; };
    constexpr auto is_zero = [](auto a, auto... c) { return a == 0; };
    constexpr auto no = [](auto a, auto... c) { return (a & 1) ^ 1; };
    if (base == "and") return of_integers<both>(i.type);
    if (base == "or") return of_integers<either>(i.type);
    if (base == "xor") return of_integers<one>(i.type);
    if (base == "not") return i.type == Type::pred ? whole<u8, no> : of_integers<inverse>(i.type);
    if (base == "cnot") return of_integers<is_zero>(i.type);
    static const std::map<std::string, Step> steps = {
        {"lop3", logic},    {"shl", shift_left}, {"shr", shift_right}, {"shf", funnel},
        {"bfe", extract},   {"bfi", insert},     {"brev", reverse},    {"popc", count_bits},
        {"clz", count_bits}, {"bfind", find_bit}, {"prmt", permute},
    };
    auto found = steps.find(base);
    return found == steps.end() ? nullptr : found->second;
}

Step step_of(Instruction &i, const std::vector<std::string> &parts) {
    const std::string &base = parts[0];
    auto has = [&](const char *name) {
        return std::find(parts.begin() + 1, parts.end(), name) != parts.end();
    };
    auto which = [&](std::initializer_list<const char *> names) {
        int k = 0;
        for (const char *name : names) {
            if (has(name)) return k;
            ++k;
        }
        return 0;
    };
    if (Step step = arithmetic(i, base)) return step;
    if (base == "shf") i.mode = has("l") + 2 * has("wrap");
    if (base == "clz") i.mode = 1;
    if (base == "bfind") i.mode = has("shiftamt");
    if (Step step = bitwise(i, base)) return step;
    if (base == "setp" || base == "set") {
        for (size_t k = 1; k < parts.size(); ++k)
            if (int relation = relation_named(parts[k]); relation >= 0) {
                i.mode = relation;
                break;
            }
        i.mode += 16 * has("and") + 32 * has("or") + 48 * has("xor");
        return base == "set" ? set_value : set_predicate;
    }
    if (base == "cvt") {
        if (i.type == Type::tf32) return convert_tf32;
        bool pair = i.type == Type::f16x2 || i.type == Type::bf16x2;
        return pair ? convert_pair : convert;
    }
    i.mode = has("to");
    static const std::map<std::string, Step> steps = {
        {"mov", move},     {"cvta", to_generic}, {"ld", load},     {"ldu", load},
        {"st", store},     {"selp", select},     {"bra", branch},  {"brx", branch},
        {"ret", leave},    {"exit", leave},      {"trap", trap},   {"membar", nothing},
        {"fence", nothing}, {"prefetch", nothing}, {"call", call}, {"testp", test_property},
    };
    if (base == "testp") i.mode = which({"finite", "infinite", "number", "notanumber"});
    if (auto found = steps.find(base); found != steps.end()) return found->second;
    if (base == "atom" || base == "red") {
        i.mode = which({"add", "min", "max", "and", "or", "xor", "exch", "cas"});
        i.atomic = true;
        return atomic;
    }
    if (base == "cp") {
        if (has("commit_group"))
            return [](const Instruction &, Thread &t) {
                t.groups.push_back(std::move(t.open));
                t.open.clear();
            };
        if (has("wait_all"))
            return [](const Instruction &, Thread &t) { finish_copies(t, 0, true); };
        if (has("wait_group"))
            return [](const Instruction &i, Thread &t) {
                finish_copies(t, t.r[i.from_slots[0]], false);
            };
        if (has("async") && !has("bulk")) return start_copy;
    }
    if ((base == "bar" || base == "barrier") && !has("warp") && !has("red")) return wait;
    static const std::map<std::string, Way> warps = {
        {"bar", Way::sync},     {"shfl", Way::shuffle}, {"vote", Way::vote},
        {"mma", Way::tiles},    {"redux", Way::reduce}, {"match", Way::match},
        {"activemask", Way::active},
    };
    if (auto found = warps.find(base); found != warps.end()) {
        i.way = found->second;
        i.mode = base == "shfl"   ? which({"up", "down", "bfly", "idx"})
                 : base == "vote" ? which({"all", "any", "uni", "ballot"})
                 : base == "mma"  ? has("m16n8k8") && has("tf32")    ? 1
                                    : has("m16n8k16") && has("bf16") ? 2
                                                                     : 0
                                  : which({"add", "min", "max", "and", "or", "xor"});
        if (base != "mma" || i.mode) return warp_wait;
    }
    fail("not emulated: %s", i.text.c_str());
}

}  // namespace emulator
