// tests/differential/translated_cpu.cc - the guest around the sequence: tables, handlers, results.
#include "tests/differential/translated_cpu.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "guest/empty_board.h"
#include "tests/differential/xsave_area.h"

namespace ringshift::differential {
namespace {

using guest::CpuState;
using guest::PhysicalAddress;
using guest::Seg;
using guest::SegmentRegister;

// Guest-physical places. The first 64 KiB are the guest's kernel.
constexpr std::uint64_t kGdt = 0x1000, kIdt = 0x2000, kTss = 0x3000, kHandlers = 0x4000,
                        kLdt = 0x8000, kKernelStackTop = 0x7000, kKernelBytes = 0x10000;
constexpr std::uint64_t kPerMode = 0x10000;  // kGdt.. are repeated for each mode
constexpr std::uint64_t kTables = 0x100000, kCodeAt = 0x200000, kDataAt = 0x300000,
                        kStackAt = 0x400000;
constexpr std::uint64_t kRamBytes = 16 << 20;
constexpr unsigned kVectors = 32, kHandlerBytes = 16;
constexpr std::uint16_t kKernelCode32 = 0x08, kKernelCode64 = 0x10, kKernelData = 0x18,
                        kTssSelector = 0x38, kLdtSelector = 0x48;

constexpr std::uint64_t kP = 1, kW = 2, kU = 4, kNx = 1ull << 63;

std::uint64_t kernel_base(Mode m) {
  return m == Mode::kProtected ? 0xe1230000 : 0xffff8000e1230000;
}
std::uint64_t physical_base(Mode m) { return static_cast<std::uint64_t>(m) * kPerMode; }

// One address space; tables are taken one page after another.
class PageTables {
 public:
  PageTables(guest::PhysicalMemory& memory, std::uint64_t& next, bool pae)
      : memory_(memory), next_(next), levels_(pae ? 3 : 4), pae_(pae), root_(take()) {
    if (pae)
      for (unsigned i = 0; i < 4; ++i) entry(root_, i, take() | kP);
  }
  std::uint64_t root() const { return root_; }
  void map(std::uint64_t linear, std::uint64_t physical, std::uint64_t bytes,
           std::uint64_t rights) {
    for (std::uint64_t at = 0; at < bytes; at += layout::kPage) {
      std::uint64_t table = root_;
      for (unsigned level = levels_; level > 1; --level) {
        const unsigned i = index(linear + at, level);
        std::uint64_t e = memory_.load<std::uint64_t>(PhysicalAddress{table + 8 * i});
        if (!(e & kP)) e = entry(table, i, take() | kP | kW | kU);
        table = e & 0xffffffffff000;
      }
      entry(table, index(linear + at, 1), (physical + at) | rights);
    }
  }

 private:
  static unsigned index(std::uint64_t linear, unsigned level) {
    return static_cast<unsigned>(linear >> (12 + 9 * (level - 1))) & 511;
  }
  std::uint64_t take() { return std::exchange(next_, next_ + layout::kPage); }
  std::uint64_t entry(std::uint64_t table, unsigned i, std::uint64_t value) {
    memory_.store(PhysicalAddress{table + 8 * i}, value);
    return value;
  }
  guest::PhysicalMemory& memory_;
  std::uint64_t& next_;
  unsigned levels_;
  bool pae_;
  std::uint64_t root_;
};

SegmentRegister flat(std::uint16_t sel, std::uint16_t attributes, std::uint64_t base = 0) {
  return {sel, attributes, 0xffffffff, base};
}
// attributes: see SegmentRegister. The accessed bit is set.
constexpr std::uint16_t kCode32Attributes = 0xc09b, kCode64Attributes = 0xa09b,
                        kDataAttributes = 0xc093, kUserDpl = 0x60, kTssAttributes = 0x8b,
                        kLdtAttributes = 0x82;

std::uint64_t descriptor(std::uint16_t attributes, std::uint32_t base, std::uint32_t limit20) {
  return (limit20 & 0xffff) | std::uint64_t{base & 0xffffff} << 16 |
         std::uint64_t{attributes & 0xf0ffu} << 40 | std::uint64_t{limit20 >> 16 & 15} << 48 |
         std::uint64_t{base >> 24} << 56;
}

bool has_error_code(unsigned vector) {
  return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21;
}

}  // namespace

class TranslatedCpu::Board final : public guest::EmptyBoard {};

TranslatedCpu::~TranslatedCpu() = default;

TranslatedCpu::TranslatedCpu(const runtime::BtOptions& options)
    : model_(guest::CpuModel::create("max").value()),
      memory_(guest::PhysicalMemory::create(kRamBytes).value()),
      board_(std::make_unique<Board>()),
      accelerator_(runtime::create_bt_accelerator(options)) {
  auto vcpu = accelerator_->create_vcpu(*memory_, model_, *board_);
  if (!vcpu) {
    fmt::print(stderr, "{}\n", vcpu.error());
    std::exit(2);
  }
  vcpu_ = std::move(*vcpu);
  build_tables();
  for (Mode m : {Mode::k64, Mode::kCompatibility, Mode::kProtected}) build_mode(m);
}

void TranslatedCpu::build_tables() {
  std::uint64_t next = kTables;
  for (Mode m : {Mode::k64, Mode::kProtected}) {
    const bool pae = m == Mode::kProtected;
    PageTables tables(*memory_, next, pae);
    using namespace layout;
    tables.map(kernel_base(m), 0, 4 * kPerMode, kP | kW);
    tables.map(kCode, kCodeAt, kCodeBytes, kP | kU);
    tables.map(kStack, kStackAt, kStackBytes, kP | kU | kW | kNx);
    for (std::uint64_t at : {kData, kHighData}) {
      if (pae && at == kHighData) continue;
      tables.map(at, kDataAt, kReadOnlyFrom, kP | kU | kW | kNx);
      tables.map(at + kReadOnlyFrom, kDataAt + kReadOnlyFrom, kDataBytes - kReadOnlyFrom,
                 kP | kU | kNx);
    }
    for (Mode user : {Mode::k64, Mode::kCompatibility, Mode::kProtected})
      if ((user == Mode::kProtected) == pae)
        start_[static_cast<unsigned>(user)].cr3 = tables.root();
  }
}

void TranslatedCpu::build_mode(Mode m) {
  const std::uint64_t at = physical_base(m), linear = kernel_base(m) + at;
  const bool wide = m != Mode::kProtected;
  auto put64 = [&](std::uint64_t where, std::uint64_t v) {
    memory_->store(PhysicalAddress{where}, v);
  };
  // GDT
  auto gdt = [&](unsigned i, std::uint64_t v) { put64(at + kGdt + 8 * i, v); };
  gdt(1, descriptor(kCode32Attributes, 0, 0xfffff));
  gdt(2, descriptor(kCode64Attributes, 0, 0xfffff));
  gdt(3, descriptor(kDataAttributes, 0, 0xfffff));
  gdt(4, descriptor(kCode32Attributes | kUserDpl, 0, 0xfffff));
  gdt(5, descriptor(kDataAttributes | kUserDpl, 0, 0xfffff));
  gdt(6, descriptor(kCode64Attributes | kUserDpl, 0, 0xfffff));
  gdt(7, descriptor(kTssAttributes, static_cast<std::uint32_t>(linear + kTss), 0x67));
  gdt(8, (linear + kTss) >> 32);
  gdt(9, descriptor(kLdtAttributes, static_cast<std::uint32_t>(linear + kLdt), 15));
  gdt(10, (linear + kLdt) >> 32);
  put64(at + kLdt, descriptor(kDataAttributes | kUserDpl, kFsBase32, 0xfffff));
  put64(at + kLdt + 8, descriptor(kDataAttributes | kUserDpl, kGsBase32, 0xfffff));
  // TSS: the ring 0 stack.
  if (wide) {
    put64(at + kTss + 4, linear + kKernelStackTop);
  } else {
    memory_->store(PhysicalAddress{at + kTss + 4},
                   static_cast<std::uint32_t>(linear + kKernelStackTop));
    memory_->store(PhysicalAddress{at + kTss + 8}, std::uint32_t{kKernelData});
  }
  // The I/O permission map begins past the limit: no port is open to ring 3.
  memory_->store(PhysicalAddress{at + kTss + 0x66}, std::uint16_t{0x68});
  // IDT: interrupt gates; INT3 and INTO may come from ring 3. Handlers: HLT, IRET.
  for (unsigned v = 0; v < kVectors; ++v) {
    const std::uint64_t handler = linear + kHandlers + v * kHandlerBytes;
    const std::uint64_t cs = wide ? kKernelCode64 : kKernelCode32;
    const std::uint64_t type = v == 3 || v == 4 ? 0xee : 0x8e;
    const std::uint64_t low =
        (handler & 0xffff) | cs << 16 | type << 40 | (handler >> 16 & 0xffff) << 48;
    put64(at + kIdt + v * (wide ? 16 : 8), low);
    if (wide) put64(at + kIdt + v * 16 + 8, handler >> 32);
    const Bytes code = wide ? Bytes{0xf4, 0x48, 0xcf} : Bytes{0xf4, 0xcf};
    memory_->write_bytes(PhysicalAddress{at + kHandlers + v * kHandlerBytes}, code);
  }
  CpuState& s = start_[static_cast<unsigned>(m)];
  const std::uint64_t cr3 = s.cr3;
  guest::reset(s);
  s.cr3 = cr3;
  s.cr0 = guest::cr0::kPe | guest::cr0::kMp | guest::cr0::kEt | guest::cr0::kNe | guest::cr0::kWp |
          guest::cr0::kAm | guest::cr0::kPg;
  s.cr4 = guest::cr4::kPae | guest::cr4::kPge | guest::cr4::kOsfxsr | guest::cr4::kOsxmmexcpt |
          guest::cr4::kFsgsbase | guest::cr4::kOsxsave;
  s.msr.efer = guest::efer::kSce | guest::efer::kNxe;
  if (wide) s.msr.efer |= guest::efer::kLme | guest::efer::kLma;
  s.xcr0 = XsaveArea::host().mask();
  if (!wide)
    for (unsigned i = 0; i < 4; ++i)
      s.pdpte[i] = memory_->load<std::uint64_t>(PhysicalAddress{cr3 + 8 * i});
  s.gdtr = {linear + kGdt, 16 * 8 - 1};
  s.idtr = {linear + kIdt, static_cast<std::uint16_t>(kVectors * (wide ? 16 : 8) - 1)};
  s.tr = {kTssSelector, kTssAttributes, 0x67, linear + kTss};
  s.ldtr = {kLdtSelector, kLdtAttributes, 15, linear + kLdt};
  s.cpl = 3;
  s.segment(Seg::kCs) = m == Mode::k64 ? flat(selector::kCode64, kCode64Attributes | kUserDpl)
                                       : flat(selector::kCode32, kCode32Attributes | kUserDpl);
  for (Seg seg : {Seg::kSs, Seg::kDs, Seg::kEs})
    s.segment(seg) = flat(selector::kData, kDataAttributes | kUserDpl);
  if (m == Mode::k64) {
    s.segment(Seg::kFs) = s.segment(Seg::kGs) = {};
  } else {
    s.segment(Seg::kFs) = flat(selector::kFs32, kDataAttributes | kUserDpl, kFsBase32);
    s.segment(Seg::kGs) = flat(selector::kGs32, kDataAttributes | kUserDpl, kGsBase32);
  }
}

void TranslatedCpu::load(const Registers& initial) {
  CpuState& s = vcpu_->state();
  std::copy(initial.gpr.begin(), initial.gpr.end(), s.gpr.begin());
  s.rip = initial.rip;
  s.rflags = initial.rflags;
  s.segment(Seg::kFs).base = initial.fs_base;
  s.segment(Seg::kGs).base = initial.gs_base;
  std::copy_n(initial.xsave.begin(), XsaveArea::host().bytes(), s.xsave.begin());
}

// The state is that of a handler after HLT: what IRET pops and the other registers are the test's.
void TranslatedCpu::enter_by_iret(Mode mode, const Registers& initial) {
  CpuState& s = vcpu_->state();
  const std::uint64_t rip = s.rip, handler_rflags = s.rflags;
  load(initial);
  s.rip = rip;
  s.rflags = handler_rflags;
  s.activity = guest::Activity::kRunning;
  const std::uint64_t cs = mode == Mode::k64 ? selector::kCode64 : selector::kCode32;
  const std::uint64_t frame[5] = {initial.rip, cs, initial.rflags, initial.gpr[4], selector::kData};
  const unsigned width = mode == Mode::kProtected ? 4 : 8;
  const std::uint64_t top = kKernelStackTop - 5 * width;
  for (unsigned i = 0; i < 5; ++i)
    memory_->write(PhysicalAddress{physical_base(mode) + top + i * width}, width, frame[i]);
  s.gpr[4] = kernel_base(mode) + physical_base(mode) + top;
}

bool TranslatedCpu::run(Mode mode, const Registers& initial, const Memory& memory,
                        const Bytes& code, Start start, Outcome& outcome, std::string& error) {
  using namespace layout;
  memory_->write_bytes(PhysicalAddress{kDataAt}, memory.data);
  memory_->write_bytes(PhysicalAddress{kStackAt}, memory.stack);
  if (start == Start::kCold) {
    Bytes pages(kCodeBytes, kFiller);
    std::copy(code.begin(), code.end(),
              pages.begin() + static_cast<std::ptrdiff_t>(initial.rip - kCode));
    memory_->write_bytes(PhysicalAddress{kCodeAt}, pages);
    vcpu_->state() = start_[static_cast<unsigned>(mode)];
    load(initial);
    vcpu_->state_changed();
  } else {
    enter_by_iret(mode, initial);
  }
  const runtime::ExitReason reason = vcpu_->run();
  if (reason != runtime::ExitReason::kHalted) {
    error = fmt::format("run() ended with reason {} at RIP {:x}", static_cast<int>(reason),
                        vcpu_->state().rip);
    return false;
  }
  memory_->read_bytes(PhysicalAddress{kDataAt}, outcome.memory.data);
  memory_->read_bytes(PhysicalAddress{kStackAt}, outcome.memory.stack);
  return capture(mode, outcome, error);
}

bool TranslatedCpu::capture(Mode mode, Outcome& outcome, std::string& error) {
  const CpuState& s = vcpu_->state();
  const std::uint64_t base = physical_base(mode), linear = kernel_base(mode) + base;
  const std::uint64_t offset = s.rip - 1 - (linear + kHandlers);
  if (s.cpl != 0 || offset % kHandlerBytes != 0 || offset / kHandlerBytes >= kVectors) {
    error = fmt::format("halted at RIP {:x}, CPL {}", s.rip, s.cpl);
    return false;
  }
  outcome.vector = static_cast<unsigned>(offset / kHandlerBytes);
  const unsigned width = mode == Mode::kProtected ? 4 : 8;
  const bool code = has_error_code(outcome.vector);
  const std::uint64_t frame_bytes = (5 + code) * width;
  if (s.gpr[4] != linear + kKernelStackTop - frame_bytes) {
    error = fmt::format("vector {}: kernel stack pointer {:x}", outcome.vector, s.gpr[4]);
    return false;
  }
  std::uint64_t at = base + kKernelStackTop - frame_bytes;
  auto pop = [&] { return memory_->read(PhysicalAddress{std::exchange(at, at + width)}, width); };
  outcome.error_code = code ? pop() : 0;
  outcome.registers.gpr = {};
  std::copy(s.gpr.begin(), s.gpr.end(), outcome.registers.gpr.begin());
  outcome.registers.rip = pop();
  const std::uint64_t cs = pop();
  outcome.registers.rflags = pop();
  outcome.registers.gpr[4] = pop();
  const std::uint64_t ss = pop();
  outcome.cr2 = s.cr2;
  if (outcome.vector == 14 && outcome.cr2 >= 0x7ffffffff000)
    outcome.error_code &= ~std::uint64_t{1};
  outcome.registers.fs_base = s.segment(Seg::kFs).base;
  outcome.registers.gs_base = s.segment(Seg::kGs).base;
  std::copy_n(s.xsave.begin(), XsaveArea::host().bytes(), outcome.registers.xsave.begin());
  const std::uint64_t want = mode == Mode::k64 ? selector::kCode64 : selector::kCode32;
  if (cs != want || ss != selector::kData) {
    error = fmt::format("vector {}: CS {:x}, SS {:x}", outcome.vector, cs, ss);
    return false;
  }
  return true;
}

}  // namespace ringshift::differential
