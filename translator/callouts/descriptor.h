// translator/callouts/descriptor.h - segment and system descriptors: their fields, and reading
// them. Descriptors are read and marked as the processor does it: as a supervisor, wherever CPL is.
// Nothing here changes CpuState.
#pragma once

#include <cstdint>

#include "translator/core.h"

namespace ringshift::translator {

// SDM Vol. 3 "Segment Selectors".
struct Selector {
  std::uint16_t value = 0;

  unsigned rpl() const { return value & 3; }
  bool in_ldt() const { return value & 4; }
  std::uint32_t offset() const { return value & 0xfff8u; }
  bool null() const { return (value & 0xfffc) == 0; }
  // Without RPL, as error codes carry it; bit 0 of an error code is EXT.
  std::uint32_t error_code(std::uint32_t ext = 0) const { return (value & 0xfffcu) | ext; }
  Selector with_rpl(unsigned rpl) const {
    return {static_cast<std::uint16_t>((value & 0xfffcu) | rpl)};
  }
};

// SDM Vol. 3 "System Descriptor Types".
enum class SystemType : std::uint8_t {
  kTss16Available = 1,
  kLdt = 2,
  kTss16Busy = 3,
  kCallGate16 = 4,
  kTaskGate = 5,
  kInterruptGate16 = 6,
  kTrapGate16 = 7,
  kTss32Available = 9,
  kTss32Busy = 11,
  kCallGate32 = 12,
  kInterruptGate32 = 14,
  kTrapGate32 = 15,
};

// Eight bytes as they stand in a table, and the next eight for the 16-byte forms of long mode.
struct Descriptor {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  // SegmentRegister's layout: bits 55:40 without the limit nibble.
  std::uint16_t attributes() const { return static_cast<std::uint16_t>(low >> 40 & 0xf0ff); }
  unsigned type() const { return low >> 40 & 0xf; }
  SystemType system_type() const { return static_cast<SystemType>(type()); }
  bool is_system() const { return !(low >> 44 & 1); }
  bool is_code() const { return (low >> 43 & 3) == 3; }
  bool is_data() const { return (low >> 43 & 3) == 2; }
  bool conforming() const { return is_code() && (low >> 42 & 1); }
  bool readable() const { return is_data() || (is_code() && (low >> 41 & 1)); }
  bool writable() const { return is_data() && (low >> 41 & 1); }
  bool accessed() const { return low >> 40 & 1; }
  unsigned dpl() const { return low >> 45 & 3; }
  bool present() const { return low >> 47 & 1; }
  bool long_mode() const { return low >> 53 & 1; }
  bool big() const { return low >> 54 & 1; }
  std::uint32_t limit() const {
    const auto raw = static_cast<std::uint32_t>((low & 0xffff) | (low >> 32 & 0xf0000));
    return low >> 55 & 1 ? raw << 12 | 0xfff : raw;
  }
  // Bits 63:32 come from the second half, which is zero for the 8-byte forms.
  std::uint64_t base() const {
    return (low >> 16 & 0xffffff) | (low >> 56) << 24 | (high & 0xffffffff) << 32;
  }

  // Gates. SDM Vol. 3 "Call Gates", "IDT Descriptors".
  Selector gate_selector() const { return {static_cast<std::uint16_t>(low >> 16)}; }
  std::uint32_t gate_offset16() const { return low & 0xffff; }
  std::uint32_t gate_offset32() const {
    return static_cast<std::uint32_t>((low & 0xffff) | (low >> 32 & 0xffff0000));
  }
  std::uint64_t gate_offset64() const { return gate_offset32() | high << 32; }
  unsigned parameter_count() const { return low >> 32 & 0x1f; }
  unsigned interrupt_stack_table() const { return low >> 32 & 7; }

  guest::SegmentRegister to_register(Selector selector) const {
    return {selector.value, attributes(), limit(), base()};
  }
};

// Linear address of a descriptor in GDT or LDT; `outside` when it does not lie within the table's
// limit with all of `bytes`, or there is no LDT.
guest::Checked<guest::LinearAddress> descriptor_address(const Core& core, Selector selector,
                                                        unsigned bytes,
                                                        const guest::GuestFault& outside);

// Eight bytes from GDT or LDT.
guest::Checked<Descriptor> read_descriptor(Core& core, Selector selector,
                                           const guest::GuestFault& outside);
// The second half of a system descriptor that takes 16 bytes in long mode; there its type bits must
// be zero, else `outside`. Does nothing outside long mode.
guest::Status read_upper_half(Core& core, Selector selector, Descriptor& descriptor,
                              const guest::GuestFault& outside);

// Sets the accessed bit of a code or data descriptor, in memory and in `descriptor`.
guest::Status set_accessed(Core& core, Selector selector, Descriptor& descriptor);
// Sets or clears the busy bit of a TSS descriptor in the GDT.
guest::Status set_busy(Core& core, Selector selector, bool busy);

// Reads and writes of system structures, wrapped to 32 bits outside long mode.
template <typename T>
guest::Checked<T> load_system(Core& core, std::uint64_t address) {
  if (!core.state.long_mode_active()) address &= 0xffffffff;
  return core.mmu.load<T>({address}, softmmu::Mmu::system_access(softmmu::AccessKind::kRead));
}
template <typename T>
guest::Status store_system(Core& core, std::uint64_t address, T value) {
  if (!core.state.long_mode_active()) address &= 0xffffffff;
  return core.mmu.store<T>({address}, value,
                           softmmu::Mmu::system_access(softmmu::AccessKind::kWrite));
}

}  // namespace ringshift::translator
