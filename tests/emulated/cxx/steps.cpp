// What all other instructions of PTX do to one thread, and the table of steps. See "PTX ISA",
// section 9.7.
#include "numbers.h"

namespace emulator {

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
