// softmmu/view.cc - filling and dropping what one view caches, at the cost of what was used.
#include "softmmu/view.h"

#include <bit>
#include <new>
#include <string>

namespace ringshift::softmmu {
namespace {

using guest::LinearAddress;
using guest::PhysicalAddress;

// Low bits of a packed mapping; the frame is above them.
constexpr std::uint64_t kUsed = 1;  // the slot is on its side's list
constexpr std::uint64_t kGlobal = 2;
constexpr unsigned kSizeShift = 4;  // log2 of the page size, 6 bits

constexpr std::uint64_t page_of(std::uint64_t address) { return address & ~guest::kPageOffsetMask; }

constexpr std::uint64_t page_bytes_of(std::uint64_t packed) {
  return std::uint64_t{1} << ((packed >> kSizeShift) & 63);
}

// A block that begins in the page before may end here.
constexpr bool may_run_in(LinearAddress page, std::uint64_t rip) {
  constexpr std::uint64_t kLongestInstruction = 15;
  return rip - page.value + kLongestInstruction < guest::kPageBytes + kLongestInstruction;
}

constexpr unsigned k4MShift = 22, k1GShift = 30;

}  // namespace

// --- Life
// -----------------------------------------------------------------------------------------

std::unique_ptr<View> View::create(Privilege privilege, const UnusedWindows* unused) {
  const ViewSpace space = map_view_space(sizeof(View), unused);
  if (!space.start) throw std::bad_alloc();
  return std::unique_ptr<View>(::new (space.start) View(privilege, space.has_windows));
}

void View::operator delete(View* view, std::destroying_delete_t) {
  const ViewSpace space{view, view->has_windows_};
  view->~View();
  unmap_view_space(space, sizeof(View));
}

// Everything else is zero already, and must stay untouched.
View::View(Privilege privilege, bool has_windows)
    : privilege_(privilege), has_windows_(has_windows) {
  for (const std::size_t index : {std::size_t{0}, kTlbEntries - 1})
    read[index].tag = write[index].tag = invalid_tag(index);
  for (std::size_t way = 0; way < kJumpWays; ++way)
    jump[way].negated_rip = invalid_negated_rip(way);
}

namespace {
// Without the library's memset, which would use SIMD registers, and these are the guest's.
void fill_words(std::uint64_t* first, std::uint64_t value, std::size_t count) {
  asm volatile("rep stosq" : "+D"(first), "+c"(count) : "a"(value) : "memory");
}
}  // namespace

template <std::size_t kBits>
void View::Filter<kBits>::clear() {
  fill_words(words_.data(), 0, words_.size());
}

std::uint64_t View::pack(const Mapping& mapping) {
  const auto log2 = static_cast<std::uint64_t>(std::countr_zero(mapping.page_bytes));
  return page_of(mapping.physical_page.value) | log2 << kSizeShift | (mapping.global ? kGlobal : 0);
}

Mapping View::unpack(std::uint64_t tag, std::uint64_t packed) {
  return {{page_of(tag)}, {page_of(packed)}, page_bytes_of(packed), (packed & kGlobal) != 0};
}

template <std::size_t kSlots>
void View::SlotList<kSlots>::add(std::size_t slot) {
  if (listed[slot]) return;
  slots[count++] = static_cast<std::uint16_t>(slot);
  listed[slot] = true;
}

template <std::size_t kSlots>
template <typename Drop, typename Forget>
void View::SlotList<kSlots>::remove_if(Drop drop, Forget forget) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint16_t slot = slots[i];
    if (!drop(slot)) {
      slots[kept++] = slot;
      continue;
    }
    forget(slot);
    listed[slot] = false;
  }
  count = kept;
}

// --- One TLB table
// --------------------------------------------------------------------------------

void View::put(Table& table, Side& side, const Mapping& mapping, std::uint8_t* host_page) {
  const std::size_t index = tlb_index(mapping.page);
  if (!(side.packed[index] & kUsed))
    side.used[side.used_count++] = static_cast<std::uint16_t>(index);
  side.packed[index] = pack(mapping) | kUsed;
  table[index] = {mapping.page.value,
                  reinterpret_cast<std::uint64_t>(host_page) - mapping.page.value};
}

// The slot stays on the list.
void View::remove(Table& table, Side& side, std::size_t index) {
  table[index] = {invalid_tag(index), 0};
  side.packed[index] = kUsed;
}

template <typename Predicate>
void View::remove_if(Table& table, Side& side, Predicate drop) {
  for (std::size_t i = 0; i < side.used_count; ++i) {
    const std::size_t index = side.used[i];
    if (is_valid(table, index) && drop(table[index], side.packed[index]))
      remove(table, side, index);
  }
}

void View::flush_side(Table& table, Side& side, bool keep_global) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < side.used_count; ++i) {
    const std::uint16_t index = side.used[i];
    if (keep_global && (side.packed[index] & kGlobal)) {
      side.used[kept++] = index;
      continue;
    }
    table[index] = {invalid_tag(index), 0};
    side.packed[index] = 0;
  }
  side.used_count = kept;
}

void View::flush_side_page(Table& table, Side& side, LinearAddress page) {
  const std::size_t index = tlb_index(page);
  if (table[index].tag == page.value) remove(table, side, index);
}

// --- Filling
// --------------------------------------------------------------------------------------

template <std::size_t kCodeBits>
void View::PageSets<kCodeBits>::add_page(const Mapping& mapping) {
  if (mapping.page_bytes == guest::kPageBytes) return;
  if (mapping.page_bytes > std::uint64_t{1} << k4MShift)
    huge.add(mapping.page.value >> k1GShift);
  else
    large.add(mapping.page.value >> k4MShift);
}

template <std::size_t kCodeBits>
bool View::PageSets<kCodeBits>::may_hold_large_page(LinearAddress page) const {
  return large.may_hold(page.value >> k4MShift) || huge.may_hold(page.value >> k1GShift);
}

template <std::size_t kCodeBits>
void View::PageSets<kCodeBits>::clear() {
  code.clear();
  large.clear();
  huge.clear();
}

void View::fill(LinearAddress page, std::uint8_t* host_page, PhysicalAddress physical_page,
                bool writable, bool global, std::uint64_t page_bytes) {
  const Mapping mapping{{page_of(page.value)}, physical_page, page_bytes, global};
  mapping.global ? global_.add_page(mapping) : local_.add_page(mapping);
  const TlbEntry& reader = read[tlb_index(mapping.page)];
  if (!writable) {
    put(read, read_side_, mapping, host_page);
    // A writable entry of the same page may come from an older mapping.
    if (const std::size_t index = tlb_index(mapping.page);
        write[index].tag == mapping.page.value &&
        write[index].addend != reinterpret_cast<std::uint64_t>(host_page) - mapping.page.value)
      remove(write, write_side_, index);
    return;
  }
  put(write, write_side_, mapping, host_page);
  writable_frames_.add(guest::page_number(mapping.physical_page.value));
  // Another page's read entry stays: a copy between two pages of one index must not thrash.
  if (!is_valid(read, tlb_index(mapping.page)) || reader.tag == mapping.page.value)
    put(read, read_side_, mapping, host_page);
}

void View::fill_jump(std::uint64_t rip, std::uint64_t host_code, std::uint64_t rip_base,
                     bool global) {
  static_assert(kJumpWays == 2);
  const std::size_t first = jump_index(rip);
  std::size_t index = first;
  const auto put_entry = [this](std::size_t slot, const JumpEntry& entry) {
    jump[slot] = entry;
    (entry.is_global ? global_jumps_ : local_jumps_).add(slot);
  };
  if (jump[first + 1].negated_rip == 0 - rip) {
    index = first + 1;
  } else if (jump[first].negated_rip != 0 - rip && jump[first].host_code != 0) {
    put_entry(first + 1, jump[first]);  // the newest comes first, the oldest goes
  }
  put_entry(index, {0 - rip, host_code, rip_base, global ? std::uint64_t{1} : 0});
}

void View::fill_link(std::uint32_t link, std::uint64_t rip_base, std::uint64_t target_rip,
                     std::uint64_t host_code, bool global) {
  const std::size_t slot = link % kLinkSlots;
  (global ? global_links_ : local_links_).add(slot);
  links[slot] = {link_tag(rip_base, link), host_code};
  link_targets_[slot] = target_rip;
}

void View::fill_fetch(const Mapping& mapping) {
  const std::uint64_t page = page_of(mapping.page.value);
  const std::size_t slot = fetch_index({page});
  fetches_[slot] = {page | 1, pack(mapping)};
  (mapping.global ? global_fetches_ : local_fetches_).add(slot);
  const std::uint64_t number = guest::page_number(page);
  mapping.global ? global_.add_page(mapping) : local_.add_page(mapping);
  mapping.global ? global_.code.add(number) : local_.code.add(number);
}

// --- Dropping
// -------------------------------------------------------------------------------------

void View::flush_fetches(bool keep_global) {
  const auto forget = [this](std::uint16_t slot) { fetches_[slot].tag = 0; };
  const auto all = [](std::uint16_t) { return true; };
  local_fetches_.remove_if(all, forget);
  if (!keep_global) global_fetches_.remove_if(all, forget);
}

template <typename Predicate>
void View::remove_jumps_if(JumpList& list, Predicate drop) {
  list.remove_if(drop, [this](std::uint16_t slot) {
    jump[slot] = {invalid_negated_rip(slot), 0, 0, 0};
  });
}

void View::flush_jumps_if_local() {
  remove_jumps_if(local_jumps_, [](std::uint16_t) { return true; });
  flush_links(true);
}

template <typename Predicate>
void View::remove_links_if(LinkList& list, Predicate drop) {
  list.remove_if(drop, [this](std::uint16_t slot) { links[slot] = {0, 0}; });
}

void View::flush_links(bool keep_global) {
  const auto all = [](std::uint16_t) { return true; };
  remove_links_if(local_links_, all);
  if (!keep_global) remove_links_if(global_links_, all);
  forget_returns();
}

void View::forget_returns() {
  fill_words(returns.tags.data(), 0, Returns::kSize);
  fill_words(returns.host_code.data(), unexpected_return_, Returns::kSize);
}

void View::forget_return(std::size_t entry) {
  returns.tags[entry] = 0;
  returns.host_code[entry] = unexpected_return_;
}

void View::set_unexpected_return(std::uint64_t host_code) {
  unexpected_return_ = host_code;
  forget_returns();
}

// Links that leave the page or lead to it, and returns to it.
void View::drop_links_of(LinearAddress page) {
  const auto concerned = [&](std::uint16_t slot) {
    return page_of(~links[slot].tag) == page.value || may_run_in(page, link_targets_[slot]);
  };
  const std::uint64_t number = guest::page_number(page.value);
  remove_links_if(local_links_, concerned);
  if (global_.code.may_hold(number)) remove_links_if(global_links_, concerned);
  for (std::size_t i = 0; i < Returns::kSize; ++i)
    if (may_run_in(page, ~returns.tags[i])) forget_return(i);
}

void View::flush(bool keep_global) {
  if (!keep_global || privilege_ == Privilege::kUser) {
    windowed = false;
    ticks_seen = 0;
  }
  if (listener_) listener_->flushed(*this, keep_global);
  flush_side(read, read_side_, keep_global);
  flush_side(write, write_side_, keep_global);
  flush_fetches(keep_global);
  local_.clear();
  writable_frames_.clear();
  if (keep_global) {
    flush_jumps_if_local();
    for (std::size_t i = 0; i < write_side_.used_count; ++i)
      writable_frames_.add(guest::page_number(write_side_.packed[write_side_.used[i]]));
  } else {
    flush_jumps();
    global_.clear();
  }
}

void View::flush_jumps() {
  const auto all = [](std::uint16_t) { return true; };
  remove_jumps_if(local_jumps_, all);
  remove_jumps_if(global_jumps_, all);
  flush_links(false);
}

// SDM Vol. 3 "Operations that Invalidate TLBs and Paging-Structure Caches": INVLPG drops every
// entry of the page that holds the address, whatever the page's size was when it was cached.
void View::flush_large_page(LinearAddress page) {
  const auto part_of_page = [page](const TlbEntry& entry, std::uint64_t packed) {
    return (entry.tag ^ page.value) < page_bytes_of(packed);
  };
  remove_if(read, read_side_, part_of_page);
  remove_if(write, write_side_, part_of_page);
  flush_fetches(false);
  flush_jumps();
}

void View::flush_page(LinearAddress a) {
  if (listener_) listener_->flushed_page(*this, a);
  const LinearAddress page{page_of(a.value)};
  if (local_.may_hold_large_page(page) || global_.may_hold_large_page(page)) {
    flush_large_page(page);
    return;
  }
  flush_side_page(read, read_side_, page);
  flush_side_page(write, write_side_, page);
  if (Fetch& fetch = fetches_[fetch_index(page)]; fetch.tag == (page.value | 1)) fetch.tag = 0;
  const std::uint64_t number = guest::page_number(page.value);
  if (local_.code.may_hold(number) || global_.code.may_hold(number)) drop_jumps_of(page);
}

// The filters may be wrong, and a kernel that invalidates one page often must not lose all its
// jumps for that.
void View::drop_jumps_of(LinearAddress page) {
  if (!jumps_are_linear) return flush_jumps();
  const auto concerned = [&](std::uint16_t slot) {
    return may_run_in(page, 0 - jump[slot].negated_rip);
  };
  remove_jumps_if(local_jumps_, concerned);
  if (global_.code.may_hold(guest::page_number(page.value)))
    remove_jumps_if(global_jumps_, concerned);
  drop_links_of(page);
}

void View::drop_jump(std::uint64_t page_offset, std::uint64_t host_code) {
  constexpr std::size_t kStep = (guest::kPageBytes >> kJumpShift) * kJumpWays;
  for (std::size_t first = jump_index(page_offset); first < kJumpEntries; first += kStep)
    for (std::size_t i = first; i < first + kJumpWays; ++i)
      if (jump[i].host_code == host_code) jump[i].negated_rip = invalid_negated_rip(i);
}

// The slot stays on the list.
void View::drop_links(std::uint64_t host_code) {
  for (const LinkList* list : {&local_links_, &global_links_})
    for (std::size_t i = 0; i < list->count; ++i)
      if (LinkEntry& entry = links[list->slots[i]]; entry.host_code == host_code) entry.tag = 0;
}

void View::drop_writable(PhysicalAddress physical_page) {
  if (!writable_frames_.may_hold(guest::page_number(physical_page.value))) return;
  const std::uint64_t frame = page_of(physical_page.value);
  remove_if(write, write_side_,
            [frame](const TlbEntry&, std::uint64_t packed) { return page_of(packed) == frame; });
}

// --- Inspection
// -----------------------------------------------------------------------------------

std::vector<View::Cached> View::cached(Kind kind) const {
  std::vector<Cached> result;
  if (kind == Kind::kFetch) {
    for (const Fetch& fetch : fetches_)
      if (fetch.tag) result.push_back({unpack(fetch.tag, fetch.packed), nullptr});
    return result;
  }
  const Table& table = kind == Kind::kRead ? read : write;
  const Side& side = kind == Kind::kRead ? read_side_ : write_side_;
  for (std::size_t i = 0; i < kTlbEntries; ++i)
    if (is_valid(table, i))
      result.push_back({unpack(table[i].tag, side.packed[i]),
                        reinterpret_cast<const std::uint8_t*>(table[i].addend + table[i].tag)});
  return result;
}

std::string View::check_side(const Table& table, const Side& side, const char* name) {
  std::vector<bool> listed(kTlbEntries);
  for (std::size_t i = 0; i < side.used_count; ++i) {
    if (listed[side.used[i]]) return std::string(name) + ": a slot is listed twice";
    listed[side.used[i]] = true;
  }
  for (std::size_t i = 0; i < kTlbEntries; ++i) {
    const bool valid = is_valid(table, i);
    if (valid && tlb_index({table[i].tag}) != i) return std::string(name) + ": misplaced tag";
    if (!valid && table[i].addend != 0) return std::string(name) + ": half an entry";
    if (valid && !listed[i]) return std::string(name) + ": an entry that no flush would find";
    if (listed[i] != ((side.packed[i] & kUsed) != 0)) return std::string(name) + ": lost slot";
  }
  return {};
}

std::string View::check_structure() const {
  if (std::string text = check_side(read, read_side_, "read"); !text.empty()) return text;
  if (std::string text = check_side(write, write_side_, "write"); !text.empty()) return text;
  for (std::size_t slot = 0; slot < kJumpEntries; ++slot)
    if (const JumpEntry& entry = jump[slot]; entry.host_code != 0)
      if (!(entry.is_global ? global_jumps_ : local_jumps_).listed[slot])
        return "jump: an entry that no flush would find";
  return {};
}

}  // namespace ringshift::softmmu
