// runtime/kvm/memory_slots.h - guest memory as KVM sees it: one slot for each run of plain RAM or
// ROM; all else leaves the guest as an MMIO exit. Used by the vCPU's thread.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "guest/physical_memory.h"

namespace ringshift::runtime {

class MemorySlots {
 public:
  MemorySlots(int vm, const guest::PhysicalMemory& memory) : vm_(vm), memory_(memory) {}
  // Follows the map if it has changed. The error is one line for the user.
  tl::expected<void, std::string> update();

 private:
  bool set(unsigned slot, const guest::PhysicalMemory::Mapping& mapping) const;

  int vm_;
  const guest::PhysicalMemory& memory_;
  unsigned count_ = 0;
  unsigned version_ = ~0u;
};

}  // namespace ringshift::runtime
