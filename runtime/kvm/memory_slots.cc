// runtime/kvm/memory_slots.cc - guest memory as KVM sees it.
#include "runtime/kvm/memory_slots.h"

#include <fmt/format.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

namespace ringshift::runtime {

bool MemorySlots::set(unsigned slot, const guest::PhysicalMemory::Mapping& mapping) const {
  const kvm_userspace_memory_region region{
      .slot = slot,
      .flags = mapping.writable ? 0u : std::uint32_t{KVM_MEM_READONLY},
      .guest_phys_addr = mapping.start.value,
      .memory_size = mapping.bytes,
      .userspace_addr = reinterpret_cast<std::uint64_t>(mapping.host)};
  return ::ioctl(vm_, KVM_SET_USER_MEMORY_REGION, &region) == 0;
}

// DEVIATION: RAM or ROM that shares a page with a device is reached by exits, so no code runs
// there.
tl::expected<void, std::string> MemorySlots::update() {
  if (version_ == memory_.map_version()) return {};
  // Slots may not overlap, so the old ones go first: a size of zero removes one.
  for (unsigned slot = 0; slot < count_; ++slot) set(slot, {{0}, 0, nullptr, true});
  count_ = 0;
  for (const auto& mapping : memory_.mappings()) {
    if (!set(count_, mapping))
      return tl::unexpected(fmt::format("KVM takes no memory at {:#x}: {}", mapping.start.value,
                                        std::strerror(errno)));
    ++count_;
  }
  version_ = memory_.map_version();
  return {};
}

}  // namespace ringshift::runtime
