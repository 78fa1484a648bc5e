// A launch: blocks one after the other, their threads in turn up to the next barrier.
//
// While checking, every access to global and shared memory is held against those before it: two
// threads that touch the same byte, one of them writing, must be ordered by a barrier or a warp's
// synchronisation. Blocks are never ordered.
#include "ptx.h"

#include <algorithm>
#include <cstring>

namespace emulator {

static u32 launches = 0;
static const u64 SHARED_WINDOW = 1ull << 56, LOCAL_WINDOW = 2ull << 56;

struct Grid {
    const Launch &launch;
    u32 threads;  // of a block
    u32 block[3] = {}, block_number = 0;
    std::vector<u8> shared;
    std::vector<Touched> touched;  // of shared memory
    std::vector<u8> pending;       // bytes that cp.async is still to write
    Block *last = nullptr;         // block of memory that was used last

    explicit Grid(const Launch &launch) : launch(launch) {
        threads = launch.block[0] * launch.block[1] * launch.block[2];
    }
    size_t shared_size() const {
        return (static_shared(launch.function) + 15) / 16 * 16 + launch.dynamic_shared;
    }
};

static std::string place(const Thread &t) {
    const u32 *block = t.grid->block;
    char text[128];
    snprintf(text, sizeof text, " (block %u,%u,%u thread %u,%u,%u) in %s: ", block[0], block[1],
             block[2], t.index[0], t.index[1], t.index[2], t.grid->launch.function->name.c_str());
    return text;
}

// ---------------------------------------------------------------- memory

static bool ordered(const Thread &t, u32 other, u16 epoch, u16 warp_epoch, u32 me) {
    if (other == me) return true;
    u32 threads = t.grid->threads;
    if (other / threads != me / threads) return false;
    if (epoch < t.epoch) return true;
    return other % threads / 32 == t.number / 32 && warp_epoch < t.warp_epoch;
}

// Two threads may write the `same` value. Atomic accesses take no part.
static void touch(Touched &byte, const Thread &t, const Instruction &i, bool write, bool same,
                  u32 launch) {
    u32 me = t.grid->block_number * t.grid->threads + t.number;
    if (byte.launch != launch) byte = Touched{launch};
    const char *found = nullptr;
    if (byte.written && !same && !ordered(t, byte.writer, byte.write_epoch, byte.write_warp, me))
        found = write ? "two threads write" : "a thread reads what another one writes";
    else if (write && byte.read && !ordered(t, byte.reader, byte.read_epoch, byte.read_warp, me))
        found = "a thread writes what another one reads";
    if (found) report(std::string("race: ") + found + place(t) + i.text);
    if (write) {
        byte.written = true;
        byte.writer = me, byte.write_epoch = t.epoch, byte.write_warp = t.warp_epoch;
    } else if (!byte.read || ordered(t, byte.reader, byte.read_epoch, byte.read_warp, me)) {
        byte.read = true;
        byte.reader = me, byte.read_epoch = t.epoch, byte.read_warp = t.warp_epoch;
    }
}

static u8 *global(Thread &t, const Instruction &i, u64 address, u32 bytes, const u8 *value) {
    bool write = value != nullptr;
    Block *block = t.grid->last;
    if (!block || address < block->address || address + bytes > block->address + block->size) {
        block = find(address, bytes);
        bool pinned = !block && is_pinned(address, bytes);
        bool here = block && (block->device < 0 || block->device == t.grid->launch.device);
        if (!here && !pinned)
            fail("illegal %s of %u bytes at %#lx%s%s", write ? "write" : "read", bytes,
                 (long)address, place(t).c_str(), i.text.c_str());
        if (pinned) return (u8 *)address;
        t.grid->last = block;
    }
    size_t first = address - block->address;
    if (checking) {
        if (block->touched.empty()) block->touched.resize(block->size);
        for (size_t k = first; k < first + bytes; ++k) {
            bool same = write && block->host[k] == value[k - first];
            if (!i.atomic) touch(block->touched[k], t, i, write, same, launches);
            if (block->written.empty()) continue;
            if (write) block->written[k] = true;
            else if (!block->written[k]) report("a read of memory that nothing wrote" + place(t) + i.text);
        }
    }
    return block->host.data() + first;
}

// `copied` bytes come later, by cp.async.
static u8 *in_shared(Thread &t, const Instruction &i, u64 at, u32 bytes, const u8 *value,
                     bool copied = false) {
    bool write = value || copied;
    Grid &grid = *t.grid;
    at = (u32)at;
    if (at + bytes > grid.shared_size())
        fail("shared memory has %zu bytes, not %lu%s%s", grid.shared_size(), (long)(at + bytes),
             place(t).c_str(), i.text.c_str());
    if (checking)
        for (size_t k = at; k < at + bytes; ++k) {
            if (grid.pending[k]) report("a copy is under way there" + place(t) + i.text);
            if (!write && !(grid.touched[k].launch && grid.touched[k].written))
                report("a read of shared memory that nothing wrote" + place(t) + i.text);
            bool same = value && grid.shared[k] == value[k - at];
            touch(grid.touched[k], t, i, write, same, 1);
        }
    return grid.shared.data() + at;
}

u8 *access(Thread &t, const Instruction &i, Space space, u64 address, u32 bytes,
           const u8 *value) {
    if (address % bytes)
        fail("misaligned %u bytes at %#lx%s%s", bytes, (long)address, place(t).c_str(), i.text.c_str());
    if (space == Space::generic) {
        space = address >= LOCAL_WINDOW    ? Space::local
                : address >= SHARED_WINDOW ? Space::shared
                                           : Space::global;
        if (space != Space::global) address -= space == Space::local ? LOCAL_WINDOW : SHARED_WINDOW;
    }
    switch (space) {
        case Space::shared: return in_shared(t, i, address, bytes, value);
        case Space::local:
            if (address + bytes > t.local.size()) fail("local memory%s%s", place(t).c_str(), i.text.c_str());
            return t.local.data() + address;
        case Space::param:
            if (address + bytes > t.scratch.size()) fail("parameters%s%s", place(t).c_str(), i.text.c_str());
            return t.scratch.data() + address;
        default: return global(t, i, address, bytes, value);
    }
}

// ---------------------------------------------------------------- cp.async

void start_copy(const Instruction &i, Thread &t) {
    Grid &grid = *t.grid;
    u32 bytes = (u32)t.r[i.from_slots[2]];
    u32 count = i.from_slots.size() > 3 ? (u32)t.r[i.from_slots[3]] : bytes;
    Copy copy{(u32)t.r[i.from_slots[0]] + (u32)i.offset, bytes, count, t.r[i.from_slots[1]] + i.offset2};
    if (copy.to % bytes || (count && copy.from % bytes))
        fail("a misaligned copy of %u bytes%s%s", bytes, place(t).c_str(), i.text.c_str());
    in_shared(t, i, copy.to, bytes, nullptr, true);
    if (count) access(t, i, Space::generic, copy.from, count, nullptr);
    if (checking) std::fill_n(grid.pending.begin() + copy.to, bytes, 1);
    t.open.push_back(copy);
}

// What is read is what lies there at the end: later than on a device, if it differs.
static void finish(Thread &t, const std::vector<Copy> &copies) {
    Grid &grid = *t.grid;
    for (const Copy &copy : copies) {
        u8 *to = grid.shared.data() + copy.to;
        memset(to, 0, copy.bytes);
        if (copy.count) memcpy(to, readable(copy.from, copy.count), copy.count);
        if (!checking) continue;
        for (u32 k = copy.to; k < copy.to + copy.bytes; ++k) {
            grid.pending[k] = 0;
            grid.touched[k].write_epoch = t.epoch;
            grid.touched[k].write_warp = t.warp_epoch;
        }
    }
}

void finish_copies(Thread &t, size_t most, bool open_too) {
    size_t done = t.groups.size() > most ? t.groups.size() - most : 0;
    for (size_t k = 0; k < done; ++k) finish(t, t.groups[k]);
    t.groups.erase(t.groups.begin(), t.groups.begin() + done);
    if (open_too) finish(t, t.open), t.open.clear();
}

// ---------------------------------------------------------------- threads

// What a thread is, in the order of parse.cpp's SPECIALS.
static void fill_special(Thread &t, const Function &f) {
    const Grid &grid = *t.grid;
    const Launch &launch = grid.launch;
    u32 lane = t.number % 32, below = (1u << lane) - 1, me = 1u << lane;
    const u64 special[] = {
        t.index[0], t.index[1], t.index[2], launch.block[0], launch.block[1], launch.block[2],
        grid.block[0], grid.block[1], grid.block[2], launch.grid[0], launch.grid[1], launch.grid[2],
        lane, t.number / 32, below, below | me, (u32) ~(below | me), (u32)~below, me,
        (static_shared(launch.function) + 15) / 16 * 16,
    };
    for (size_t k = 0; k < f.constants.size(); ++k)
        if (f.constants[k].special >= 0) t.r[f.registers + k] = special[f.constants[k].special];
}

static void prepare(Thread &t, const Function &f, u64 *registers) {
    t.r = registers;
    t.local.assign(f.local, 0xff);
    t.scratch.assign(f.scratch + 16, 0);
    for (size_t k = 0; k < f.constants.size(); ++k) t.r[f.registers + k] = f.constants[k].value;
    fill_special(t, f);
}

// Until the thread waits or ends.
static void step(Thread &t) {
    const Instruction *code = t.function->code.data();
    while (t.state == State::running) {
        const Instruction &i = code[t.pc++];
        if (i.guard < 0 || (bool)(t.r[i.guard] & 1) != i.unless) i.step(i, t);
    }
}

void call(const Instruction &i, Thread &t) {
    const Function &f = *i.callee;
    if (!f.defined) fail("a call of %s", f.name.c_str());
    std::vector<u64> registers(f.slots());
    Thread inner;
    inner.number = t.number, inner.epoch = t.epoch, inner.warp_epoch = t.warp_epoch;
    std::copy(t.index, t.index + 3, inner.index);
    inner.grid = t.grid;
    inner.function = i.callee;
    prepare(inner, f, registers.data());
    for (size_t k = 0; k < i.from_slots.size(); ++k)
        memcpy(inner.scratch.data() + f.parameters[k].offset, t.scratch.data() + t.r[i.from_slots[k]],
               f.parameters[k].size);
    step(inner);
    if (inner.state != State::returned) fail("%s waits for other threads", f.name.c_str());
    for (size_t k = 0; k < i.to.size(); ++k)
        memcpy(t.scratch.data() + t.r[i.to[k]], inner.scratch.data() + f.results[k].offset,
               f.results[k].size);
}

void warp_wait(const Instruction &i, Thread &t) {
    t.state = State::at_warp;
    --t.pc;
    bool all = i.way == Way::tiles || i.way == Way::active;
    t.wanted = all ? ~0u : (u32)t.r[i.from_slots.back()];
}

// Runs what a warp waits for, if all lanes that it names are there.
static bool warp_ready(Thread *lanes, int count, int lane) {
    const Thread &t = lanes[lane];
    if (t.state != State::at_warp) return false;
    const Instruction &i = t.function->code[t.pc];
    u32 there = 0, wanted = t.wanted & (count == 32 ? ~0u : (1u << count) - 1);
    for (int k = 0; k < count; ++k) {
        if (lanes[k].state == State::at_warp && lanes[k].pc == t.pc) there |= 1u << k;
        if (lanes[k].state == State::done && wanted >> k & 1) {
            if (i.way != Way::active)
                report("a warp's instruction names a lane that has ended: " + i.text);
            wanted &= ~(1u << k);
        }
    }
    if (i.way == Way::active) wanted = there;
    if ((there & wanted) != wanted || !(wanted >> lane & 1)) return false;
    warp_step(i, lanes, count, wanted);
    for (int k = 0; k < count; ++k)
        if (wanted >> k & 1) {
            ++lanes[k].pc;
            ++lanes[k].warp_epoch;
            lanes[k].state = State::running;
        }
    return true;
}

static bool warps(std::vector<Thread> &threads) {
    bool progress = false;
    for (size_t first = 0; first < threads.size(); first += 32) {
        int count = (int)std::min<size_t>(32, threads.size() - first);
        for (int lane = 0; lane < count; ++lane)
            progress |= warp_ready(&threads[first], count, lane);
    }
    return progress;
}

// Opens the barrier if all threads that have not ended are at it.
static bool barrier(std::vector<Thread> &threads) {
    int pc = -1;
    bool ended = false;
    for (Thread &t : threads) {
        if (t.state == State::done) {
            ended = true;
            continue;
        }
        if (t.state != State::at_barrier) return false;
        if (pc >= 0 && t.pc != pc) report("threads of a block are at different barriers" + place(t));
        pc = t.pc;
    }
    if (ended) report("a barrier that some threads of the block do not reach" + place(threads[0]));
    for (Thread &t : threads)
        if (t.state == State::at_barrier) {
            t.state = State::running;
            ++t.epoch, ++t.warp_epoch;
        }
    return true;
}

static void run_block(Grid &grid, std::vector<Thread> &threads) {
    Function &f = *grid.launch.function;
    grid.shared.assign(grid.shared_size() + 16, 0xff);
    if (checking) {
        grid.touched.assign(grid.shared_size(), Touched{});
        grid.pending.assign(grid.shared_size(), 0);
    }
    for (Thread &t : threads) {
        t.pc = 0;
        t.state = State::running;
        t.epoch = t.warp_epoch = 0;
        t.groups.clear();
        t.open.clear();
        std::fill(t.local.begin(), t.local.end(), 0xff);
        std::fill(t.r, t.r + f.registers, 0xfefefefefefefefeull);
        fill_special(t, f);
    }
    for (;;) {
        bool progress = false;
        size_t done = 0;
        for (Thread &t : threads) {
            progress |= t.state == State::running;
            step(t);
            done += t.state == State::done;
        }
        if (done == threads.size()) return;
        progress |= warps(threads);
        if (!progress && !barrier(threads)) fail("threads wait for each other in %s", f.name.c_str());
    }
}

void run(const Launch &launch) {
    const Function &f = *launch.function;
    Grid grid(launch);
    if (f.most_threads && grid.threads > f.most_threads)
        fail("%s: more threads than its launch bounds", f.name.c_str());
    ++launches;
    std::vector<Thread> threads(grid.threads);
    std::vector<u64> registers((size_t)grid.threads * f.slots());
    for (u32 n = 0; n < grid.threads; ++n) {
        Thread &t = threads[n];
        t.number = n;
        t.index[0] = n % launch.block[0];
        t.index[1] = n / launch.block[0] % launch.block[1];
        t.index[2] = n / launch.block[0] / launch.block[1];
        t.grid = &grid;
        t.function = launch.function;
        prepare(t, f, &registers[(size_t)n * f.slots()]);
        memcpy(t.scratch.data(), launch.parameters.data(), f.parameter_bytes);
    }
    for (grid.block[2] = 0; grid.block[2] < launch.grid[2]; ++grid.block[2])
        for (grid.block[1] = 0; grid.block[1] < launch.grid[1]; ++grid.block[1])
            for (grid.block[0] = 0; grid.block[0] < launch.grid[0]; ++grid.block[0]) {
                run_block(grid, threads);
                ++grid.block_number;
            }
}

}  // namespace emulator
