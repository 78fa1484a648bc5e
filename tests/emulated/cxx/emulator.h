// What the parts of the emulator share: memory of devices, and PTX that is loaded and run.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace emulator {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using i32 = int32_t;
using i64 = int64_t;

struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};
[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Whether kernels are watched: races, uninitialised reads, shuffles of absent lanes.
extern bool checking;
// What watching found; the same finding counts once.
void report(const std::string &finding);

// ---------------------------------------------------------------- memory

// Who touched a byte last in a launch. Threads are numbered over the whole grid.
struct Touched {
    u32 launch = 0, writer = 0, reader = 0;
    u16 write_epoch = 0, write_warp = 0, read_epoch = 0, read_warp = 0;
    bool written = false, read = false;
};

struct Block {
    u64 address;
    size_t size;
    int device;
    std::vector<u8> host;
    std::vector<bool> written;     // bytes that hold a value, while checking
    std::vector<Touched> touched;  // made by the first launch that is watched
};

// Addresses are not used again: what points to freed memory points to nothing.
u64 allocate(size_t bytes, int device);
bool release(u64 address, int device = -1);
// The block that holds all these bytes, or null.
Block *find(u64 address, size_t bytes);
bool is_device(u64 address);
void pin(u64 host, size_t bytes);
bool unpin(u64 host);
bool is_pinned(u64 host, size_t bytes = 1);
// The host's bytes of an address of device or host; an Error if they are not there.
u8 *readable(u64 address, size_t bytes);
u8 *writable(u64 address, size_t bytes);

// ---------------------------------------------------------------- PTX

struct Module;
struct Function;
struct Parameter {
    u32 offset, size;
};
Module *load(const std::string &text);
Function *entry(Module *, const std::string &name);  // null if it has none of that name
const std::vector<Parameter> &parameters(Function *);
size_t parameter_bytes(Function *);
size_t static_shared(Function *);

struct Launch {
    Function *function;
    u32 grid[3], block[3];
    size_t dynamic_shared;
    std::vector<u8> parameters;
    int device;
};
void run(const Launch &);  // an Error if it does what a device refuses

}  // namespace emulator
