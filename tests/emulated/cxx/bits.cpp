// Bits of one thread. See "PTX ISA", sections 9.7.1 and 9.7.8.
#include "numbers.h"

namespace emulator {

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

Step bitwise(Instruction &i, const std::string &base) {
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

}  // namespace emulator
