// softmmu/mmu.h - linear-address accesses of one vCPU: page walk, cached views, slow-path access.
// Used only by the vCPU's thread. Never throws; guest faults are returned.
// Views are kept per (address space, privilege): with CR4.PCIDE by PCID, else one pair.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "softmmu/page_walk.h"
#include "softmmu/view.h"

namespace ringshift::softmmu {

struct MmuCounters {
  std::uint64_t read_misses = 0, write_misses = 0, slow_reads = 0, slow_writes = 0, walks = 0,
                page_faults = 0, full_flushes = 0, page_flushes = 0, view_switches = 0;
};

class Mmu {
 public:
  Mmu(guest::PhysicalMemory& memory, guest::CpuState& state, const guest::CpuModel& model);
  ~Mmu();

  // The view for the current CR3/PCID and privilege; translated code runs with GS base = &current().
  View& current() { return *current_; }
  // Picks current() again after CPL, CR3, CR0.PG, CR4 or EFER changed in the state. True when the
  // view is another object than before.
  bool select_view();

  // Data accesses at a linear address, any alignment, size 1..64 bytes; both pages of a straddling
  // access are checked before anything is read or written. They fill the current view when the
  // page is plain RAM and `access` has the view's privilege.
  guest::Status read(guest::LinearAddress a, std::span<std::uint8_t> out, Access access);
  guest::Status write(guest::LinearAddress a, std::span<const std::uint8_t> in, Access access);
  // Checks that a write would succeed (read-modify-write checks before it reads), setting A and D.
  guest::Status probe(guest::LinearAddress a, std::size_t bytes, Access access);

  template <typename T>
  guest::Checked<T> load(guest::LinearAddress a, Access access) {
    T v{};
    if (auto s = read(a, {reinterpret_cast<std::uint8_t*>(&v), sizeof v}, access); !s)
      return tl::unexpected(s.error());
    return v;
  }
  template <typename T>
  guest::Status store(guest::LinearAddress a, T v, Access access) {
    access.kind = AccessKind::kWrite;
    return write(a, {reinterpret_cast<const std::uint8_t*>(&v), sizeof v}, access);
  }

  // Fast-path miss of translated code: fills the current view and returns the host address of
  // [a, a + bytes), or nullptr when the access must take the slow path (MMIO, watched, straddling).
  guest::Checked<std::uint8_t*> host_address(guest::LinearAddress a, std::size_t bytes, bool write);

  // Where the instruction byte at `a` is, with fetch rights of the current privilege.
  guest::Checked<Translation> translate_fetch(guest::LinearAddress a);

  // Effective access rights of ordinary data accesses now (CPL 3 = user).
  Access data_access(AccessKind kind) const;
  static Access system_access(AccessKind kind) { return {kind, false, true}; }

  void flush_all(bool keep_global);           // MOV CR3 without PCID, CR0/CR4/EFER changes (false)
  void flush_pcid(unsigned pcid, bool keep_global);
  void flush_page(guest::LinearAddress a);    // INVLPG
  void flush_page_pcid(unsigned pcid, guest::LinearAddress a);  // INVPCID type 0
  void flush_jumps();                         // every view's jump cache
  void drop_writable(guest::PhysicalAddress page);  // no view may keep a writable entry for it

  guest::PhysicalMemory& memory() { return memory_; }
  const MmuCounters& counters() const { return counters_; }
  // Walks every cached entry and compares it with a fresh page walk; the first difference as text.
  std::string check_invariants();

 private:
  struct Space;  // one address space: PCID, user view, supervisor view, last use
  guest::PhysicalMemory& memory_;
  guest::CpuState& state_;
  const guest::CpuModel& model_;
  View* current_ = nullptr;
  std::vector<std::unique_ptr<Space>> spaces_;
  std::vector<bool> maybe_writable_;  // RAM pages that some view may hold writable
  MmuCounters counters_;
};

}  // namespace ringshift::softmmu
