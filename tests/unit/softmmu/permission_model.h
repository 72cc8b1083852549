// tests/unit/softmmu/permission_model.h - what a page walk must answer, restated from the manual.
// Written as the manual's sentences, entry by entry, and shares nothing with softmmu/page_walk.cc.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "softmmu/page_walk.h"

namespace ringshift::softmmu::model {

enum class Paging { k32Bit, kPae, k4Level };

// Level 4 is the PML4E, 3 the PDPTE, 2 the PDE and 1 the PTE. PAE paging has 2 and 1 here (its
// PDPTEs are registers), 32-bit paging too.
struct Question {
  Paging paging = Paging::k4Level;
  std::array<std::uint64_t, 5> entry{};  // by level; [0] is unused
  bool pdpte_register_present = true;
  bool wp = false, pse = false, smep = false, smap = false, pge = false, nxe = false, ac = false;
  bool pke = false, pks = false;
  std::uint32_t pkru = 0, pkrs = 0;
  Access access;
  std::uint64_t linear = 0;
  unsigned physical_bits = 40;
  bool gigabyte_pages = true, pse36 = true;
};

struct Answer {
  bool fault = false;
  std::uint32_t error_code = 0;
  std::uint64_t physical = 0, page_bytes = 0;
  bool writable = false, global = false;
  std::array<std::uint64_t, 5> entry_after{};
};

inline bool bit(std::uint64_t value, unsigned n) { return (value >> n) & 1; }

// The tables "Format of a ... Entry": fields that are "Reserved (must be 0)".
inline bool has_reserved_bit(const Question& q, unsigned level, std::uint64_t e) {
  if (q.paging == Paging::k32Bit) {
    if (level == 1 || !q.pse || !bit(e, 7)) return false;
    // "Bits 20:13 hold bits 39:32 of the address, as far as MAXPHYADDR goes; 21 is reserved."
    for (unsigned n = 13; n <= 21; ++n) {
      const unsigned address_bit = n + 19;
      const bool is_address = q.pse36 && n <= 20 && address_bit < q.physical_bits;
      if (bit(e, n) && !is_address) return true;
    }
    return false;
  }
  if (bit(e, 63) && !q.nxe) return true;
  const unsigned top = q.paging == Paging::kPae ? 62 : 51;
  for (unsigned n = q.physical_bits; n <= top; ++n)
    if (bit(e, n)) return true;
  if (!bit(e, 7)) return false;
  switch (level) {
    case 4:
      return true;
    case 3: {
      if (!q.gigabyte_pages) return true;
      for (unsigned n = 13; n <= 29; ++n)
        if (bit(e, n)) return true;
      return false;
    }
    case 2: {
      for (unsigned n = 13; n <= 20; ++n)
        if (bit(e, n)) return true;
      return false;
    }
    default:
      return false;  // bit 7 of a PTE is PAT
  }
}

inline bool maps_a_page(const Question& q, unsigned level, std::uint64_t e) {
  if (level == 1) return true;
  if (level == 4 || !bit(e, 7)) return false;
  return q.paging != Paging::k32Bit || q.pse;
}

// "Protection Keys": ADi and WDi of the key in bits 62:59 of the entry that maps the page.
inline bool key_denies(const Question& q, AccessKind kind, bool user_address, std::uint64_t leaf) {
  if (q.paging != Paging::k4Level || kind == AccessKind::kExecute) return false;
  if (!(user_address ? q.pke : q.pks)) return false;
  const unsigned key = bit(leaf, 62) * 8u + bit(leaf, 61) * 4u + bit(leaf, 60) * 2u + bit(leaf, 59);
  const std::uint32_t rights = user_address ? q.pkru : q.pkrs;
  if (bit(rights, 2 * key)) return true;
  if (!bit(rights, 2 * key + 1) || kind != AccessKind::kWrite) return false;
  return q.access.user || q.wp;
}

// "Determination of Access Rights", one sentence a line.
inline bool allowed(const Question& q, AccessKind kind, bool user_address, bool writable_everywhere,
                    bool xd_anywhere) {
  if (q.access.user) {
    if (!user_address) return false;
    if (kind == AccessKind::kRead) return true;
    if (kind == AccessKind::kWrite) return writable_everywhere;
    return !xd_anywhere;
  }
  if (!user_address) {
    if (kind == AccessKind::kRead) return true;
    if (kind == AccessKind::kWrite) return !q.wp || writable_everywhere;
    return !xd_anywhere;
  }
  if (kind == AccessKind::kExecute) return !q.smep && !xd_anywhere;
  const bool smap_lets = !q.smap || (q.ac && !q.access.implicit);
  if (kind == AccessKind::kRead) return smap_lets;
  return q.wp ? smap_lets && writable_everywhere : smap_lets;
}

inline Answer ask(const Question& q) {
  Answer answer;
  answer.entry_after = q.entry;
  const auto fault = [&](bool present, bool reserved, bool key = false) {
    answer.fault = true;
    const bool fetch_is_told = q.smep || (q.paging != Paging::k32Bit && q.nxe);
    answer.error_code = present * 1u + (q.access.kind == AccessKind::kWrite) * 2u +
                        q.access.user * 4u + reserved * 8u +
                        (q.access.kind == AccessKind::kExecute && fetch_is_told) * 16u + key * 32u;
    return answer;
  };

  if (q.paging == Paging::kPae && !q.pdpte_register_present) return fault(false, false);
  std::vector<unsigned> used;
  for (unsigned level = q.paging == Paging::k4Level ? 4 : 2; level > 0; --level) {
    const std::uint64_t e = q.entry[level];
    if (!bit(e, 0)) return fault(false, false);
    if (has_reserved_bit(q, level, e)) return fault(true, true);
    used.push_back(level);
    if (maps_a_page(q, level, e)) break;
  }

  const auto in_every = [&](unsigned n) {
    return std::all_of(used.begin(), used.end(), [&](unsigned l) { return bit(q.entry[l], n); });
  };
  const bool user_address = in_every(2), writable_everywhere = in_every(1);
  const bool xd_anywhere =
      q.paging != Paging::k32Bit && q.nxe &&
      std::any_of(used.begin(), used.end(), [&](unsigned l) { return bit(q.entry[l], 63); });
  const unsigned last = used.back();
  const bool key = key_denies(q, q.access.kind, user_address, q.entry[last]);
  if (key || !allowed(q, q.access.kind, user_address, writable_everywhere, xd_anywhere))
    return fault(true, false, key);

  for (unsigned level : used) answer.entry_after[level] |= 1u << 5;
  if (q.access.kind == AccessKind::kWrite) answer.entry_after[last] |= 1u << 6;

  const std::uint64_t leaf = q.entry[last];
  if (q.paging == Paging::k32Bit) {
    answer.page_bytes = last == 1 ? 0x1000 : 0x400000;
    answer.physical = leaf / answer.page_bytes * answer.page_bytes;
    if (last == 2)
      for (unsigned n = 13; n <= 20; ++n)
        answer.physical += std::uint64_t{bit(leaf, n)} << (n + 19);
  } else {
    answer.page_bytes = last == 1 ? 0x1000 : last == 2 ? 0x200000 : 0x40000000;
    for (unsigned n = 12; n < q.physical_bits; ++n)
      if ((std::uint64_t{1} << n) >= answer.page_bytes)
        answer.physical += std::uint64_t{bit(leaf, n)} << n;
  }
  answer.physical += q.linear % answer.page_bytes;
  answer.writable = bit(answer.entry_after[last], 6) &&
                    !key_denies(q, AccessKind::kWrite, user_address, leaf) &&
                    allowed(q, AccessKind::kWrite, user_address, writable_everywhere, xd_anywhere);
  answer.global = q.pge && bit(leaf, 8);
  return answer;
}

}  // namespace ringshift::softmmu::model
