// translator/callouts/guest_block.h - host addresses of guest pages, and copies of whole blocks.
//
// Owns nothing; used on the vCPU's thread. Copies are string instructions, because the guest's SIMD
// registers are still in the host's while a call-out runs: nothing here calls into libc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "translator/core.h"

namespace ringshift::translator {

inline void copy_bytes(void* to, const void* from, std::size_t bytes) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

inline void fill_bytes(void* to, std::uint8_t value, std::size_t bytes) {
  asm volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
}

// Unaligned loads and stores of host memory that guest threads may also touch.
template <typename T>
T load_host(const std::uint8_t* from) {
  T value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
template <typename T>
void store_host(std::uint8_t* to, T value) {
  __builtin_memcpy(to, &value, sizeof value);
}

// Host address of [a, a + bytes), which lies in one page; nullptr: take the slow path (MMIO,
// watched).
inline guest::Checked<std::uint8_t*> host_run(Core& core, guest::LinearAddress a, std::size_t bytes,
                                              bool write) {
  const softmmu::View& view = core.mmu.current();
  const std::size_t index = softmmu::View::tlb_index(a);
  const softmmu::TlbEntry& entry = write ? view.write[index] : view.read[index];
  const std::uint64_t offset = a.value ^ entry.tag;
  if (offset <= guest::kPageBytes - bytes)
    return reinterpret_cast<std::uint8_t*>(a.value + entry.addend);
  return core.mmu.host_address(a, bytes, write);
}

// Ordinary data accesses of any length at a linear address that passed segmentation.
guest::Status read_block(Core& core, guest::LinearAddress a, std::span<std::uint8_t> out);
guest::Status write_block(Core& core, guest::LinearAddress a, std::span<const std::uint8_t> in);
// The fault that a write of the block would raise; nothing is written.
guest::Status probe_write(Core& core, guest::LinearAddress a, std::size_t bytes);

}  // namespace ringshift::translator
