// softmmu/mmu.h - linear-address accesses of one vCPU: page walk, cached views, slow-path access.
// Used only by the vCPU's thread. Never throws; guest faults are returned.
// Views are kept per (address space, privilege): with CR4.PCIDE by PCID, else one pair.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "softmmu/leaf_table.h"
#include "softmmu/page_walk.h"
#include "softmmu/view.h"

namespace ringshift::softmmu {

struct MmuCounters {
  std::uint64_t read_misses = 0, write_misses = 0, slow_reads = 0, slow_writes = 0, walks = 0,
                page_faults = 0, full_flushes = 0, page_flushes = 0, view_switches = 0;
  std::uint64_t space_changes = 0;  // to another CR3
  // How the misses of look-ups in translated code ended: what could be cached was.
  std::uint64_t cached = 0, straddled = 0, faulted = 0, watched = 0, not_ram = 0;
};

// A piece of linear memory whose data accesses are debug traps; `bytes` 0: none.
struct Watchpoint {
  guest::LinearAddress start;
  std::uint64_t bytes = 0;
  bool reads = false;  // else writes only

  bool operator==(const Watchpoint&) const = default;
};
using Watchpoints = std::array<Watchpoint, 4>;

class Mmu {
 public:
  Mmu(guest::PhysicalMemory& memory, guest::CpuState& state, const guest::CpuModel& model);
  ~Mmu();

  // The view for the current CR3/PCID and privilege; translated code runs with GS base =
  // &current().
  View& current() { return *selection_.current; }
  // What accesses to descriptor tables and the like go through.
  View& system_view() { return view(Privilege::kSupervisor); }
  // Picks current() again after CPL, CR3, CR0.PG, CR4 or EFER changed in the state. True when the
  // view is another object than before.
  bool select_view();

  // What select_view() changes when only the privilege did. Transfers that translated code makes by
  // itself, between the views of one space(), write it themselves.
  struct Selection {
    // Of `mode`; see mmu.cc. 64-bit code has no variants.
    static constexpr std::uint64_t kCpl3 = 1, kVariant = 6, kAc = guest::flags::kAc;
    View* current = nullptr;
    std::uint64_t mode = 0;
  };
  Selection& selection() { return selection_; }
  const void* space() const { return space_; }

  // Data accesses at a linear address, any alignment, size 1..4096 bytes; both pages of a
  // straddling access are checked before anything is read or written. They use and fill the view
  // that has the privilege of `access`, whichever is current.
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

  // Where the instruction byte at `a` is, with fetch rights of the current privilege. Every page of
  // code behind an entry of the jump cache must come through here (see View::fill_jump).
  guest::Checked<Translation> translate_fetch(guest::LinearAddress a);

  // Effective access rights of ordinary data accesses now (CPL 3 = user).
  Access data_access(AccessKind kind) const;
  static Access system_access(AccessKind kind) { return {kind, false, true}; }

  void flush_all(bool keep_global);  // MOV CR3 without PCID, CR0/CR4/EFER changes (false)
  void flush_pcid(unsigned pcid, bool keep_global);
  // PKRU (of user pages) or IA32_PKRS: views hold what the rights let in.
  void key_rights_changed(bool user_pages, std::uint32_t before, std::uint32_t after);
  void flush_page(guest::LinearAddress a);                             // INVLPG
  void flush_page_pcid(unsigned pcid, guest::LinearAddress a);         // INVPCID type 0
  void drop_jump(std::uint64_t page_offset, std::uint64_t host_code);  // in every view
  void drop_links(std::uint64_t host_code);                            // in every view
  void flush_jumps();                                                  // every view's jump cache
  void drop_writable(guest::PhysicalAddress page);  // no view may keep a writable entry for it

  // Data breakpoints: no view holds the pages of a watchpoint, so that every access to them comes
  // through read() or write(), which set the watchpoint's bit in the state's pending_debug.
  void watch(const Watchpoints& watchpoints);
  bool watching() const { return watching_; }
  const Watchpoints& watchpoints() const { return watchpoints_; }

  // --- For who keeps more than the views do (shadowpt/) ---
  // Told of everything that any view drops, from now on; null: nobody.
  void set_listener(ViewListener* listener);
  // For each view, also those to come: see View::set_unexpected_return().
  void set_unexpected_return(std::uint64_t host_code);
  // The pages around `a` as the current view may cache them.
  std::optional<LeafTable> leaf_table(guest::LinearAddress a);
  // A walk that changes nothing, under the state in which `view` is current; for tests.
  guest::Checked<Translation> fresh_walk(const View& view, guest::LinearAddress a,
                                         AccessKind kind) const;
  const guest::CpuState& state() const { return state_; }

  guest::PhysicalMemory& memory() { return memory_; }
  const MmuCounters& counters() const { return counters_; }
  // Walks every cached entry and compares it with a fresh page walk; the first difference as text.
  std::string check_invariants();

 private:
  static constexpr unsigned kNoPcid = ~0u;
  static constexpr std::size_t kVariants = 4;
  // One address space. Views are made when first used; the spaces themselves exist from the start,
  // because the heap's code may use the SIMD registers that hold guest state.
  struct Space {
    unsigned pcid = kNoPcid;
    std::uint64_t cr3 = 0;  // when last selected
    std::uint64_t last_use = 0;
    // By Privilege and variant: a 32-bit kernel runs its entries with the user's FS and GS, and a
    // view has one mode's jump cache.
    std::array<std::unique_ptr<View>, 3 * kVariants> views;
  };
  // Where one page's part of an access is: in host memory, or else only at a physical address.
  struct Place {
    std::uint8_t* host = nullptr;
    guest::PhysicalAddress physical;
  };
  // The parts of an access that straddles two pages.
  struct Parts {
    std::size_t first_bytes;
    Place first, second;
  };

  std::uint64_t mode_now() const;
  Privilege privilege_of(Access access) const;
  View& view(Privilege privilege);
  Space& find_space();
  template <typename F>
  void for_each_view(unsigned pcid, F action);  // kNoPcid: of every space
  guest::Checked<Translation> walk_counted(guest::LinearAddress a, Access access);
  std::uint8_t* fill(View& view, guest::LinearAddress a, Access access,
                     const Translation& translation);
  guest::Checked<Place> locate(guest::LinearAddress a, Access access);
  guest::Checked<Parts> locate_parts(guest::LinearAddress a, std::size_t bytes, Access access);
  void copy_out(const Place& place, std::span<std::uint8_t> out);
  void copy_in(const Place& place, std::span<const std::uint8_t> in);
  bool page_has_watchpoint(guest::LinearAddress a) const;
  void note_access(guest::LinearAddress a, std::size_t bytes, Access access);
  std::string check_view(const Space& space, const View& view);

  guest::PhysicalMemory& memory_;
  guest::CpuState& state_;
  const PagingFeatures features_;
  UnusedWindows unused_windows_;
  std::uint64_t unexpected_return_ = 0;
  ViewListener* listener_ = nullptr;
  Selection selection_;
  Space* space_ = nullptr;
  std::uint64_t cr3_ = 0;             // what space_ was selected for
  std::uint64_t clock_ = 0;           // of Space::last_use
  std::vector<Space> spaces_;         // used ones first
  std::vector<bool> maybe_writable_;  // RAM pages that some view may hold writable
  Watchpoints watchpoints_{};
  bool watching_ = false;  // any of them
  // Protection keys of pages that some view may hold, two bits each as in the rights, for pages of
  // the supervisor and of the user.
  static constexpr std::uint32_t kAnyKey = ~0u;
  std::array<std::uint32_t, 2> keys_in_use_{};
  MmuCounters counters_;
};

}  // namespace ringshift::softmmu
