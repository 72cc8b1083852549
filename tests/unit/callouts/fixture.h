// tests/unit/callouts/fixture.h - a small guest for call-out tests: 2 MiB of RAM, descriptor
// tables, modes. Each test starts in real mode after RESET with a low stack; enter_*() switches the
// state at once, without running guest code. Addresses are linear = physical in every mode.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "guest/cpu_model.h"
#include "guest/cpu_state.h"
#include "guest/physical_memory.h"
#include "guest/platform.h"
#include "softmmu/mmu.h"
#include "translator/core.h"

namespace ringshift::translator {

class FakePlatform : public guest::Platform {
 public:
  struct PortWrite {
    std::uint16_t port;
    unsigned size;
    std::uint32_t value;
    bool operator==(const PortWrite&) const = default;
  };

  std::uint32_t port_read(std::uint16_t port, unsigned size) override {
    port_reads.push_back({port, size, 0});
    const auto found = port_values.find(port);
    return found == port_values.end() ? 0xffffffffu >> (32 - 8 * size) : found->second;
  }
  void port_write(std::uint16_t port, unsigned size, std::uint32_t value) override {
    port_writes.push_back({port, size, value});
  }
  bool interrupt_pending() override { return pending.has_value(); }
  std::optional<std::uint8_t> acknowledge_interrupt() override {
    const auto vector = pending;
    pending.reset();
    return vector;
  }
  std::uint8_t task_priority() override { return priority; }
  void set_task_priority(std::uint8_t cr8) override { priority = cr8; }
  std::optional<std::uint64_t> apic_msr_read(std::uint32_t index) override {
    const auto found = apic_msrs.find(index);
    if (found == apic_msrs.end()) return std::nullopt;
    return found->second;
  }
  bool apic_msr_write(std::uint32_t index, std::uint64_t value) override {
    const auto found = apic_msrs.find(index);
    if (found == apic_msrs.end()) return false;
    found->second = value;
    return true;
  }
  std::uint32_t apic_id() override { return 0; }
  void tsc_changed() override { ++tsc_changes; }
  void raise_ferr() override { ++ferr_count; }
  void triple_fault() override { ++triple_faults; }

  std::map<std::uint16_t, std::uint32_t> port_values;
  std::vector<PortWrite> port_reads, port_writes;
  std::map<std::uint32_t, std::uint64_t> apic_msrs{{0x1b, 0xfee00900}, {0x6e0, 0}};
  std::optional<std::uint8_t> pending;
  std::uint8_t priority = 0;
  int ferr_count = 0;
  int triple_faults = 0;
  int tsc_changes = 0;
};

class CalloutTest : public ::testing::Test {
 protected:
  // Where things lie in guest memory.
  static constexpr std::uint64_t kGdt = 0x1000, kIdt = 0x2000, kTss = 0x3000, kTssB = 0x3800,
                                 kLdt = 0x4000, kPml4 = 0x10000, kPdpt = 0x11000, kPd = 0x12000,
                                 kPd32 = 0x13000, kCode = 0x20000, kHandlers = 0x30000,
                                 kData = 0x40000, kStack = 0x50000, kRing0Stack = 0x60000,
                                 kIstStack = 0x70000;
  static constexpr std::uint64_t kRamBytes = 2 << 20;

  // Selectors of the standard GDT (RPL 0 unless the name says 3).
  static constexpr std::uint16_t kCode32 = 0x08, kData32 = 0x10, kCode32R3 = 0x1b, kData32R3 = 0x23,
                                 kCode64 = 0x28, kCode64R3 = 0x33, kCode16 = 0x38, kData16 = 0x40,
                                 kConforming32 = 0x48, kTssSel = 0x50, kTssBSel = 0x58,
                                 kTss64Sel = 0x60, kLdtSel = 0x70, kNotPresentData = 0x78,
                                 kNotPresentCode = 0x80, kReadOnlyData = 0x88, kExecuteOnly = 0x90,
                                 kFirstFree = 0x98;

  // Access bytes with the flags nibble, as SegmentRegister::attributes has them.
  static constexpr std::uint16_t kAttrCode32 = 0xc09a, kAttrData32 = 0xc092, kAttrCode64 = 0xa09a,
                                 kAttrCode16 = 0x009a, kAttrData16 = 0x0092, kAttrDpl3 = 0x60;
  enum GateType : unsigned {
    kTaskGate = 5,
    kCallGate16 = 4,
    kInterruptGate16 = 6,
    kTrapGate16 = 7,
    kCallGate32 = 12,
    kInterruptGate32 = 14,
    kTrapGate32 = 15,
  };

  CalloutTest()
      : memory(std::move(guest::PhysicalMemory::create(kRamBytes).value())),
        model(guest::CpuModel::create("max").value()),
        mmu((guest::reset(state), *memory), state, model),
        core{state, mmu, *memory, model, platform} {
    write_standard_gdt();
    write_page_tables();
    enter_real();
  }

  // --- guest memory ---
  template <typename T>
  T load(std::uint64_t address) {
    return memory->load<T>({address});
  }
  template <typename T>
  void store(std::uint64_t address, T value) {
    memory->store({address}, value);
  }
  std::uint16_t load16(std::uint64_t a) { return load<std::uint16_t>(a); }
  std::uint32_t load32(std::uint64_t a) { return load<std::uint32_t>(a); }
  std::uint64_t load64(std::uint64_t a) { return load<std::uint64_t>(a); }

  // --- descriptors ---
  static std::uint64_t descriptor(std::uint32_t base, std::uint32_t limit,
                                  std::uint16_t attributes) {
    const std::uint64_t raw_limit = attributes & 0x8000 ? limit >> 12 : limit;
    return (raw_limit & 0xffff) | (std::uint64_t{base} & 0xffffff) << 16 |
           std::uint64_t{attributes} << 40 | (raw_limit & 0xf0000) << 32 |
           (std::uint64_t{base} >> 24) << 56;
  }
  // Low half of any gate; `parameters` is the parameter count or the IST index.
  static std::uint64_t gate(unsigned type, std::uint16_t selector, std::uint64_t offset,
                            unsigned dpl = 0, unsigned parameters = 0) {
    return (offset & 0xffff) | std::uint64_t{selector} << 16 | std::uint64_t{parameters} << 32 |
           std::uint64_t{0x80 | dpl << 5 | type} << 40 | (offset >> 16 & 0xffff) << 48;
  }
  void write_gdt(std::uint16_t selector, std::uint64_t low) { store(kGdt + (selector & ~7u), low); }
  void write_gdt16(std::uint16_t selector, std::uint64_t low, std::uint64_t high) {
    write_gdt(selector, low);
    store(kGdt + (selector & ~7u) + 8, high);
  }
  void write_ldt(std::uint16_t selector, std::uint64_t low) { store(kLdt + (selector & ~7u), low); }
  void write_idt(unsigned vector, std::uint64_t low) { store(kIdt + vector * 8, low); }
  void write_idt64(unsigned vector, std::uint64_t low, std::uint64_t offset) {
    store(kIdt + vector * 16, low);
    store(kIdt + vector * 16 + 8, offset >> 32);
  }
  // Every vector through a gate of this type to kHandlers + vector * 16.
  void write_idt_all(unsigned type, std::uint16_t code, unsigned dpl = 0) {
    for (unsigned v = 0; v < 64; ++v) write_idt(v, gate(type, code, handler(v), dpl));
  }
  void write_idt64_all(unsigned type, std::uint16_t code, unsigned dpl = 0) {
    for (unsigned v = 0; v < 64; ++v) write_idt64(v, gate(type, code, handler(v), dpl), handler(v));
  }
  static std::uint64_t handler(unsigned vector) { return kHandlers + vector * 16; }

  void write_standard_gdt() {
    write_gdt(0, 0);
    write_gdt(kCode32, descriptor(0, 0xffffffff, kAttrCode32));
    write_gdt(kData32, descriptor(0, 0xffffffff, kAttrData32));
    write_gdt(kCode32R3, descriptor(0, 0xffffffff, kAttrCode32 | kAttrDpl3));
    write_gdt(kData32R3, descriptor(0, 0xffffffff, kAttrData32 | kAttrDpl3));
    write_gdt(kCode64, descriptor(0, 0xffffffff, kAttrCode64));
    write_gdt(kCode64R3, descriptor(0, 0xffffffff, kAttrCode64 | kAttrDpl3));
    write_gdt(kCode16, descriptor(0, 0xffff, kAttrCode16));
    write_gdt(kData16, descriptor(0, 0xffff, kAttrData16));
    write_gdt(kConforming32, descriptor(0, 0xffffffff, kAttrCode32 | 4));
    write_gdt(kTssSel, descriptor(kTss, 0x67, 0x8b));  // busy: it is loaded in TR
    write_gdt(kTssBSel, descriptor(kTssB, 0x67, 0x89));
    write_gdt16(kTss64Sel, descriptor(kTss, 0x67, 0x8b), 0);
    write_gdt(kLdtSel, descriptor(kLdt, 0xff, 0x82));
    write_gdt(kNotPresentData, descriptor(0, 0xffffffff, kAttrData32 & ~0x80));
    write_gdt(kNotPresentCode, descriptor(0, 0xffffffff, kAttrCode32 & ~0x80));
    write_gdt(kReadOnlyData, descriptor(0, 0xffffffff, kAttrData32 & ~2));
    write_gdt(kExecuteOnly, descriptor(0, 0xffffffff, kAttrCode32 & ~2));
  }

  // Identity map of the 2 MiB, user and writable, for 4-level and for 32-bit paging.
  void write_page_tables() {
    store<std::uint64_t>(kPml4, kPdpt | 7);
    store<std::uint64_t>(kPdpt, kPd | 7);
    store<std::uint64_t>(kPd, 0x87);
    store<std::uint32_t>(kPd32, 0x87);
  }

  // --- modes ---
  static guest::SegmentRegister segment(std::uint16_t selector, std::uint16_t attributes,
                                        std::uint64_t base, std::uint32_t limit) {
    return {selector, attributes, limit, base};
  }
  void set_all_data(const guest::SegmentRegister& value) {
    using guest::Seg;
    for (Seg s : {Seg::kEs, Seg::kSs, Seg::kDs, Seg::kFs, Seg::kGs}) state.segment(s) = value;
  }

  // CS = 2000h (kCode), data = 4000h (kData), SS = 5000h:0000..ffff with SP in the middle.
  void enter_real() {
    using guest::Seg;
    state.cr0 = guest::cr0::kEt;
    state.cr4 = 0;
    state.msr.efer = 0;
    state.rflags = guest::flags::kFixed1 | guest::flags::kIf;
    set_all_data(segment(kData >> 4, 0x93, kData, 0xffff));
    state.segment(Seg::kCs) = segment(kCode >> 4, 0x9b, kCode, 0xffff);
    state.segment(Seg::kSs) = segment(kStack >> 4, 0x93, kStack, 0xffff);
    state.idtr = {0, 0x3ff};
    state.gdtr = {kGdt, 0x3ff};
    state.rip = 0x100;
    state.reg(guest::Gpr::kRsp) = 0x8000;
    state.cpl = 0;
    mmu.select_view();
  }
  // Flat 32-bit protected mode without paging; kTss is the current TSS with a ring 0 stack.
  void enter_protected32(unsigned cpl = 0) {
    using guest::Seg;
    state.cr0 = guest::cr0::kEt | guest::cr0::kPe;
    state.cr4 = 0;
    state.msr.efer = 0;
    state.rflags = guest::flags::kFixed1 | guest::flags::kIf;
    const std::uint16_t dpl = static_cast<std::uint16_t>(cpl << 5);
    const std::uint16_t code = cpl == 3 ? kCode32R3 : kCode32;
    const std::uint16_t data = cpl == 3 ? kData32R3 : kData32;
    set_all_data(segment(data, 0xc093 | dpl, 0, 0xffffffff));
    state.segment(Seg::kCs) = segment(code, 0xc09b | dpl, 0, 0xffffffff);
    load_tables();
    state.tr = segment(kTssSel, 0x8b, kTss, 0x67);
    store<std::uint32_t>(kTss + 4, kRing0Stack);
    store<std::uint16_t>(kTss + 8, kData32);
    state.rip = kCode;
    state.reg(guest::Gpr::kRsp) = kStack;
    state.cpl = static_cast<std::uint8_t>(cpl);
    mmu.select_view();
  }
  // 64-bit mode, identity mapped; RSP0 = kRing0Stack, IST1 = kIstStack.
  void enter_long(unsigned cpl = 0) {
    using guest::Seg;
    enter_protected32(cpl);
    state.cr0 |= guest::cr0::kPg | guest::cr0::kWp | guest::cr0::kNe;
    state.cr4 = guest::cr4::kPae | guest::cr4::kPge;
    state.cr3 = kPml4;
    state.msr.efer = guest::efer::kLme | guest::efer::kLma | guest::efer::kSce | guest::efer::kNxe;
    const std::uint16_t dpl = static_cast<std::uint16_t>(cpl << 5);
    state.segment(Seg::kCs) = segment(cpl == 3 ? kCode64R3 : kCode64, 0xa09b | dpl, 0, 0xffffffff);
    state.tr = segment(kTss64Sel, 0x8b, kTss, 0x67);
    store<std::uint64_t>(kTss + 4, kRing0Stack);
    store<std::uint64_t>(kTss + 36, kIstStack);
    state.idtr = {kIdt, 64 * 16 - 1};
    mmu.flush_all(false);
    mmu.select_view();
  }
  // Compatibility mode: long mode with a 32-bit code segment.
  void enter_compatibility(unsigned cpl = 0) {
    enter_long(cpl);
    const std::uint16_t dpl = static_cast<std::uint16_t>(cpl << 5);
    state.segment(guest::Seg::kCs) =
        segment(cpl == 3 ? kCode32R3 : kCode32, 0xc09b | dpl, 0, 0xffffffff);
  }
  // Virtual-8086 mode inside 32-bit protected mode, segments as in enter_real().
  void enter_v86(unsigned iopl) {
    using guest::Seg;
    enter_protected32(3);
    state.rflags |= guest::flags::kVm | std::uint64_t{iopl} << guest::flags::kIoplShift;
    set_all_data(segment(kData >> 4, 0xf3, kData, 0xffff));
    state.segment(Seg::kCs) = segment(kCode >> 4, 0xf3, kCode, 0xffff);
    state.segment(Seg::kSs) = segment(kStack >> 4, 0xf3, kStack, 0xffff);
    state.rip = 0x100;
    state.reg(guest::Gpr::kRsp) = 0x8000;
  }
  void load_tables() {
    state.gdtr = {kGdt, 0x3ff};
    state.idtr = {kIdt, 64 * 8 - 1};
    state.ldtr = segment(kLdtSel, 0x82, kLdt, 0xff);
  }

  // --- operations ---
  // A register form; the sizes follow the current mode.
  Operation operation(unsigned operand_bytes) const {
    Operation op;
    op.length = 2;
    op.operand_bytes = static_cast<std::uint8_t>(operand_bytes);
    op.address_bytes = static_cast<std::uint8_t>(state.code_bytes());
    if (operand_bytes == 8) op.prefixes = prefix::kRex | prefix::kRexW;
    return op;
  }
  // A memory form with an absolute displacement off `segment`.
  Operation memory_operation(unsigned operand_bytes, std::uint64_t offset,
                             guest::Seg seg = guest::Seg::kDs) const {
    Operation op = operation(operand_bytes);
    op.has_memory = true;
    op.memory.segment = seg;
    op.memory.displacement = static_cast<std::int64_t>(offset);
    return op;
  }

  std::uint64_t& rsp() { return state.reg(guest::Gpr::kRsp); }
  guest::SegmentRegister& cs() { return state.segment(guest::Seg::kCs); }
  guest::SegmentRegister& ss() { return state.segment(guest::Seg::kSs); }

  std::unique_ptr<guest::PhysicalMemory> memory;
  guest::CpuModel model;
  guest::CpuState state;
  FakePlatform platform;
  softmmu::Mmu mmu;
  Core core;
};

// EXPECT_EQ on a fault: prints vector and error code.
inline ::testing::AssertionResult faults_with(const tl::expected<Next, guest::GuestFault>& result,
                                              const guest::GuestFault& expected) {
  if (result) return ::testing::AssertionFailure() << "no fault";
  if (result.error() == expected) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "fault " << int(result.error().vector) << " code "
                                       << std::hex << result.error().error_code << ", expected "
                                       << int(expected.vector) << " code " << expected.error_code;
}
inline ::testing::AssertionResult faults_with(const guest::Status& result,
                                              const guest::GuestFault& expected) {
  if (result) return ::testing::AssertionFailure() << "no fault";
  return faults_with(Result(tl::unexpected(result.error())), expected);
}

}  // namespace ringshift::translator
