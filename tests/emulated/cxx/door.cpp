// The emulator for programs that know it: modules, memory, launches. Errors are texts.
#include "emulator.h"

#include <cstring>
#include <memory>
#include <mutex>
#include <set>

namespace emulator {

static std::set<std::string> findings;
void report(const std::string &finding) {
    if (checking) findings.insert(finding);
}

}  // namespace emulator

using namespace emulator;

static thread_local std::string text;

template <class Work>
static const char *error_of(Work work) {
    try {
        work();
        return nullptr;
    } catch (const std::exception &error) {
        text = error.what();
        return text.c_str();
    }
}

extern "C" {
#pragma GCC visibility push(default)


void emulator_check(int on) { checking = on != 0; }

// All findings since the last call, a line each.
const char *emulator_findings() {
    text.clear();
    for (const std::string &finding : findings) text += finding + "\n";
    findings.clear();
    return text.c_str();
}

u64 emulator_allocate(size_t bytes) { return allocate(bytes, 0); }
void emulator_release(u64 address) { release(address); }
const char *emulator_write(u64 to, const void *from, size_t bytes) {
    return error_of([&] { memcpy(writable(to, bytes), from, bytes); });
}
const char *emulator_read(void *to, u64 from, size_t bytes) {
    return error_of([&] { memcpy(to, readable(from, bytes), bytes); });
}

const char *emulator_load(const char *ptx, void **module) {
    return error_of([&] { *module = load(ptx); });
}
const char *emulator_launch(void *module, const char *name, const u32 *grid, const u32 *block,
                            size_t shared, void **arguments) {
    return error_of([&] {
        Function *function = entry((Module *)module, name);
        if (!function) fail("no kernel %s", name);
        Launch launch{function, {}, {}, shared, std::vector<u8>(parameter_bytes(function)), 0};
        std::copy(grid, grid + 3, launch.grid);
        std::copy(block, block + 3, launch.block);
        size_t k = 0;
        for (const Parameter &p : parameters(function))
            memcpy(launch.parameters.data() + p.offset, arguments[k++], p.size);
        run(launch);
    });
}

}
