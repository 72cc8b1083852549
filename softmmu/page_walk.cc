// softmmu/page_walk.cc - from a linear address through the guest's page tables to a physical one.
//
//   32-bit   CR3 -> PDE -> PTE                    10 + 10 bits, entries of 4 bytes
//   PAE      PDPTE registers -> PDE -> PTE         2 + 9 + 9 bits, entries of 8 bytes
//   4-level  CR3 -> PML4E -> PDPTE -> PDE -> PTE   9 + 9 + 9 + 9 bits, entries of 8 bytes
//
// An entry is looked at in this order: present, reserved bits, and only at the leaf the rights that
// all entries together grant. A and D are set after the access is known to be permitted, from the
// top down; when another processor changed an entry meanwhile, the walk starts again.
#include "softmmu/page_walk.h"

#include <algorithm>

#include "softmmu/walker.h"

namespace ringshift::softmmu {
namespace {

using guest::Checked;
using guest::LinearAddress;
using guest::PhysicalAddress;
using guest::PhysicalMemory;
namespace cr0 = guest::cr0;
namespace cr4 = guest::cr4;
namespace efer = guest::efer;

}  // namespace

// SDM Vol. 3 "Page-Fault Exceptions": I/D is reported only where the processor distinguishes
// fetches from reads, that is with SMEP or with execute-disable.
tl::unexpected<guest::GuestFault> Walker::fault(std::uint32_t cause) const {
  std::uint32_t code = cause;
  if (access_.kind == AccessKind::kWrite) code |= error::kWrite;
  if (access_.user) code |= error::kUser;
  if (access_.kind == AccessKind::kExecute && ((state_.cr4 & cr4::kSmep) || execute_disable()))
    code |= error::kFetch;
  return tl::unexpected(guest::page_fault(linear_, code));
}

// False when a PAE page-directory-pointer register is not present.
bool Walker::select_mode() {
  if (!pae()) {  // SDM Vol. 3 "32-Bit Paging"
    mode_.entry_bytes = 4;
    mode_.index_bits = 10;
    mode_.top_shift = 22;
    mode_.table = state_.cr3 & bits(12, 31);
    if (state_.cr4 & cr4::kPse) mode_.page_sizes = 1u << 22;
    return true;
  }
  mode_.reserved = execute_disable() ? 0 : entry::kExecuteDisable;
  mode_.page_sizes = 1u << 21;
  if (!state_.long_mode_active()) {  // SDM Vol. 3 "PAE Paging"
    const std::uint64_t pdpte = state_.pdpte[linear_ >> 30];
    mode_.top_shift = 21;
    mode_.table = pdpte & frame_mask();
    mode_.reserved |= bits(features_.physical_address_bits, 62);
    return pdpte & entry::kPresent;
  }
  // SDM Vol. 3 "4-Level Paging and 5-Level Paging"
  mode_.top_shift = 39;
  mode_.table = state_.cr3 & frame_mask();
  mode_.reserved |= bits(features_.physical_address_bits, 51);
  mode_.no_page_size = std::uint64_t{1} << 39;
  (features_.gigabyte_pages ? mode_.page_sizes : mode_.no_page_size) |= 1u << 30;
  return true;
}

std::uint64_t Walker::load_entry(PhysicalAddress where) const {
  const std::uint8_t* page = memory_.ram_page(where);
  if (!page) return reads_devices_ ? memory_.read(where, mode_.entry_bytes) : 0;
  const std::uint8_t* at = page + guest::page_offset(where.value);
  if (mode_.entry_bytes == 8)
    return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(at), __ATOMIC_RELAXED);
  return __atomic_load_n(reinterpret_cast<const std::uint32_t*>(at), __ATOMIC_RELAXED);
}

// Bits between PAT (bit 12) and the page frame. With PSE-36, bits 20:13 of a 4 MiB entry hold
// physical bits 39:32 as far as the processor has them.
// SDM Vol. 3 "32-Bit Paging", "Format of a 32-Bit Page-Directory Entry that Maps a 4-MByte Page".
std::uint64_t Walker::large_page_reserved(unsigned shift) const {
  if (mode_.entry_bytes == 8) return bits(13, shift - 1);
  if (!features_.pse36) return bits(13, 21);
  return bits(std::min(40u, std::max(32u, features_.physical_address_bits)) - 19, 21);
}

PhysicalAddress Walker::page_frame(std::uint64_t leaf, unsigned shift) const {
  if (mode_.entry_bytes == 8) return {leaf & frame_mask() & ~bits(0, shift - 1)};
  if (shift == kPteShift) return {leaf & bits(12, 31)};
  return {(leaf & bits(22, 31)) | (leaf & bits(13, 20)) << 19};
}

// SDM Vol. 3 "Protection Keys": of data only, and a right to write matters where R/W does.
bool Walker::key_permits(AccessKind kind, std::uint64_t granted, std::uint64_t leaf) const {
  if (kind == AccessKind::kExecute) return true;
  const auto rights = key_rights(state_, granted & entry::kUser);
  if (!rights) return true;
  const std::uint32_t denied = *rights >> (2 * key_of(leaf));
  if (denied & key::kNoAccess) return false;
  return kind != AccessKind::kWrite || !(denied & key::kNoWrite) ||
         (!access_.user && !(state_.cr0 & cr0::kWp));
}

// SDM Vol. 3 "Determination of Access Rights".
bool Walker::permits(AccessKind kind, std::uint64_t granted, std::uint64_t leaf) const {
  if (!key_permits(kind, granted, leaf)) return false;
  const bool user_page = granted & entry::kUser;
  if (access_.user) {
    if (!user_page) return false;
  } else if (user_page) {
    if (kind == AccessKind::kExecute) {
      if (state_.cr4 & cr4::kSmep) return false;
    } else if ((state_.cr4 & cr4::kSmap) &&
               (access_.implicit || !(state_.rflags & guest::flags::kAc))) {
      return false;
    }
  }
  switch (kind) {
    case AccessKind::kRead:
      return true;
    case AccessKind::kWrite:
      return (granted & entry::kWritable) || (!access_.user && !(state_.cr0 & cr0::kWp));
    case AccessKind::kExecute:
      return !(denied_ & entry::kExecuteDisable);
  }
  return false;
}

// SDM Vol. 3 "Accessed and Dirty Flags". False when an entry changed since it was read.
bool Walker::set_accessed_and_dirty() {
  for (unsigned i = 0; i < steps_; ++i) {
    const bool leaf = i + 1 == steps_;
    std::uint64_t wanted = path_[i].value | entry::kAccessed;
    if (leaf && access_.kind == AccessKind::kWrite) wanted |= entry::kDirty;
    if (wanted == path_[i].value) continue;
    if (!memory_.compare_exchange(path_[i].where, mode_.entry_bytes, path_[i].value, wanted))
      return false;
    path_[i].value = wanted;
  }
  return true;
}

// Which bits of a present entry may not be set.
std::uint64_t Walker::reserved_in(std::uint64_t value, unsigned shift) const {
  if (shift == kPteShift || !(value & entry::kPageSize)) return mode_.reserved;
  if (mode_.page_sizes >> shift & 1) return mode_.reserved | large_page_reserved(shift);
  return mode_.reserved | (mode_.no_page_size >> shift & 1 ? entry::kPageSize : 0);
}

guest::Status Walker::descend() {
  if (!select_mode()) return fault(0);
  steps_ = 0;
  granted_ = entry::kWritable | entry::kUser;
  denied_ = 0;
  std::uint64_t table = mode_.table;
  for (shift_ = mode_.top_shift;; shift_ -= mode_.index_bits) {
    const std::uint64_t index = (linear_ >> shift_) & bits(0, mode_.index_bits - 1);
    Step& step = path_[steps_++];
    step.where = {(table + index * mode_.entry_bytes) & state_.address_mask};
    step.value = load_entry(step.where);
    if (!(step.value & entry::kPresent)) return fault(0);
    if (step.value & reserved_in(step.value, shift_))
      return fault(error::kPresent | error::kReserved);
    granted_ &= step.value;
    denied_ |= step.value;
    if (is_leaf(step.value, shift_)) return {};
    table = step.value & (mode_.entry_bytes == 8 ? frame_mask() : bits(12, 31));
  }
}

Checked<Translation> Walker::run() {
  if (!state_.paging()) return Translation{unpaged(), guest::kPageBytes, true, false};
  for (;;) {
    if (auto status = descend(); !status) return tl::unexpected(status.error());
    if (!permitted(access_.kind))
      return fault(error::kPresent |
                   (key_permits(access_.kind, granted_, leaf()) ? 0 : error::kProtectionKey));
    if (update_ad_ && !set_accessed_and_dirty()) continue;

    Translation result;
    result.page_bytes = std::uint64_t{1} << shift_;
    result.address = found();
    result.writable = (leaf() & entry::kDirty) && permitted(AccessKind::kWrite);
    result.global = (leaf() & entry::kGlobal) && (state_.cr4 & cr4::kPge);
    result.user_page = granted_ & entry::kUser;
    result.key = key_of(leaf());
    return result;
  }
}

PagingFeatures PagingFeatures::of(const guest::CpuModel& model) {
  return {model.physical_address_bits(), model.has(guest::feature::kPage1Gb),
          model.has(guest::feature::kPse36)};
}

Checked<Translation> walk(PhysicalMemory& memory, const guest::CpuState& state,
                          const PagingFeatures& features, LinearAddress linear, Access access,
                          bool update_ad) {
  return Walker(memory, state, features, linear, access, update_ad).run();
}

Checked<Translation> walk(PhysicalMemory& memory, const guest::CpuState& state,
                          const guest::CpuModel& model, LinearAddress linear, Access access,
                          bool update_ad) {
  return walk(memory, state, PagingFeatures::of(model), linear, access, update_ad);
}

std::optional<PhysicalAddress> look_at(PhysicalMemory& memory, const guest::CpuState& state,
                                       const PagingFeatures& features, LinearAddress linear) {
  Walker walker(memory, state, features, linear, {}, false);
  walker.avoid_devices();
  if (!state.paging()) return walker.unpaged();
  if (!walker.descend()) return std::nullopt;
  return walker.found();
}

// Bits 2:1, 8:5 and 63:MAXPHYADDR of a present entry are reserved.
Checked<std::array<std::uint64_t, 4>> load_pdptes(PhysicalMemory& memory,
                                                  const guest::CpuModel& model, std::uint64_t cr3) {
  const std::uint64_t reserved = bits(1, 2) | bits(5, 8) | bits(model.physical_address_bits(), 63);
  std::array<std::uint64_t, 4> pdptes{};
  for (unsigned i = 0; i < pdptes.size(); ++i) {
    pdptes[i] = memory.read({(cr3 & bits(5, 31)) + i * 8}, 8);
    if ((pdptes[i] & entry::kPresent) && (pdptes[i] & reserved))
      return tl::unexpected(guest::general_protection());
  }
  return pdptes;
}

}  // namespace ringshift::softmmu
