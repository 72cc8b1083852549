// softmmu/view.h - one privilege's cached view of one guest address space: the software TLB and the
// jump cache that translated code reads directly. Owned and written by its vCPU's thread only.
//
// Translated code reaches the current view through the host GS base, which is its flat window:
//   hit test    index = (linear >> 12) % kTlbEntries
//               linear - tag[index] + size - 1 < 4096  -> host address = linear + addend[index]
//   so one compare covers both the tag and an access that straddles two pages. A look-up that may
//   change flags compares linear XOR tag with 4096 - size.
// An entry never grants more than its table says: `read` and `write` are separate tables, and MMIO,
// watched (translated or shadowed) pages and clean pages are absent from `write`.
//
// A view is some 1.4 MiB of which a short-lived address space touches little: it is created on
// fresh zero pages, and zero is what an unused entry holds. Nothing here allocates afterwards.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "guest/address.h"
#include "softmmu/view_listener.h"
#include "softmmu/view_space.h"

namespace ringshift::softmmu {

inline constexpr std::size_t kTlbEntries = 4096;
// The jump cache is two-way: functions begin at round addresses, and kernels have thousands of hot
// ones. A set is a cache line of its own; its number is made of address bits 2 and up.
inline constexpr std::size_t kJumpEntries = 8192;
inline constexpr std::size_t kJumpWays = 2, kJumpSets = kJumpEntries / kJumpWays;
inline constexpr unsigned kJumpShift = 2;
inline constexpr std::size_t kFetchEntries = 256;

struct TlbEntry {
  std::uint64_t tag;     // linear address of the page; see invalid_tag
  std::uint64_t addend;  // host address of the page - linear address of the page
};

// A tag that no access whose address has this index can match, not even one that runs on into the
// next page or round the end of the address space.
constexpr std::uint64_t invalid_tag(std::size_t index) {
  return index == 0 || index == kTlbEntries - 1 ? 2 * guest::kPageBytes : 0;
}

struct JumpEntry {
  std::uint64_t negated_rip;  // 0 - RIP, so that an LEA compares without touching flags
  std::uint64_t host_code;
  std::uint64_t rip_base;   // RIP of offset 0 of the block's page
  std::uint64_t is_global;  // the code page is a global mapping
};

// A direct branch into another page, as hot code takes it: where it leads when the branching page
// lies at the RIP in the tag. Zero tags match nothing.
struct LinkEntry {
  std::uint64_t tag;  // ~(RIP of offset 0 of the branch's page + number of the branch in its slot)
  std::uint64_t host_code;
};
inline constexpr std::size_t kLinkSlots = 32768;
// A branch is slot + kLinkSlots * number; the number fits into a page offset.
inline constexpr std::size_t kLinks = kLinkSlots * guest::kPageBytes;
constexpr std::uint64_t link_tag(std::uint64_t rip_base, std::uint32_t link) {
  return ~(rip_base + link / kLinkSlots);
}

// Calls whose returns are expected, by the stack slot that the return RIP was pushed to (its
// address in units of its size). What another call has taken the place of returns through the jump
// cache.
struct Returns {
  static constexpr std::size_t kSize = 256;
  std::array<std::uint64_t, kSize> tags;       // ~(return RIP)
  std::array<std::uint64_t, kSize> host_code;  // never nothing: an unused tag, zero, matches RIP -1
};

// What no RIP of this entry's set negates to.
constexpr std::uint64_t invalid_negated_rip(std::size_t index) { return index < kJumpWays ? 1 : 0; }

// What a cached page remembers beside the TLB entry.
struct Mapping {
  guest::LinearAddress page;
  guest::PhysicalAddress physical_page;
  std::uint64_t page_bytes = guest::kPageBytes;  // of the guest's page that this one is a part of
  bool global = false;
};

// Whose accesses a view serves. With SMAP, pages of the user can be reached by the supervisor while
// EFLAGS.AC is set: what is cached then has a view of its own, and the plain supervisor view never
// holds such a page.
enum class Privilege : std::uint8_t { kUser, kSupervisor, kSupervisorAc };

class alignas(4096) View {
 public:
  // Views exist only on pages fresh from the host, which are zero. Without `unused`, or where the
  // host gives no such address space, the view has no windows.
  static std::unique_ptr<View> create(Privilege privilege = Privilege::kSupervisor,
                                      const UnusedWindows* unused = nullptr);
  static void operator delete(View* view, std::destroying_delete_t);

  std::array<TlbEntry, kTlbEntries> read;
  std::array<TlbEntry, kTlbEntries> write;
  alignas(64) std::array<JumpEntry, kJumpEntries> jump;
  std::array<LinkEntry, kLinkSlots> links;
  Returns returns;
  // The mode that the jump cache was filled in; the engine flushes it when another one begins.
  std::uint64_t jump_mode = 0;
  // RIPs are linear addresses in that mode: CS has no base.
  bool jumps_are_linear = false;

  // The engine's: code that uses this view may be translated for windows, because the view lives
  // long enough to fill them. A flush begins a new life; `keep_global` ends only a user's.
  bool windowed = false;
  std::uint8_t ticks_seen = 0;

  Privilege privilege() const { return privilege_; }
  bool has_windows() const { return has_windows_; }
  // Only with windows: what to add to a linear address of 64-bit code, by its bits 47:32.
  std::uint64_t* window_delta() { return reinterpret_cast<std::uint64_t*>(this + 1); }
  std::uint8_t* flat_window() const {
    return reinterpret_cast<std::uint8_t*>(reinterpret_cast<std::uint64_t>(this) +
                                           kViewWindowOffset);
  }

  // Told of everything that drops entries; `listener_slot` is the listener's own.
  void set_listener(ViewListener* listener) { listener_ = listener; }
  // Host code that finds out where a return to R11 leads.
  void set_unexpected_return(std::uint64_t host_code);
  std::uint32_t listener_slot = 0;

  static std::size_t tlb_index(guest::LinearAddress a) { return (a.value >> 12) % kTlbEntries; }
  // The first entry of the set that `rip` belongs to.
  static std::size_t jump_index(std::uint64_t rip) {
    return (rip >> kJumpShift) % kJumpSets * kJumpWays;
  }
  // The entry of `rip`, or nullptr.
  const JumpEntry* find_jump(std::uint64_t rip) const {
    const JumpEntry* set = &jump[jump_index(rip)];
    for (std::size_t way = 0; way < kJumpWays; ++way)
      if (set[way].negated_rip == 0 - rip) return &set[way];
    return nullptr;
  }

  // `physical_page` is remembered so that drop_writable() finds every alias of a frame, and
  // `page_bytes` so that INVLPG drops all of a large page.
  void fill(guest::LinearAddress page, std::uint8_t* host_page,
            guest::PhysicalAddress physical_page, bool writable, bool global,
            std::uint64_t page_bytes = guest::kPageBytes);
  // The page of the code behind a jump entry must have gone through fill_fetch() since the last
  // flush: flush_page() keeps the jump cache when it never saw the page there.
  void fill_jump(std::uint64_t rip, std::uint64_t host_code, std::uint64_t rip_base, bool global);
  void fill_fetch(const Mapping& mapping);
  void fill_link(std::uint32_t link, std::uint64_t rip_base, std::uint64_t target_rip,
                 std::uint64_t host_code, bool global);

  void flush(bool keep_global);                // MOV CR3 / CR4 changes
  void flush_page(guest::LinearAddress page);  // INVLPG: entries of the page, and its jump entries
  // The code at `host_code`, for a RIP with this page offset, may no longer be entered.
  void drop_jump(std::uint64_t page_offset, std::uint64_t host_code);
  void drop_links(std::uint64_t host_code);
  // Jump cache, links and expected returns: code cache changes, mode changes.
  void flush_jumps();
  void drop_writable(guest::PhysicalAddress physical_page);  // the frame became watched

  // Host address of a cached page, or nullptr.
  std::uint8_t* find_read(guest::LinearAddress a) const { return find(read, a); }
  std::uint8_t* find_write(guest::LinearAddress a) const { return find(write, a); }
  // The page of code that holds `a`, if cached.
  std::optional<Mapping> find_fetch(guest::LinearAddress a) const {
    const Fetch& fetch = fetches_[fetch_index(a)];
    if (fetch.tag != ((a.value & ~guest::kPageOffsetMask) | 1)) return std::nullopt;
    return unpack(fetch.tag, fetch.packed);
  }

  // For tests and check_invariants(): what is cached, and the first internal contradiction.
  enum class Kind : std::uint8_t { kRead, kWrite, kFetch };
  struct Cached {
    Mapping mapping;
    const std::uint8_t* host_page = nullptr;  // null for fetches
  };
  std::vector<Cached> cached(Kind kind) const;
  std::string check_structure() const;

 private:
  // A set of pages that may say yes for one that is not in it.
  template <std::size_t kBits>
  class Filter {
   public:
    void add(std::uint64_t key) { words_[hash(key) / 64] |= bit(key); }
    bool may_hold(std::uint64_t key) const { return words_[hash(key) / 64] & bit(key); }
    void clear();

   private:
    static_assert(std::has_single_bit(kBits));
    // Addresses are round numbers: their low bits alone would all fall together.
    static std::size_t hash(std::uint64_t key) {
      return (key * 0x9e3779b97f4a7c15) >> (64 - std::countr_zero(kBits));
    }
    static std::uint64_t bit(std::uint64_t key) { return std::uint64_t{1} << (hash(key) % 64); }
    std::array<std::uint64_t, kBits / 64> words_;
  };

  // What was cached since the last flush that dropped it; INVLPG asks here first. Global pages are
  // a kernel's: there are many, and they stay.
  template <std::size_t kCodeBits>
  struct PageSets {
    Filter<kCodeBits> code;  // pages that fill_fetch() saw
    Filter<1024> large;      // 4 MiB pieces of the linear space with a part of a 2 or 4 MiB page
    Filter<64> huge;         // 1 GiB pieces with a part of a 1 GiB page
    void add_page(const Mapping& mapping);
    bool may_hold_large_page(guest::LinearAddress page) const;
    void clear();
  };

  // What one of the TLB tables needs beside the entries themselves.
  struct Side {
    std::array<std::uint64_t, kTlbEntries> packed;  // Mapping without its linear page; see pack()
    std::array<std::uint16_t, kTlbEntries> used;    // slots that may hold something, each once
    std::size_t used_count;
  };
  using Table = std::array<TlbEntry, kTlbEntries>;
  // Slots of a table that may hold something, each once. A slot that changes its kind stays on the
  // other kind's list too, which can only drop it sooner.
  template <std::size_t kSlots>
  struct SlotList {
    std::array<std::uint16_t, kSlots> slots;
    std::array<bool, kSlots> listed;
    std::size_t count;
    void add(std::size_t slot);
    // Takes those off the list, and gives them to `forget`, that `drop` says.
    template <typename Drop, typename Forget>
    void remove_if(Drop drop, Forget forget);
  };
  using LinkList = SlotList<kLinkSlots>;
  using JumpList = SlotList<kJumpEntries>;
  struct Fetch {
    std::uint64_t tag;  // linear page + 1
    std::uint64_t packed;
  };

  View(Privilege privilege, bool has_windows);

  static std::uint64_t pack(const Mapping& mapping);
  static Mapping unpack(std::uint64_t tag, std::uint64_t packed);
  static std::uint8_t* find(const Table& table, guest::LinearAddress a) {
    const TlbEntry& entry = table[tlb_index(a)];
    const std::uint64_t offset = a.value ^ entry.tag;
    return offset < guest::kPageBytes ? reinterpret_cast<std::uint8_t*>(a.value + entry.addend)
                                      : nullptr;
  }
  static std::size_t fetch_index(guest::LinearAddress a) { return (a.value >> 12) % kFetchEntries; }
  static bool is_valid(const Table& table, std::size_t index) {
    return table[index].tag != invalid_tag(index);
  }
  static void put(Table& table, Side& side, const Mapping& mapping, std::uint8_t* host_page);
  static void remove(Table& table, Side& side, std::size_t index);
  template <typename Predicate>
  static void remove_if(Table& table, Side& side, Predicate drop);
  static void flush_side(Table& table, Side& side, bool keep_global);
  void flush_jumps_if_local();
  void flush_links(bool keep_global);
  void drop_links_of(guest::LinearAddress page);
  void forget_return(std::size_t entry);
  void forget_returns();
  template <typename Predicate>
  void remove_links_if(LinkList& list, Predicate drop);
  template <typename Predicate>
  void remove_jumps_if(JumpList& list, Predicate drop);
  static void flush_side_page(Table& table, Side& side, guest::LinearAddress page);
  static std::string check_side(const Table& table, const Side& side, const char* name);
  void flush_fetches(bool keep_global);
  void flush_large_page(guest::LinearAddress page);
  void drop_jumps_of(guest::LinearAddress page);

  Side read_side_, write_side_;
  JumpList local_jumps_, global_jumps_;
  LinkList local_links_, global_links_;  // global: both pages of code are global mappings
  std::array<std::uint64_t, kLinkSlots> link_targets_;  // RIPs
  std::array<Fetch, kFetchEntries> fetches_;
  SlotList<kFetchEntries> local_fetches_, global_fetches_;
  PageSets<4096> local_;
  PageSets<32768> global_;
  Filter<4096> writable_frames_;
  Privilege privilege_;
  bool has_windows_;
  ViewListener* listener_ = nullptr;
  std::uint64_t unexpected_return_ = 0;
};

// From the view's first byte to the table that window_delta() points to.
inline constexpr std::size_t kWindowTableOffset = sizeof(View);
static_assert(kWindowTableOffset + kWindowTableBytes + (std::size_t{64} << 20) < kViewWindowOffset);
static_assert(sizeof(TlbEntry) == 16 && sizeof(JumpEntry) == 32 && sizeof(LinkEntry) == 16);

}  // namespace ringshift::softmmu
