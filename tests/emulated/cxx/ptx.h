// PTX as it is run: instructions with their operands resolved to slots of a thread's registers.
#pragma once
#include "emulator.h"

#include <cstring>
#include <map>
#include <memory>

namespace emulator {

enum class Type : u8 {
    none, pred, b8, u8, s8, b16, u16, s16, f16, bf16, b32, u32, s32, f32, b64, u64, s64, f64,
    f16x2, bf16x2, tf32,
};
int size_of(Type);
bool is_signed(Type);
bool is_float(Type);

enum class Space : u8 { generic, global, shared, local, param, constant };
enum class Rounding : u8 { none, nearest, zero, down, up, away };
// What a warp does together; `alone` is no such thing.
enum class Way : u8 { alone, sync, shuffle, vote, tiles, reduce, match, active };

struct Instruction;
struct Thread;
using Step = void (*)(const Instruction &, Thread &);

// Which slots an instruction reads or writes, held in place: they are looked up all the time.
struct Slots {
    static const int MOST = 14;
    int at[MOST];
    int count = 0;
    void push_back(int slot) {
        if (count == MOST) fail("PTX: more operands than %d", MOST);
        at[count++] = slot;
    }
    size_t size() const { return count; }
    bool empty() const { return count == 0; }
    int operator[](size_t k) const { return at[k]; }
    int back() const { return at[count - 1]; }
    int *begin() { return at; }
    int *end() { return at + count; }
};

struct Instruction {
    Step step = nullptr;
    int guard = -1;
    bool unless = false;  // the guard is negated
    Type type = Type::none, from = Type::none;
    Space space = Space::generic;
    Rounding rounding = Rounding::none;
    bool integral = false;  // rounds to an integer
    bool flush = false, saturate = false, high = false, wide = false, quiet = true;
    bool carry_in = false, carry_out = false;
    bool atomic = false;
    Way way = Way::alone;
    int mode = 0;    // which of several kinds, by instruction
    int vector = 1;  // elements of a load or store
    i64 offset = 0, offset2 = 0;
    Slots to, from_slots;  // written and read
    bool negated = false;             // the last predicate read
    std::vector<int> targets;
    Function *callee = nullptr;
    std::string text;
};

struct Constant {
    u64 value = 0;
    int special = -1;  // which special register it holds
};

struct Function {
    std::string name;
    Module *module = nullptr;
    bool is_entry = false, defined = false;
    std::vector<Parameter> parameters, results;
    size_t parameter_bytes = 0, scratch = 0, local = 0, shared = 0;
    u32 most_threads = 0;
    std::vector<Instruction> code;
    int registers = 0;                // declared ones; constants follow, and a sink
    std::vector<Constant> constants;
    int slots() const { return registers + (int)constants.size() + 1; }
};

struct Module {
    std::map<std::string, std::unique_ptr<Function>> functions;
    std::map<std::string, u64> globals;  // by name, the address in a block of device memory
    std::map<std::string, i64> shared;   // offsets; -1 is dynamic
    size_t shared_bytes = 0;
};

// ---------------------------------------------------------------- machine

enum class State : u8 { running, at_barrier, at_warp, done, returned };

struct Copy {  // of cp.async
    u32 to, bytes, count;
    u64 from;
};

struct Grid;  // the launch under way

struct Thread {
    u64 *r = nullptr;
    int pc = 0;
    State state = State::running;
    u32 number = 0, wanted = 0;  // in its block; lanes that a warp's instruction names
    u32 index[3] = {};
    u16 epoch = 0, warp_epoch = 0;  // barriers passed
    bool carry = false;
    std::vector<u8> local, scratch;
    std::vector<std::vector<Copy>> groups;
    std::vector<Copy> open;
    Function *function = nullptr;
    Grid *grid = nullptr;
};

template <class T>
T get(const Thread &t, int slot) {
    T value;
    memcpy(&value, &t.r[slot], sizeof value);
    return value;
}
template <class T>
void put(Thread &t, int slot, T value) {
    u64 bits = 0;
    memcpy(&bits, &value, sizeof value);
    t.r[slot] = bits;
}

// Memory of an access, checked: null is read, other bytes are to be written there.
u8 *access(Thread &, const Instruction &, Space, u64 address, u32 bytes, const u8 *value);
void call(const Instruction &, Thread &);
void start_copy(const Instruction &, Thread &);
void finish_copies(Thread &, size_t most_groups, bool open_too);
// A warp's instruction: it waits until all lanes that it names are there.
void warp_wait(const Instruction &, Thread &);

// The step of an instruction, from its mnemonic's parts; operands are resolved already.
Step step_of(Instruction &, const std::vector<std::string> &parts);
// What a whole warp does at once, for the lanes in `mask`.
void warp_step(const Instruction &, Thread *lanes, int count, u32 mask);

}  // namespace emulator
