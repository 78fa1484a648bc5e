#include "text.h"

#include <algorithm>
#include <cctype>

namespace emulator {

std::string trimmed(const std::string &text) {
    auto space = [](unsigned char c) { return isspace(c) != 0; };
    auto first = std::find_if_not(text.begin(), text.end(), space);
    auto last = std::find_if_not(text.rbegin(), std::make_reverse_iterator(first), space).base();
    return std::string(first, last);
}

Words split(const std::string &text, char separator) {
    Words parts;
    std::string part;
    int depth = 0;
    for (char c : text) {
        depth += (strchr("[({", c) != nullptr) - (strchr("])}", c) != nullptr);
        if (c == separator && depth == 0) {
            parts.push_back(trimmed(part));
            part.clear();
        } else {
            part += c;
        }
    }
    if (!trimmed(part).empty()) parts.push_back(trimmed(part));
    return parts;
}

u64 number(const std::string &text) {
    bool minus = text[0] == '-';
    std::string digits = minus ? text.substr(1) : text;
    if (digits.size() > 2 && digits[0] == '0' && strchr("fFdD", digits[1]))
        return std::stoull(digits.substr(2), nullptr, 16);  // bits of a float or double
    u64 value = std::stoull(digits, nullptr, 0);
    return minus ? -value : value;
}

static const std::map<std::string, Type> TYPES = {
    {"pred", Type::pred}, {"b8", Type::b8},   {"u8", Type::u8},       {"s8", Type::s8},
    {"b16", Type::b16},   {"u16", Type::u16}, {"s16", Type::s16},     {"f16", Type::f16},
    {"bf16", Type::bf16}, {"b32", Type::b32}, {"u32", Type::u32},     {"s32", Type::s32},
    {"f32", Type::f32},   {"b64", Type::b64}, {"u64", Type::u64},     {"s64", Type::s64},
    {"f64", Type::f64},   {"f16x2", Type::f16x2}, {"bf16x2", Type::bf16x2}, {"tf32", Type::tf32},
};

Type type_named(const std::string &name) {
    auto found = TYPES.find(name);
    return found == TYPES.end() ? Type::none : found->second;
}

int size_of(Type type) {
    switch (type) {
        case Type::none: return 0;
        case Type::pred: case Type::b8: case Type::u8: case Type::s8: return 1;
        case Type::b16: case Type::u16: case Type::s16: case Type::f16: case Type::bf16: return 2;
        case Type::b64: case Type::u64: case Type::s64: case Type::f64: return 8;
        default: return 4;
    }
}

bool is_signed(Type type) {
    return type == Type::s8 || type == Type::s16 || type == Type::s32 || type == Type::s64;
}

bool is_float(Type type) {
    return type == Type::f16 || type == Type::bf16 || type == Type::f32 || type == Type::f64;
}

}  // namespace emulator
