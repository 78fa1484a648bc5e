// What a warp does together. See "PTX ISA", sections 9.7.9 and 9.7.14.
//
// Products of tiles add up in double: tensor cores round their sums in a way of their own.
#include "ptx.h"

#include <algorithm>

namespace emulator {

static void shuffle(const Instruction &i, Thread *lanes, int count, u32 mask) {
    u32 found[32];
    bool inside[32];
    for (int l = 0; l < count; ++l) {
        if (!(mask >> l & 1)) continue;
        u32 by = lanes[l].r[i.from_slots[1]] & 31, c = (u32)lanes[l].r[i.from_slots[2]];
        int segment = c >> 8 & 31, most = (l & segment) | (c & 31 & ~segment);
        int least = l & segment;
        int source = i.mode == 0 ? l - (int)by : i.mode == 1 ? l + (int)by
                     : i.mode == 2 ? l ^ (int)by : least | ((int)by & ~segment);
        inside[l] = i.mode == 0 ? source >= most : source <= most;
        if (!inside[l]) source = l;
        if (source >= count || !(mask >> source & 1)) {
            report("a shuffle from a lane that takes no part: " + i.text);
            source = l;
        }
        found[l] = (u32)lanes[source].r[i.from_slots[0]];
    }
    for (int l = 0; l < count; ++l) {
        if (!(mask >> l & 1)) continue;
        lanes[l].r[i.to[0]] = found[l];
        if (i.to.size() > 1) lanes[l].r[i.to[1]] = inside[l];
    }
}
static void vote(const Instruction &i, Thread *lanes, int count, u32 mask) {
    u32 ballot = 0;
    for (int l = 0; l < count; ++l)
        if (mask >> l & 1) ballot |= (u32)((lanes[l].r[i.from_slots[0]] & 1) ^ i.negated) << l;
    u32 found[] = {ballot == mask, ballot != 0, ballot == 0 || ballot == mask, ballot};
    for (int l = 0; l < count; ++l)
        if (mask >> l & 1) lanes[l].r[i.to[0]] = found[i.mode];
}
// D = A B + C of a 16 x K by K x 8 tile; K is 8 in tf32 (mode 1), 16 in bf16.
static void multiply_tiles(const Instruction &i, Thread *lanes, int count, u32 mask) {
    if (count != 32 || mask != ~0u) fail("mma by part of a warp: %s", i.text.c_str());
    float a[16][16], b[16][8];
    int depth = i.mode == 1 ? 8 : 16;
    auto number = [](u32 bits) {
        float x;
        memcpy(&x, &bits, 4);
        return x;
    };
    for (int l = 0; l < 32; ++l) {
        int group = l / 4, place = l % 4;
        const int *slots = i.from_slots.at;
        for (int k = 0; k < 6; ++k) {
            u32 bits = (u32)lanes[l].r[slots[k]];
            bool left = k < 4;
            int row = group + (k & 1) * 8, part = left ? k >> 1 : k - 4;
            if (depth == 8) {
                float x = number(bits & ~0x1fffu);
                int at = place + part * 4;
                left ? a[row][at] = x : b[at][group] = x;
            } else {
                float x[2] = {number(bits << 16), number(bits & 0xffff0000u)};
                for (int e = 0; e < 2; ++e) {
                    int at = 2 * place + e + part * 8;
                    left ? a[row][at] = x[e] : b[at][group] = x[e];
                }
            }
        }
    }
    for (int l = 0; l < 32; ++l) {
        float sums[4];
        for (int k = 0; k < 4; ++k) {
            int row = l / 4 + k / 2 * 8, column = l % 4 * 2 + k % 2;
            double sum = get<float>(lanes[l], i.from_slots[6 + k]);
            for (int x = 0; x < depth; ++x) sum += (double)a[row][x] * b[x][column];
            sums[k] = (float)sum;
        }
        for (int k = 0; k < 4; ++k) put(lanes[l], i.to[k], sums[k]);
    }
}
static void reduce(const Instruction &i, Thread *lanes, int count, u32 mask) {
    bool first = true;
    i64 y = 0;
    for (int l = 0; l < count; ++l) {
        if (!(mask >> l & 1)) continue;
        i64 x = is_signed(i.type) ? (i64)get<i32>(lanes[l], i.from_slots[0])
                                  : (i64)get<u32>(lanes[l], i.from_slots[0]);
        i64 all[] = {y + x, std::min(x, y), std::max(x, y), x & y, x | y, x ^ y};
        y = first ? x : all[i.mode];
        first = false;
    }
    for (int l = 0; l < count; ++l)
        if (mask >> l & 1) put<u32>(lanes[l], i.to[0], (u32)y);
}
static void match(const Instruction &i, Thread *lanes, int count, u32 mask) {
    u32 found[32] = {};
    for (int l = 0; l < count; ++l)
        for (int k = 0; k < count; ++k)
            if ((mask >> k & 1) && lanes[k].r[i.from_slots[0]] == lanes[l].r[i.from_slots[0]])
                found[l] |= 1u << k;
    for (int l = 0; l < count; ++l)
        if (mask >> l & 1) put<u32>(lanes[l], i.to[0], found[l]);
}

void warp_step(const Instruction &i, Thread *lanes, int count, u32 mask) {
    switch (i.way) {
        case Way::shuffle: shuffle(i, lanes, count, mask); break;
        case Way::vote: vote(i, lanes, count, mask); break;
        case Way::tiles: multiply_tiles(i, lanes, count, mask); break;
        case Way::reduce: reduce(i, lanes, count, mask); break;
        case Way::match: match(i, lanes, count, mask); break;
        case Way::active:
            for (int l = 0; l < count; ++l)
                if (mask >> l & 1) put<u32>(lanes[l], i.to[0], mask);
            break;
        default: break;
    }
}

}  // namespace emulator
