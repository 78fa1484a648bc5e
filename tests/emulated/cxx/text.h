// Words, numbers and names of types in PTX.
#pragma once
#include "ptx.h"

namespace emulator {

using Words = std::vector<std::string>;

std::string trimmed(const std::string &text);
// The parts of `text` between separators that are in no brackets.
Words split(const std::string &text, char separator);
u64 number(const std::string &text);
Type type_named(const std::string &name);  // none if it is no type

}  // namespace emulator
