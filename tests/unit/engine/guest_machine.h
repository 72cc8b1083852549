// tests/unit/engine/guest_machine.h - a small guest around the running engine: 4 MiB of RAM, tables
// for every mode, a handler that halts for each vector, and a board that the test holds in hand.
#pragma once

#include <asmjit/x86.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "guest/cpu_model.h"
#include "guest/empty_board.h"
#include "guest/physical_memory.h"
#include "runtime/bt/bt_accelerator.h"

namespace ringshift::engine {

using Bytes = std::vector<std::uint8_t>;

// --- guest code ----------------------------------------------------------------------------------

template <typename Write>
Bytes assemble(std::uint64_t at, Write&& write, asmjit::Arch arch = asmjit::Arch::kX64) {
  asmjit::CodeHolder code;
  code.init(asmjit::Environment(arch), at);
  asmjit::x86::Assembler assembler(&code);
  write(assembler);
  code.flatten();
  code.resolveUnresolvedLinks();
  code.relocateToBase(at);
  Bytes bytes(code.codeSize());
  code.copyFlattenedData(bytes.data(), bytes.size());
  return bytes;
}
template <typename Write>
Bytes assemble32(std::uint64_t at, Write&& write) {
  return assemble(at, std::forward<Write>(write), asmjit::Arch::kX86);
}

// --- the board -----------------------------------------------------------------------------------

class TestBoard final : public guest::EmptyBoard {
 public:
  bool interrupt_pending() override { return vector_.load() >= 0; }
  std::optional<std::uint8_t> acknowledge_interrupt() override {
    const int v = vector_.exchange(-1);
    if (v < 0) return std::nullopt;
    return static_cast<std::uint8_t>(v);
  }

  struct PortAccess {
    char direction;  // 'r' or 'w'
    std::uint16_t port;
    unsigned size;
    std::uint32_t value;
    bool operator==(const PortAccess&) const = default;
  };
  // A port reads as its own number, with a count of the reads in bits 31:16.
  std::uint32_t port_read(std::uint16_t port, unsigned size) override {
    const std::uint32_t value = (port | ++reads_ << 16) & (~0u >> (32 - 8 * size));
    ports.push_back({'r', port, size, value});
    return value;
  }
  void port_write(std::uint16_t port, unsigned size, std::uint32_t value) override {
    ports.push_back({'w', port, size, value});
    if (port == kA20Port) a20_open_ = value & 2;
  }
  static constexpr std::uint8_t kA20Port = 0x92;  // bit 1, as on a PC
  bool a20_open() const override { return a20_open_; }
  // One register of the APIC, and its base.
  std::optional<std::uint64_t> apic_msr_read(std::uint32_t index) override {
    if (index == kApicBase) return 0xfee00900;
    return index == kApicRegister ? std::optional(apic_register) : std::nullopt;
  }
  bool apic_msr_write(std::uint32_t index, std::uint64_t value) override {
    if (index == kApicRegister) apic_register = value;
    return index == kApicRegister;
  }
  static constexpr std::uint32_t kApicBase = 0x1b, kApicRegister = 0x80b;
  std::vector<PortAccess> ports;
  std::uint64_t apic_register = 0;

  // From any thread.
  void assert_interrupt(std::uint8_t vector) { vector_ = vector; }

 private:
  std::atomic<int> vector_ = -1;
  std::uint32_t reads_ = 0;
  bool a20_open_ = true;
};

inline void PrintTo(const TestBoard::PortAccess& a, std::ostream* os) {
  *os << a.direction << a.size << " at " << std::hex << a.port << " = " << a.value << std::dec;
}

// A device that keeps a list of the accesses it saw and answers reads from its own bytes.
class TestDevice final : public guest::MmioHandler {
 public:
  struct Access {
    char direction;  // 'r' or 'w'
    std::uint64_t offset;
    unsigned size;
    std::uint64_t value;
    bool operator==(const Access&) const = default;
  };
  std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override {
    const std::uint64_t value = answer & (~0ull >> (64 - 8 * size));
    accesses.push_back({'r', offset, size, value});
    return value;
  }
  void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override {
    accesses.push_back({'w', offset, size, value});
  }
  std::vector<Access> accesses;
  std::uint64_t answer = 0x8877665544332211;
};

inline void PrintTo(const TestDevice::Access& a, std::ostream* os) {
  *os << a.direction << a.size << " at " << a.offset << " = " << std::hex << a.value << std::dec;
}

// --- the machine ---------------------------------------------------------------------------------

// Guest-physical layout; linear addresses are the same in every mode.
namespace place {
inline constexpr std::uint64_t kGdt = 0x1000, kIdt = 0x2000, kTss = 0x3000, kHandlers = 0x4000,
                               kIvt = 0x6000, kPml4 = 0x10000, kPdpt = 0x11000, kPd = 0x12000,
                               kPt = 0x13000 /* two pages */, kPd32 = 0x15000,
                               kPt32 = 0x16000 /* one page: 4 MiB */, kLow = 0x20000,
                               kCode = 0x100000, kData = 0x200000, kStack = 0x300000,
                               kKernelStack = 0x310000, kDevice = 0xd0000000, kRam = 4 << 20;
}  // namespace place

namespace select {
inline constexpr std::uint16_t kCode32 = 0x08, kData32 = 0x10, kCode64 = 0x18, kCode32R3 = 0x23,
                               kData32R3 = 0x2b, kCode64R3 = 0x33, kTss32 = 0x38, kTss64 = 0x40,
                               kLdt = 0x50;
}

// Ends a program of any privilege: a software interrupt that ring 3 may raise.
inline constexpr unsigned kDone = 0x40;
inline constexpr int kOwnHalt = -1;  // HLT outside the handlers

// How a run ended. The frame is what the handler found on its stack.
struct Stop {
  runtime::ExitReason reason{};
  bool timed_out = false;
  int vector = kOwnHalt;
  std::uint64_t error_code = 0, rip = 0, cs = 0, rflags = 0, rsp = 0, ss = 0;
  std::uint64_t v86_segments[4] = {};  // ES, DS, FS, GS
};

class GuestMachine {
 public:
  explicit GuestMachine(const runtime::BtOptions& options, std::string_view model = "max");
  explicit GuestMachine(std::unique_ptr<runtime::Accelerator> accelerator,
                        std::string_view model = "max");
  ~GuestMachine();

  // Registers as after RESET, then the mode; code starts at kCode (real and v86: segment kLow).
  void enter_long(unsigned cpl = 0);
  void enter_protected(unsigned cpl = 0);  // 32-bit paging on
  void enter_real();
  void enter_v86(unsigned iopl);

  guest::CpuState& state() { return vcpu->state(); }
  std::uint64_t& reg(guest::Gpr r) { return state().reg(r); }
  void put(std::uint64_t at, const Bytes& bytes) { memory->write_bytes({at}, bytes); }
  template <typename T>
  T load(std::uint64_t at) {
    return memory->load<T>({at});
  }
  template <typename T>
  void store(std::uint64_t at, T value) {
    memory->store({at}, value);
  }
  // Page tables of 64-bit mode: `linear` (below 4 MiB) maps to `physical` with these rights.
  void map(std::uint64_t linear, std::uint64_t physical, std::uint64_t rights = 7) {
    store<std::uint64_t>(place::kPt + (linear >> 12) * 8, physical | rights);
  }
  // Code that runs in place of the halting handler of a vector; at most 16 bytes.
  void set_handler(unsigned vector, const Bytes& code) {
    put(place::kHandlers + 16 * vector, code);
  }

  // Starts (or goes on) at `rip` until HLT, shutdown or the end of the budget.
  Stop run(std::chrono::milliseconds budget = std::chrono::seconds(20));
  Stop run_at(std::uint64_t rip);
  std::uint64_t counter(const std::string& name);  // a line of the engine's statistics

  std::unique_ptr<guest::PhysicalMemory> memory;
  std::unique_ptr<runtime::Accelerator> accelerator;
  guest::CpuModel model;
  TestBoard board;
  TestDevice device;
  std::unique_ptr<runtime::Vcpu> vcpu;

 private:
  void write_gdt();
  void write_tables();
  void begin();
  void protect(unsigned cpl);
  void write_gates(bool wide);
  Stop describe(runtime::ExitReason reason);
};

// --- engine settings -----------------------------------------------------------------------------

struct Setting {
  std::string name;
  runtime::BtOptions options;
  bool kvm = false;
};
std::vector<Setting> settings();
std::vector<Setting> kvm_settings();
// Translation instead where /dev/kvm does not open, and `unavailable` says why.
std::unique_ptr<runtime::Accelerator> accelerator_of(const Setting& setting,
                                                     std::string& unavailable);
inline std::string setting_name(const ::testing::TestParamInfo<Setting>& info) {
  return info.param.name;
}

class EngineTest : public ::testing::TestWithParam<Setting> {
 protected:
  EngineTest() : machine(accelerator_of(GetParam(), unavailable_)) {}
  void SetUp() override {
    if (!unavailable_.empty()) GTEST_SKIP() << unavailable_;
  }
  // 64-bit ring 0 code at kCode, from a fresh state.
  template <typename Write>
  void load_long(Write&& write, unsigned cpl = 0) {
    machine.enter_long(cpl);
    machine.put(place::kCode, assemble(place::kCode, std::forward<Write>(write)));
  }
  template <typename Write>
  void load_protected(Write&& write, unsigned cpl = 0) {
    machine.enter_protected(cpl);
    machine.put(place::kCode, assemble32(place::kCode, std::forward<Write>(write)));
  }
  std::uint64_t result() { return machine.reg(guest::Gpr::kRax); }

 private:
  std::string unavailable_;

 protected:
  GuestMachine machine;
};

::testing::AssertionResult halted_itself(const Stop& stop);
::testing::AssertionResult faulted(const Stop& stop, unsigned vector, std::uint64_t rip);

#define RS_FOR_ALL_SETTINGS(suite) \
  INSTANTIATE_TEST_SUITE_P(Settings, suite, ::testing::ValuesIn(settings()), setting_name)
// For suites about what a guest sees, not about how translation makes it so.
#define RS_UNDER_KVM_TOO(suite) \
  INSTANTIATE_TEST_SUITE_P(Kvm, suite, ::testing::ValuesIn(kvm_settings()), setting_name)

}  // namespace ringshift::engine
