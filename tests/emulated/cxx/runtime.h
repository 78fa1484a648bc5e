// Streams, on which the libraries queue their work too.
#pragma once
#include "emulator.h"

#include <functional>
#include <mutex>

#define API extern "C" __attribute__((visibility("default")))

namespace emulator {

struct Stream;
int current_device();
Stream *stream_of(const void *handle);
// Do `work` when its turn comes, or whenever the graph is launched that the stream records. It counts
// as one more of its `kind`: a kernel's name, or what a library or a copy is called.
void submit(Stream *, const std::string &kind, std::function<void()> work);
extern std::recursive_mutex machine_lock;
using Lock = std::lock_guard<std::recursive_mutex>;

}  // namespace emulator
