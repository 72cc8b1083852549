// softmmu/page_walk.h - the processor's page walk in every paging mode, with faults and A/D
// updates. SDM Vol. 3 "Paging". Pure function of guest memory and the control state; no caches.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "guest/address.h"
#include "guest/cpu_model.h"
#include "guest/cpu_state.h"
#include "guest/fault.h"
#include "guest/physical_memory.h"

namespace ringshift::softmmu {

enum class AccessKind : std::uint8_t { kRead, kWrite, kExecute };

// `user`: a user-mode access (CPL 3 and not implicit). `implicit`: a supervisor access to a system
// structure (descriptor tables, TSS), which SMAP checks regardless of EFLAGS.AC.
struct Access {
  AccessKind kind = AccessKind::kRead;
  bool user = false;
  bool implicit = false;
};

struct Translation {
  guest::PhysicalAddress address;   // of the byte asked for
  std::uint64_t page_bytes = 4096;  // 4 KiB, 2 MiB, 4 MiB or 1 GiB
  bool writable = false;  // a write of the same privilege needs no further walk (D is set)
  bool global = false;
  bool user_page = false;  // accessible in user mode, as far as its entries say
  unsigned key = 0;        // its protection key, whether in use or not
};

// What a processor model says about paging, so that a walk need not look CPUID up.
struct PagingFeatures {
  unsigned physical_address_bits = 40;
  bool gigabyte_pages = false;
  bool pse36 = false;

  static PagingFeatures of(const guest::CpuModel& model);
};

// Set A (and D for a write) as the processor does; `update_ad` false for debuggers and tests.
// Any linear address is safe; only its low 48 bits (32 outside long mode) are looked at.
guest::Checked<Translation> walk(guest::PhysicalMemory& memory, const guest::CpuState& state,
                                 const PagingFeatures& features, guest::LinearAddress linear,
                                 Access access, bool update_ad = true);
guest::Checked<Translation> walk(guest::PhysicalMemory& memory, const guest::CpuState& state,
                                 const guest::CpuModel& model, guest::LinearAddress linear,
                                 Access access, bool update_ad = true);

// Where a page is mapped, whatever its rights: nothing is changed, and no device sees it. For who
// looks at a guest from outside (a debugger, a profiler), in signal handlers too.
std::optional<guest::PhysicalAddress> look_at(guest::PhysicalMemory& memory,
                                              const guest::CpuState& state,
                                              const PagingFeatures& features,
                                              guest::LinearAddress linear);

// SDM Vol. 3 "PDPTE Registers": loads the four PDPTEs for a new CR3 under PAE paging; #GP(0) when a
// present one has reserved bits set.
guest::Checked<std::array<std::uint64_t, 4>> load_pdptes(guest::PhysicalMemory& memory,
                                                         const guest::CpuModel& model,
                                                         std::uint64_t cr3);

}  // namespace ringshift::softmmu
