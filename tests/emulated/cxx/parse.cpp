// Text of PTX into functions of instructions. See "PTX ISA", chapters 4 to 7 and 10 to 11.
#include "text.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <unordered_map>

namespace emulator {

// Registers that hold what a thread is, by their place in machine.cpp's `special`.
static const Words SPECIALS = {
    "%tid.x", "%tid.y", "%tid.z", "%ntid.x", "%ntid.y", "%ntid.z", "%ctaid.x", "%ctaid.y",
    "%ctaid.z", "%nctaid.x", "%nctaid.y", "%nctaid.z", "%laneid", "%warpid", "%lanemask_lt",
    "%lanemask_le", "%lanemask_gt", "%lanemask_ge", "%lanemask_eq", "dynamic shared memory",
};

class Parser {
  public:
    Parser(const std::string &text, Module &module) : text_(text), module_(module) {}

    void parse() {
        while (!ended()) {
            std::string word = next();
            bool external = false;
            while (word == ".visible" || word == ".extern" || word == ".weak" || word == ".common") {
                external |= word == ".extern";
                word = next();
            }
            if (word == ".version" || word == ".target" || word == ".address_size" ||
                word == ".file" || word == ".pragma")
                skip_line();
            else if (word == ".entry" || word == ".func")
                function(word == ".entry");
            else if (word == ".global" || word == ".const" || word == ".shared")
                variable(word, external);
            else if (!(word.empty() && take(';')))
                fail("PTX: %s at top level", word.c_str());
        }
    }

  private:
    struct Variable {
        Space space;
        u64 at;
    };

    const std::string &text_;
    Module &module_;
    size_t at_ = 0;
    Function *function_ = nullptr;
    std::vector<std::unordered_map<std::string, int>> registers_;  // by block, innermost last
    std::unordered_map<std::string, Variable> variables_;
    std::unordered_map<std::string, int> labels_;
    std::map<std::string, Words> tables_;
    std::vector<std::pair<size_t, Words>> branches_;
    std::map<std::pair<u64, int>, int> constants_;

    // ------------------------------------------------------------ words

    void skip_space() {
        for (;;) {
            while (at_ < text_.size() && isspace((unsigned char)text_[at_])) ++at_;
            if (text_.compare(at_, 2, "//") == 0)
                skip_line();
            else if (text_.compare(at_, 2, "/*") == 0)
                at_ = text_.find("*/", at_) + 2;
            else
                return;
        }
    }
    void skip_line() {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    }
    bool ended() {
        skip_space();
        return at_ >= text_.size() || text_[at_] == 0;
    }
    char peek() {
        skip_space();
        return at_ < text_.size() ? text_[at_] : 0;
    }
    bool take(char c) {
        if (peek() != c) return false;
        ++at_;
        return true;
    }
    void need(char c) {
        if (!take(c)) fail("PTX: expected %c at %s", c, text_.substr(at_, 60).c_str());
    }
    std::string until(char c) {
        size_t first = at_;
        for (int depth = 0; text_[at_] != c || depth > 0; ++at_) {
            if (at_ >= text_.size()) fail("PTX: no %c", c);
            depth += (strchr("[({", text_[at_]) != nullptr) - (strchr("])}", text_[at_]) != nullptr);
        }
        return text_.substr(first, at_++ - first);
    }
    std::string next() {
        skip_space();
        size_t first = at_;
        while (at_ < text_.size() && (isalnum((unsigned char)text_[at_]) || strchr("_$.%", text_[at_])))
            ++at_;
        while (text_.compare(at_, 2, "::") == 0) {
            at_ += 2;
            next();
        }
        return text_.substr(first, at_ - first);
    }

    // ------------------------------------------------------------ declarations

    struct Declared {
        std::string name;
        u64 size, align;
        bool unsized;
        Type type;
    };

    // `.align 8 .b8 name[16]`, of which the words before the name are read by it too.
    Declared declaration() {
        Declared found{"", 0, 1, false, Type::none};
        for (;;) {
            std::string word = next();
            if (word == ".align" ) {
                found.align = std::stoull(next());
            } else if (word == ".ptr" || word == ".global" || word == ".const") {
                continue;
            } else if (word[0] == '.') {
                if (Type type = type_named(word.substr(1)); type != Type::none) found.type = type;
            } else {
                found.name = word;
                break;
            }
        }
        u64 count = 1;
        while (take('[')) {
            if (take(']')) {
                found.unsized = true;
                break;
            }
            count *= number(next());
            need(']');
        }
        found.size = count * size_of(found.type);
        found.align = std::max<u64>(found.align, size_of(found.type));
        return found;
    }

    static u64 place(size_t &end, const Declared &declared) {
        end = (end + declared.align - 1) / declared.align * declared.align;
        u64 at = end;
        end += declared.size;
        return at;
    }

    void variable(const std::string &space, bool external) {
        Declared declared = declaration();
        Words values;
        if (take('=')) {
            std::string given = trimmed(until(';'));
            values = given[0] == '{' ? split(given.substr(1, given.size() - 2), ',') : Words{given};
        } else {
            need(';');
        }
        if (space == ".shared") {
            bool dynamic = external || declared.unsized;
            module_.shared[declared.name] = dynamic ? -1 : (i64)place(module_.shared_bytes, declared);
            return;
        }
        u64 address = allocate(declared.size, -1);  // of every device
        u8 *host = writable(address, declared.size);
        memset(host, 0, declared.size);
        for (size_t k = 0; k < values.size(); ++k) {
            u64 value = number(values[k]);
            memcpy(host + k * size_of(declared.type), &value, size_of(declared.type));
        }
        module_.globals[declared.name] = address;
    }

    void signature(std::vector<Parameter> &parameters, size_t &end) {
        need('(');
        if (take(')')) return;
        do {
            Declared declared = declaration();
            u64 at = place(end, declared);
            parameters.push_back({(u32)at, (u32)declared.size});
            variables_[declared.name] = {Space::param, at};
        } while (take(','));
        need(')');
    }

    void function(bool is_entry) {
        variables_.clear();
        std::vector<Parameter> parameters, results;
        size_t end = 0;
        if (peek() == '(') signature(results, end);
        std::string name = next();
        if (peek() == '(') signature(parameters, end);
        auto &slot = module_.functions[name];
        if (!slot) slot = std::make_unique<Function>();
        function_ = slot.get();
        function_->name = name;
        function_->module = &module_;
        function_->is_entry = is_entry;
        function_->parameters = parameters;
        function_->results = results;
        function_->parameter_bytes = end;
        function_->scratch = (end + 15) / 16 * 16;
        while (peek() != '{') {
            if (take(';')) return;  // a declaration
            std::string word = next();
            if (word == ".maxntid" || word == ".reqntid") {
                function_->most_threads = number(next());
                while (take(',')) function_->most_threads *= number(next());
            } else if (word == ".minnctapersm" || word == ".maxnreg") {
                next();
            } else if (word != ".noreturn") {
                fail("PTX: %s before the body of %s", word.c_str(), name.c_str());
            }
        }
        function_->defined = true;
        registers_.assign(1, {});
        labels_.clear();
        branches_.clear();
        tables_.clear();
        constants_.clear();
        need('{');
        block();
        Instruction last;
        last.step = [](const Instruction &, Thread &t) {
            t.state = t.function->is_entry ? State::done : State::returned;
        };
        function_->code.push_back(last);
        for (auto &[where, labels] : branches_)
            for (const std::string &label : labels) {
                if (!labels_.count(label)) fail("PTX: no label %s", label.c_str());
                function_->code[where].targets.push_back(labels_[label]);
            }
        // Constants lie behind the registers, whose number is known only now.
        int sink = function_->registers + (int)function_->constants.size();
        for (Instruction &i : function_->code)
            for (auto *slots : {&i.to, &i.from_slots})
                for (int &s : *slots) s = s == SINK ? sink : s < 0 ? function_->registers - 1 - s : s;
    }
    static const int SINK = -(1 << 30);

    void block() {
        while (!take('}')) {
            if (take('{')) {
                registers_.push_back({});
                block();
                registers_.pop_back();
                continue;
            }
            size_t start = (peek(), at_);
            std::string word = peek() == '@' ? "" : next();
            if (!word.empty() && peek() == ':' ) {
                take(':');
                label(word);
            } else if (word == ".reg") {
                declare_registers();
            } else if (word == ".loc" || word == ".file") {
                skip_line();
            } else if (word == ".pragma") {
                until(';');
            } else if (word == ".local" || word == ".shared" || word == ".param") {
                local_variable(word);
            } else {
                at_ = start;
                statement();
            }
        }
    }

    void label(const std::string &name) {
        size_t start = (peek(), at_);
        std::string kind = peek() == '.' ? next() : "";
        if (kind == ".branchtargets") {
            tables_[name] = split(until(';'), ',');
        } else if (kind == ".callprototype") {
            until(';');
        } else {
            at_ = start;
            labels_[name] = (int)function_->code.size();
        }
    }

    void declare_registers() {
        next();  // their type: every slot has 64 bits
        do {
            std::string name = next();
            int count = 1;
            bool numbered = take('<');
            if (numbered) {
                count = (int)number(next());
                need('>');
            }
            for (int k = 0; k < count; ++k)
                registers_.back()[numbered ? name + std::to_string(k) : name] =
                    function_->registers++;
        } while (take(','));
        need(';');
    }

    void local_variable(const std::string &space) {
        Declared declared = declaration();
        need(';');
        if (space == ".local")
            variables_[declared.name] = {Space::local, place(function_->local, declared)};
        else if (space == ".shared")
            variables_[declared.name] = {Space::shared, place(module_.shared_bytes, declared)};
        else
            variables_[declared.name] = {Space::param, place(function_->scratch, declared)};
    }

    // ------------------------------------------------------------ operands

    int constant(u64 value, int special = -1) {
        auto [found, fresh] =
            constants_.emplace(std::make_pair(value, special), -1 - (int)constants_.size());
        if (fresh) function_->constants.push_back({value, special});
        return found->second;
    }

    int slot(const std::string &name) {
        if (name == "_") return SINK;
        for (auto scope = registers_.rbegin(); scope != registers_.rend(); ++scope)
            if (auto found = scope->find(name); found != scope->end()) return found->second;
        if (isdigit((unsigned char)name[0]) || name[0] == '-') return constant(number(name));
        auto special = std::find(SPECIALS.begin(), SPECIALS.end(), name);
        if (special != SPECIALS.end()) return constant(0, int(special - SPECIALS.begin()));
        if (name == "WARP_SZ") return constant(32);
        if (size_t plus = name.find('+'); plus != std::string::npos) {
            u64 off = number(trimmed(name.substr(plus + 1)));
            return constant(address_of(trimmed(name.substr(0, plus))) + off);
        }
        if (auto shared = module_.shared.find(name); shared != module_.shared.end())
            if (shared->second < 0) return constant(0, (int)SPECIALS.size() - 1);
        return constant(address_of(name));
    }

    u64 address_of(const std::string &name) {
        if (auto found = variables_.find(name); found != variables_.end()) return found->second.at;
        if (auto found = module_.shared.find(name); found != module_.shared.end())
            return found->second;
        if (auto found = module_.globals.find(name); found != module_.globals.end())
            return found->second;
        fail("PTX: %s is not known in %s", name.c_str(), function_->name.c_str());
    }

    void operand(Instruction &i, Slots &slots, std::string text) {
        if (text[0] == '{') {
            for (const std::string &part : split(text.substr(1, text.size() - 2), ','))
                operand(i, slots, part);
        } else if (text[0] == '[') {
            address(slots, text.substr(1, text.size() - 2), &slots == &i.to ? i.offset2 : i.offset);
        } else if (text[0] == '!') {
            i.negated = true;
            slots.push_back(slot(text.substr(1)));
        } else {
            slots.push_back(slot(text));
        }
    }

    void address(Slots &slots, const std::string &text, i64 &offset) {
        size_t plus = text.find('+', 1);
        slots.push_back(slot(trimmed(text.substr(0, plus))));
        if (plus != std::string::npos) offset = (i64)number(trimmed(text.substr(plus + 1)));
    }

    // ------------------------------------------------------------ statements

    void statement() {
        Instruction i;
        size_t start = at_;
        if (take('@')) {
            i.unless = take('!');
            i.guard = slot(next());
        }
        std::string mnemonic = next();
        Words operands = split(until(';'), ',');
        i.text = text_.substr(start, std::min<size_t>(at_ - start, 160));
        Words parts = split(mnemonic, '.');
        for (std::string &part : parts) part = part.substr(0, part.find("::"));
        qualifiers(i, parts);
        const std::string &base = parts[0];
        if (base == "bra" || base == "brx") {
            bool indirect = base == "brx";
            if (indirect) operand(i, i.from_slots, operands[0]);
            branches_.push_back(
                {function_->code.size(), indirect ? tables_[operands[1]] : Words{operands[0]}});
        } else if (base == "call") {
            call_operands(i, operands);
        } else if (base == "st" || base == "red" || base == "bar" || base == "barrier") {
            size_t k = 0;
            if (base[0] == 'b' && std::count(parts.begin(), parts.end(), "red"))
                operand(i, i.to, operands[k++]);
            for (; k < operands.size(); ++k) operand(i, i.from_slots, operands[k]);
        } else if (base == "cp") {
            copy_operands(i, operands);
        } else if (!operands.empty()) {
            size_t k = 0;
            for (const std::string &part : split(operands[k++], '|')) operand(i, i.to, part);
            for (; k < operands.size(); ++k) operand(i, i.from_slots, operands[k]);
        }
        i.step = step_of(i, parts);
        function_->code.push_back(std::move(i));
    }

    // [to], [from], bytes and perhaps how many of them count.
    void copy_operands(Instruction &i, const Words &operands) {
        for (size_t k = 0; k < operands.size(); ++k) {
            const std::string &text = operands[k];
            if (text[0] == '[')
                address(i.from_slots, text.substr(1, text.size() - 2), k ? i.offset2 : i.offset);
            else
                operand(i, i.from_slots, text);
        }
    }

    void call_operands(Instruction &i, Words operands) {
        size_t k = 0;
        auto inner = [](const std::string &s) { return split(s.substr(1, s.size() - 2), ','); };
        if (operands[0][0] == '(')
            for (const std::string &result : inner(operands[k++])) i.to.push_back(slot(result));
        i.callee = declared(operands[k++]);
        if (k < operands.size() && operands[k][0] == '(')
            for (const std::string &argument : inner(operands[k]))
                i.from_slots.push_back(slot(argument));
    }
    Function *declared(const std::string &name) {
        auto found = module_.functions.find(name);
        if (found == module_.functions.end()) fail("PTX: no function %s", name.c_str());
        return found->second.get();
    }

    static void qualifiers(Instruction &i, const Words &parts) {
        static const std::map<std::string, Space> spaces = {
            {"global", Space::global}, {"shared", Space::shared}, {"local", Space::local},
            {"param", Space::param},   {"const", Space::constant},
        };
        static const std::map<std::string, std::pair<Rounding, bool>> roundings = {
            {"rn", {Rounding::nearest, false}}, {"rz", {Rounding::zero, false}},
            {"rm", {Rounding::down, false}},    {"rp", {Rounding::up, false}},
            {"rna", {Rounding::away, false}},   {"rni", {Rounding::nearest, true}},
            {"rzi", {Rounding::zero, true}},    {"rmi", {Rounding::down, true}},
            {"rpi", {Rounding::up, true}},
        };
        std::vector<Type> types;
        for (const std::string &part : parts) {
            if (Type type = type_named(part); type != Type::none) types.push_back(type);
            if (auto found = spaces.find(part); found != spaces.end()) i.space = found->second;
            if (auto found = roundings.find(part); found != roundings.end())
                std::tie(i.rounding, i.integral) = found->second;
            i.flush |= part == "ftz";
            i.saturate |= part == "sat";
            i.high |= part == "hi";
            i.wide |= part == "wide";
            i.quiet &= part != "NaN";
            i.carry_out |= part == "cc";
            if (part == "v2" || part == "v4") i.vector = part[1] - '0';
        }
        if (!types.empty()) i.type = types.front();
        if (!types.empty()) i.from = types.size() > 1 ? types[1] : types.front();
    }
};

Module *load(const std::string &text) {
    auto module = std::make_unique<Module>();
    Parser(text, *module).parse();
    return module.release();
}

Function *entry(Module *module, const std::string &name) {
    auto found = module->functions.find(name);
    if (found == module->functions.end() || !found->second->defined) return nullptr;
    return found->second->is_entry ? found->second.get() : nullptr;
}

const std::vector<Parameter> &parameters(Function *function) { return function->parameters; }
size_t parameter_bytes(Function *function) { return function->parameter_bytes; }
size_t static_shared(Function *function) { return function->module->shared_bytes; }

}  // namespace emulator
