// tests/unit/engine/alias_random_test.cc - random code that rewrites itself, ahead and behind, by
// way of two linear pages of one frame and over the border of two pages: every setting ends as one
// that runs a single instruction at a time.
#include <random>

#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {
namespace {

using asmjit::x86::Assembler;
using guest::Gpr;
using namespace asmjit::x86;
using namespace place;

// Two frames that are neighbours in linear space only, and are seen at two places there.
constexpr std::uint64_t kFrames[] = {0x2a0000, 0x2d0000};
constexpr std::uint64_t kAliases[] = {0x2b0000, 0x2e0000};
constexpr unsigned kLoops = 90;  // more than makes a block hot

class Program {
 public:
  explicit Program(std::uint64_t seed) : random_(seed) {
    start_ = 0x1000 - 40 - below(160);
    const unsigned count = 8 + below(24);
    for (unsigned i = 0; i < count; ++i) append_form();
    // DEC R9D; JNZ to the start; RET
    const auto back = static_cast<std::uint32_t>(-static_cast<std::int32_t>(bytes_.size() + 9));
    put({0x41, 0xff, 0xc9, 0x0f, 0x85});
    put32(back);
    put({0xc3});
    for (const Store& store : stores_) choose_target(store);
  }

  const Bytes& bytes() const { return bytes_; }
  std::uint64_t start() const { return start_; }
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

 private:
  struct Store {
    std::size_t address;  // where its address field is
    std::size_t value;    // and its byte; 0: it stores four, any value will do
  };

  void put(std::initializer_list<unsigned> bytes) {
    for (const unsigned b : bytes) bytes_.push_back(static_cast<std::uint8_t>(b));
  }
  void put32(std::uint32_t v) { put({v & 0xff, v >> 8 & 0xff, v >> 16 & 0xff, v >> 24}); }
  void put_immediate() {
    immediates_.push_back(bytes_.size());
    put32(static_cast<std::uint32_t>(random_()));
  }
  unsigned accumulator_opcode() { return below(8) << 3 | 5; }  // ADD .. CMP EAX, imm32
  unsigned branch_opcode() { return 0x70 | below(16); }

  void append_form() {
    constexpr unsigned kRegisters[] = {0, 1, 2, 3, 5, 6, 7};
    switch (below(8)) {
      case 0:
      case 1:
        opcodes_.push_back(bytes_.size());
        put({accumulator_opcode()});
        return put_immediate();
      case 2:  // ADD .. CMP r32, imm32
        put({0x81, 0xc0 | below(8) << 3 | kRegisters[below(7)]});
        return put_immediate();
      case 3:  // Jcc over the next instruction
        branches_.push_back(bytes_.size());
        put({branch_opcode(), 5});
        opcodes_.push_back(bytes_.size());
        put({accumulator_opcode()});
        return put_immediate();
      case 4:  // MOV [address], imm32
        put({0xc7, 0x04, 0x25});
        stores_.push_back({bytes_.size(), 0});
        put32(0);
        return put_immediate();
      case 5:  // LOCK XADD [address], EAX
        put({0xf0, 0x0f, 0xc1, 0x04, 0x25});
        stores_.push_back({bytes_.size(), 0});
        return put32(0);
      case 6:  // ADD .. XOR [address], imm32
        put({0x81, below(7) << 3 | 4, 0x25});
        stores_.push_back({bytes_.size(), 0});
        put32(0);
        return put_immediate();
      default:  // MOV [address], imm8
        put({0xc6, 0x04, 0x25});
        stores_.push_back({bytes_.size(), bytes_.size() + 4});
        put32(0);
        return put({0});
    }
  }

  // Only what leaves the code decodable is overwritten: immediates, and opcodes by their like.
  void choose_target(const Store& store) {
    std::size_t at = 0;
    if (store.value == 0) {
      at = immediates_.empty() ? bytes_.size() : immediates_[below(size32(immediates_))];
    } else if (below(2) && !branches_.empty()) {
      at = branches_[below(size32(branches_))];
      bytes_[store.value] = static_cast<std::uint8_t>(branch_opcode());
    } else if (!opcodes_.empty()) {
      at = opcodes_[below(size32(opcodes_))];
      bytes_[store.value] = static_cast<std::uint8_t>(accumulator_opcode());
    } else {
      at = bytes_.size();  // behind the code
    }
    const std::uint64_t linear = (below(2) ? kFrames[0] : kAliases[0]) + start_ + at;
    for (unsigned i = 0; i < 4; ++i)
      bytes_[store.address + i] = static_cast<std::uint8_t>(linear >> (8 * i));
  }
  static std::uint32_t size32(const std::vector<std::size_t>& v) {
    return static_cast<std::uint32_t>(v.size());
  }

  std::mt19937_64 random_;
  std::uint64_t start_ = 0;
  Bytes bytes_;
  std::vector<std::size_t> immediates_, opcodes_, branches_;
  std::vector<Store> stores_;
};

struct Result {
  std::array<std::uint64_t, 16> gpr{};
  std::uint64_t flags = 0;
  Bytes memory;
  bool operator==(const Result&) const = default;
};

// The code is entered by both of its names in turn.
Result run(GuestMachine& machine, std::uint64_t seed) {
  Program program(seed);
  machine.enter_long();
  for (unsigned page = 0; page < 2; ++page) {
    machine.map(kFrames[0] + page * 0x1000, kFrames[page]);
    machine.map(kAliases[0] + page * 0x1000, kFrames[page]);
    machine.put(kFrames[page], Bytes(0x1000, 0x90));
  }
  for (std::size_t i = 0; i < program.bytes().size(); ++i) {
    const std::uint64_t at = program.start() + i;
    machine.put(kFrames[at >> 12] + (at & 0xfff), {program.bytes()[i]});
  }
  machine.put(kCode, assemble(kCode, [&](Assembler& a) {
                for (unsigned i = 0; i < 4; ++i) {
                  a.mov(r9d, kLoops);
                  a.mov(r8, (i & 1 ? kAliases[0] : kFrames[0]) + program.start());
                  a.call(r8);
                }
                a.hlt();
              }));
  for (const Gpr r : {Gpr::kRax, Gpr::kRcx, Gpr::kRdx, Gpr::kRbx, Gpr::kRsi, Gpr::kRdi, Gpr::kRbp})
    machine.reg(r) = program.below(~0u);
  machine.reg(Gpr::kRsp) = kStack + 0x800;
  EXPECT_TRUE(halted_itself(machine.run_at(kCode)));
  Result result{machine.state().gpr, machine.state().rflags & guest::flags::kArithmetic, {}};
  for (const std::uint64_t frame : kFrames) {
    Bytes page(0x1000);
    machine.memory->read_bytes({frame}, page);
    result.memory.insert(result.memory.end(), page.begin(), page.end());
  }
  return result;
}

class RandomAliases : public EngineTest {};

TEST_P(RandomAliases, EndAsWithOneInstructionAtATime) {
  constexpr unsigned kPrograms = 40;
  runtime::BtOptions slow;
  slow.cache_bytes = 8 << 20;
  slow.max_block_instructions = 1;
  slow.chain = false;
  slow.tier = runtime::BtOptions::Tier::kFirst;
  slow.memory = runtime::BtOptions::Memory::kTlb;
  GuestMachine reference(slow);
  for (std::uint64_t seed = 1; seed <= kPrograms; ++seed) {
    const Result expected = run(reference, seed), found = run(machine, seed);
    ASSERT_EQ(found.gpr, expected.gpr) << "program " << seed;
    ASSERT_EQ(found.flags, expected.flags) << "program " << seed;
    ASSERT_EQ(found.memory, expected.memory) << "program " << seed;
  }
}

RS_FOR_ALL_SETTINGS(RandomAliases);

}  // namespace
}  // namespace ringshift::engine
