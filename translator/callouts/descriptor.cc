// translator/callouts/descriptor.cc - reads descriptors from GDT and LDT and marks them.
#include "translator/callouts/descriptor.h"

namespace ringshift::translator {

using guest::Checked;
using guest::GuestFault;
using guest::LinearAddress;
using guest::Status;

Checked<LinearAddress> descriptor_address(const Core& core, Selector selector, unsigned bytes,
                                          const GuestFault& outside) {
  const guest::CpuState& s = core.state;
  if (selector.in_ldt() && !s.ldtr.present()) return tl::unexpected(outside);
  const std::uint64_t base = selector.in_ldt() ? s.ldtr.base : s.gdtr.base;
  const std::uint64_t limit = selector.in_ldt() ? s.ldtr.limit : s.gdtr.limit;
  if (std::uint64_t{selector.offset()} + bytes - 1 > limit) return tl::unexpected(outside);
  const std::uint64_t address = base + selector.offset();
  return LinearAddress{s.long_mode_active() ? address : address & 0xffffffff};
}

Checked<Descriptor> read_descriptor(Core& core, Selector selector, const GuestFault& outside) {
  RS_ASSIGN(address, descriptor_address(core, selector, 8, outside));
  RS_ASSIGN(low, load_system<std::uint64_t>(core, address.value));
  return Descriptor{low, 0};
}

// SDM Vol. 3 "Segment Descriptor Tables in IA-32e Mode".
Status read_upper_half(Core& core, Selector selector, Descriptor& descriptor,
                       const GuestFault& outside) {
  if (!core.state.long_mode_active()) return {};
  RS_ASSIGN(address, descriptor_address(core, selector, 16, outside));
  RS_ASSIGN(high, load_system<std::uint64_t>(core, address.value + 8));
  if (high >> 40 & 0x1f) return tl::unexpected(outside);
  descriptor.high = high;
  return {};
}

Status set_accessed(Core& core, Selector selector, Descriptor& descriptor) {
  if (descriptor.accessed()) return {};
  RS_ASSIGN(address, descriptor_address(core, selector, 8, guest::general_protection()));
  descriptor.low |= std::uint64_t{1} << 40;
  return store_system(core, address.value + 5, static_cast<std::uint8_t>(descriptor.low >> 40));
}

Status set_busy(Core& core, Selector selector, bool busy) {
  RS_ASSIGN(address, descriptor_address(core, selector, 8, guest::general_protection()));
  RS_ASSIGN(access, load_system<std::uint8_t>(core, address.value + 5));
  return store_system(core, address.value + 5,
                      static_cast<std::uint8_t>(busy ? access | 2 : access & ~2));
}

}  // namespace ringshift::translator
