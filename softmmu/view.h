// softmmu/view.h - one privilege's cached view of one guest address space: the software TLB and the
// jump cache that translated code reads directly. Owned and written by its vCPU's thread only.
//
// Translated code reaches the current view through the host GS base, with these layouts:
//   hit test    index = (linear >> 12) % kTlbEntries
//               x = linear XOR tag[index]; x <= 4096 - size  -> host address = x + host_page[index]
//   so one compare covers both the tag and an access that straddles two pages.
// An entry never grants more than its table says: `read` and `write` are separate tables, and MMIO,
// watched (translated or shadowed) pages and clean pages are absent from `write`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "guest/address.h"

namespace ringshift::softmmu {

inline constexpr std::size_t kTlbEntries = 4096;
inline constexpr std::size_t kJumpEntries = 8192;

struct TlbEntry {
  std::uint64_t tag = 0;        // linear address of the page; see invalid_tag
  std::uint64_t host_page = 0;  // host address of the page
};

// A tag that no linear address of this index can match within a page.
constexpr std::uint64_t invalid_tag(std::size_t index) { return index == 0 ? guest::kPageBytes : 0; }

struct JumpEntry {
  std::uint64_t negated_rip = 0;  // 0 - RIP, so that an LEA compares without touching flags
  std::uint64_t host_code = 0;
  std::uint64_t rip_base = 0;  // RIP of offset 0 of the block's page
  std::uint64_t is_global = 0; // the code page is a global mapping
};

class alignas(4096) View {
 public:
  View();

  std::array<TlbEntry, kTlbEntries> read;
  std::array<TlbEntry, kTlbEntries> write;
  std::array<JumpEntry, kJumpEntries> jump;

  static std::size_t tlb_index(guest::LinearAddress a) { return (a.value >> 12) % kTlbEntries; }
  static std::size_t jump_index(std::uint64_t rip) { return rip % kJumpEntries; }

  // `physical_page` is remembered so that drop_writable() finds every alias of a frame.
  void fill(guest::LinearAddress page, std::uint8_t* host_page, guest::PhysicalAddress physical_page,
            bool writable, bool global);
  void fill_jump(std::uint64_t rip, std::uint64_t host_code, std::uint64_t rip_base, bool global);

  void flush(bool keep_global);        // MOV CR3 / CR4 changes
  void flush_page(guest::LinearAddress page);  // INVLPG: TLB entries of the page, and the jump cache
  void flush_jumps();                  // code cache changes, mode changes
  void drop_writable(guest::PhysicalAddress physical_page);  // the frame became watched

  // Host address of a cached page, or nullptr.
  std::uint8_t* find_read(guest::LinearAddress a) const;
  std::uint8_t* find_write(guest::LinearAddress a) const;

 private:
  struct Filled {
    std::uint64_t physical_page;
    std::uint16_t index;
    bool writable, global;
  };
  std::vector<Filled> filled_;  // what flush() must clear, so that it costs what was used
  std::vector<std::uint16_t> filled_jumps_;
};

static_assert(sizeof(TlbEntry) == 16 && sizeof(JumpEntry) == 32);

}  // namespace ringshift::softmmu
