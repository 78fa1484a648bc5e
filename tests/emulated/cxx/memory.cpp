// Memory of devices, and host memory that devices may use.
#include "emulator.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

namespace emulator {

bool checking = false;

static const u64 FIRST = 1ull << 48;  // above all that a host hands out
static const u64 LAST = 1ull << 52;
static const u64 ALIGNED = 512;

static std::map<u64, Block> blocks;
static std::map<u64, size_t> pinned;
static u64 next = FIRST;

void fail(const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    throw Error(text);
}

u64 allocate(size_t bytes, int device) {
    Block &block = blocks[next];
    block.address = next;
    block.size = bytes;
    block.device = device;
    static const bool dry = getenv("EMULATOR_DRY") && atoi(getenv("EMULATOR_DRY"));
    block.host.assign(bytes + 16, dry ? 0 : 0xff);  // NaN, and no index
    if (checking) block.written.assign(bytes, false);
    next += (bytes / ALIGNED + 2) * ALIGNED;  // nothing lies right behind it
    return block.address;
}

bool release(u64 address, int) { return blocks.erase(address) > 0; }

template <class Map>
static typename Map::iterator below(Map &map, u64 address) {
    auto found = map.upper_bound(address);
    return found == map.begin() ? map.end() : --found;
}

Block *find(u64 address, size_t bytes) {
    auto found = below(blocks, address);
    if (found == blocks.end()) return nullptr;
    Block &block = found->second;
    return address + bytes <= block.address + block.size ? &block : nullptr;
}

bool is_device(u64 address) { return address >= FIRST && address < LAST; }

void pin(u64 host, size_t bytes) { pinned[host] = bytes; }
bool unpin(u64 host) { return pinned.erase(host) > 0; }

bool is_pinned(u64 host, size_t bytes) {
    auto found = below(pinned, host);
    return found != pinned.end() && host + bytes <= found->first + found->second;
}

u8 *readable(u64 address, size_t bytes) {
    if (!is_device(address)) return (u8 *)address;
    Block *block = find(address, bytes);
    if (!block) fail("%zu bytes at %#lx are not there", bytes, (long)address);
    return block->host.data() + (address - block->address);
}

u8 *writable(u64 address, size_t bytes) {
    u8 *host = readable(address, bytes);
    if (is_device(address)) {
        Block *block = find(address, bytes);
        size_t first = address - block->address;
        if (!block->written.empty())
            std::fill_n(block->written.begin() + first, bytes, true);
    }
    return host;
}

}  // namespace emulator
