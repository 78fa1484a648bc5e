// Numbers as registers hold them, and how instructions read and round them.
#pragma once
#include "ptx.h"

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <limits>

namespace emulator {

struct Half { u16 bits; };
struct Brain { u16 bits; };

inline float widened(Half h) {
    _Float16 value;
    memcpy(&value, &h, 2);
    return (float)value;
}
inline float widened(Brain b) {
    u32 bits = (u32)b.bits << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

template <class T>
T narrowed(double x);
template <>
inline Half narrowed<Half>(double x) {
    _Float16 value = (_Float16)x;
    Half h;
    memcpy(&h, &value, 2);
    return h;
}
template <>
inline Brain narrowed<Brain>(double x) {  // of a float's value, to the nearest even
    float value = (float)x;
    u32 bits;
    memcpy(&bits, &value, 4);
    if (value != value) return {0x7fff};
    return {(u16)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

template <class T>
inline T flushed(T x) {
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

inline u64 masked(u64 value, Type type) {
    int bits = 8 * size_of(type);
    return bits == 64 ? value : value & ((1ull << bits) - 1);
}
inline i64 extended(u64 value, Type type) {
    int unused = 64 - 8 * size_of(type);
    return (i64)(value << unused) >> unused;
}
inline u64 read(const Instruction &i, const Thread &t, int k, Type type) {
    u64 bits = t.r[i.from_slots[k]];
    return is_signed(type) ? (u64)extended(bits, type) : masked(bits, type);
}
inline void write(const Instruction &i, Thread &t, u64 value, Type type) {
    t.r[i.to[0]] = masked(value, type);
}

template <class T>
T operand(const Instruction &i, const Thread &t, int k) {
    T x = get<T>(t, i.from_slots[k]);
    return i.flush ? flushed(x) : x;
}

template <class T>
void result(const Instruction &i, Thread &t, T x) {
    if (i.flush) x = flushed(x);
    if constexpr (std::is_floating_point_v<T>)
        if (i.saturate) x = x != x ? 0 : std::min<T>(1, std::max<T>(0, x));
    if constexpr (std::is_same_v<T, float>)
        if (x != x) return put<u32>(t, i.to[0], 0x7fffffff);  // a device has one NaN
    put(t, i.to[0], x);
}

// The step of an arithmetic or bitwise instruction, or null if it is none.
Step arithmetic(Instruction &, const std::string &base);
Step bitwise(Instruction &, const std::string &base);

// A step over integers of any type; F takes as many operands as there are, up to three.
template <class T, auto F>
void whole(const Instruction &i, Thread &t) {
    T a = get<T>(t, i.from_slots[0]);
    T b = i.from_slots.size() > 1 ? get<T>(t, i.from_slots[1]) : T(0);
    T c = i.from_slots.size() > 2 ? get<T>(t, i.from_slots[2]) : T(0);
    put<T>(t, i.to[0], (T)F(a, b, c));
}
template <auto F>
Step of_integers(Type type) {
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

}  // namespace emulator
