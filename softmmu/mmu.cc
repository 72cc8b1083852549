// softmmu/mmu.cc - which view serves an access, how it is filled, and what drops from it.
#include "softmmu/mmu.h"

#include <algorithm>
#include <bit>

namespace ringshift::softmmu {
namespace {

using guest::Checked;
using guest::LinearAddress;
using guest::PhysicalAddress;
using guest::Status;
namespace cr0 = guest::cr0;
namespace cr4 = guest::cr4;
namespace efer = guest::efer;
namespace flags = guest::flags;

// Recent PCIDs whose views are kept; more of them than an operating system cycles through.
constexpr std::size_t kMaxSpaces = 16;
constexpr std::uint64_t kPcidMask = 0xfff;

// What decides which view is current, as one word: no two of these bits fall together.
constexpr std::uint64_t kCpl3 = Mmu::Selection::kCpl3;
constexpr std::uint64_t kCr0Bits = cr0::kPg | cr0::kWp;
constexpr std::uint64_t kCr4Bits =
    cr4::kPse | cr4::kPae | cr4::kPge | cr4::kPcide | cr4::kSmep | cr4::kSmap |
    cr4::kPke | cr4::kPks;
constexpr std::uint64_t kEferBits = efer::kLma | efer::kNxe;
constexpr std::uint64_t kVariantBits = Mmu::Selection::kVariant;
constexpr unsigned kVariantShift = std::countr_zero(kVariantBits);
constexpr std::uint64_t kPrivilegeBits = kCpl3 | flags::kAc;
static_assert(kPrivilegeBits + kVariantBits + kCr0Bits + kCr4Bits + kEferBits ==
              (kPrivilegeBits | kVariantBits | kCr0Bits | kCr4Bits | kEferBits));

// Outside 64-bit code: which of FS and GS an access may violate.
std::uint64_t variant_bits(const guest::CpuState& s) {
  if (s.in_64bit_code()) return 0;
  const auto small = [&s](guest::Seg seg) {
    return s.segment(seg).limit != 0xffffffff || !s.segment(seg).present();
  };
  return (std::uint64_t{small(guest::Seg::kFs)} | std::uint64_t{small(guest::Seg::kGs)} << 1)
         << kVariantShift;
}

// EFLAGS.AC matters here only with SMAP.
constexpr std::uint64_t smap_ac(std::uint64_t cr4_value, std::uint64_t rflags) {
  static_assert(cr4::kSmap == flags::kAc << 3);
  return (cr4_value >> 3) & rflags & flags::kAc;
}

}  // namespace

Mmu::Mmu(guest::PhysicalMemory& memory, guest::CpuState& state, const guest::CpuModel& model)
    : memory_(memory),
      state_(state),
      features_(PagingFeatures::of(model)),
      spaces_(kMaxSpaces),
      maybe_writable_(guest::page_number(memory.ram_bytes())) {
  select_view();
}

Mmu::~Mmu() = default;

// --- Choosing a view
// ------------------------------------------------------------------------------

std::uint64_t Mmu::mode_now() const {
  return (state_.cr0 & kCr0Bits) | (state_.cr4 & kCr4Bits) | (state_.msr.efer & kEferBits) |
         (state_.cpl == 3 ? kCpl3 : smap_ac(state_.cr4, state_.rflags)) | variant_bits(state_);
}

bool Mmu::select_view() {
  const std::uint64_t mode = mode_now();
  if (mode == selection_.mode && state_.cr3 == cr3_ && selection_.current) return false;
  // Entries hold rights that were derived under the old mode. Callers flush where the manual says
  // so; this covers what is not a flush there, like CR0.WP.
  if (((mode ^ selection_.mode) & ~(kPrivilegeBits | kVariantBits)) && selection_.current)
    flush_all(false);
  if (!space_ || state_.cr3 != cr3_ || ((mode ^ selection_.mode) & cr4::kPcide))
    space_ = &find_space();
  selection_.mode = mode;
  counters_.space_changes += cr3_ != state_.cr3;
  cr3_ = state_.cr3;
  View* const before = selection_.current;
  selection_.current = &view(privilege_of({AccessKind::kRead, state_.cpl == 3, false}));
  if (selection_.current == before) return false;
  ++counters_.view_switches;
  return true;
}

Mmu::Space& Mmu::find_space() {
  const bool pcide = state_.cr4 & cr4::kPcide;
  const unsigned pcid = pcide ? static_cast<unsigned>(state_.cr3 & kPcidMask) : 0;
  auto space = std::find_if(spaces_.begin(), spaces_.end(),
                            [pcid](const Space& candidate) { return candidate.pcid == pcid; });
  if (space == spaces_.end()) {
    space = std::min_element(spaces_.begin(), spaces_.end(), [](const Space& a, const Space& b) {
      return a.last_use < b.last_use;
    });
    for (auto& view : space->views)
      if (view) view->flush(false);
    space->pcid = pcid;
  }
  space->cr3 = state_.cr3;
  space->last_use = ++clock_;
  return *space;
}

Privilege Mmu::privilege_of(Access access) const {
  if (access.user) return Privilege::kUser;
  return !access.implicit && smap_ac(state_.cr4, state_.rflags) ? Privilege::kSupervisorAc
                                                                : Privilege::kSupervisor;
}

View& Mmu::view(Privilege privilege) {
  const std::size_t variant = (selection_.mode & kVariantBits) >> kVariantShift;
  std::unique_ptr<View>& view =
      space_->views[static_cast<std::size_t>(privilege) * kVariants + variant];
  if (!view) {
    view = View::create(privilege, &unused_windows_);
    view->set_listener(listener_);
    view->set_unexpected_return(unexpected_return_);
  }
  return *view;
}

void Mmu::set_unexpected_return(std::uint64_t host_code) {
  unexpected_return_ = host_code;
  for (Space& space : spaces_)
    for (auto& view : space.views)
      if (view) view->set_unexpected_return(host_code);
}

void Mmu::set_listener(ViewListener* listener) {
  listener_ = listener;
  for (Space& space : spaces_)
    for (auto& view : space.views)
      if (view) view->set_listener(listener);
}

std::optional<LeafTable> Mmu::leaf_table(LinearAddress a) {
  keys_in_use_ = {kAnyKey, kAnyKey};  // what is taken from the table is not told of
  return LeafTable::find(memory_, state_, features_, a, data_access(AccessKind::kRead));
}

Access Mmu::data_access(AccessKind kind) const { return {kind, state_.cpl == 3, false}; }

// --- Misses
// ---------------------------------------------------------------------------------------

Checked<Translation> Mmu::walk_counted(LinearAddress a, Access access) {
  ++counters_.walks;
  auto result = walk(memory_, state_, features_, a, access);
  if (!result) ++counters_.page_faults;
  return result;
}

// Caches a translation that was just walked; null when the page must not be cached for `access`.
std::uint8_t* Mmu::fill(View& view, LinearAddress a, Access access,
                        const Translation& translation) {
  if (watching_ && page_has_watchpoint(a)) return nullptr;
  keys_in_use_[translation.user_page] |= 3u << (2 * translation.key);
  const bool write = access.kind == AccessKind::kWrite;
  const PhysicalAddress physical = translation.address;
  std::uint8_t* page = memory_.ram_page(physical);
  if (write) {
    if (!page || memory_.watched(physical)) return nullptr;
    maybe_writable_[memory_.ram_page_number(physical)] = true;
  } else if (!page) {
    page = const_cast<std::uint8_t*>(memory_.readable_page(physical));  // ROM, in `read` only
    if (!page) return nullptr;
  }
  view.fill(a, page, physical, write && translation.writable, translation.global,
            translation.page_bytes);
  return page + guest::page_offset(a.value);
}

Checked<std::uint8_t*> Mmu::host_address(LinearAddress a, std::size_t bytes, bool write) {
  ++(write ? counters_.write_misses : counters_.read_misses);
  if (guest::page_offset(a.value) + bytes > guest::kPageBytes) {
    ++counters_.straddled;
    return nullptr;
  }
  const Access access = data_access(write ? AccessKind::kWrite : AccessKind::kRead);
  const auto translation = walk_counted(a, access);
  if (!translation) {
    ++counters_.faulted;
    return tl::unexpected(translation.error());
  }
  std::uint8_t* const host = fill(*selection_.current, a, access, *translation);
  ++(host                                    ? counters_.cached
     : memory_.watched(translation->address) ? counters_.watched
                                             : counters_.not_ram);
  return host;
}

Checked<Translation> Mmu::translate_fetch(LinearAddress a) {
  if (const auto hit = selection_.current->find_fetch(a))
    return Translation{hit->physical_page + guest::page_offset(a.value), hit->page_bytes, false,
                       hit->global};
  auto translation = walk_counted(a, {AccessKind::kExecute, state_.cpl == 3, false});
  if (!translation) return translation;
  translation->writable = false;  // not asked for, and not the same from the cache
  selection_.current->fill_fetch(
      {a, translation->address, translation->page_bytes, translation->global});
  return translation;
}

// --- Slow path
// ------------------------------------------------------------------------------------

Checked<Mmu::Place> Mmu::locate(LinearAddress a, Access access) {
  View& in = view(privilege_of(access));
  if (std::uint8_t* host = access.kind == AccessKind::kWrite ? in.find_write(a) : in.find_read(a))
    return Place{host, {}};
  const auto translation = walk_counted(a, access);
  if (!translation) return tl::unexpected(translation.error());
  return Place{fill(in, a, access, *translation), translation->address};
}

Checked<Mmu::Parts> Mmu::locate_parts(LinearAddress a, std::size_t bytes, Access access) {
  const std::uint64_t in_page = guest::kPageBytes - guest::page_offset(a.value);
  Parts parts{std::min<std::uint64_t>(bytes, in_page), {}, {}};
  RS_ASSIGN(first, locate(a, access));
  parts.first = first;
  if (bytes <= in_page) return parts;
  LinearAddress next = a + in_page;
  // Outside 64-bit code an access at the top of the linear space continues at its bottom.
  if (next.value == std::uint64_t{1} << 32 && !state_.in_64bit_code()) next = {0};
  RS_ASSIGN(second, locate(next, access));
  parts.second = second;
  return parts;
}

void Mmu::copy_out(const Place& place, std::span<std::uint8_t> out) {
  if (place.host)
    guest::copy_bytes(out.data(), place.host, out.size());
  else
    memory_.read_bytes(place.physical, out);
}

void Mmu::copy_in(const Place& place, std::span<const std::uint8_t> in) {
  if (place.host)
    guest::copy_bytes(place.host, in.data(), in.size());
  else
    memory_.write_bytes(place.physical, in);
}

Status Mmu::read(LinearAddress a, std::span<std::uint8_t> out, Access access) {
  ++counters_.slow_reads;
  access.kind = AccessKind::kRead;
  if (guest::page_offset(a.value) + out.size() <= guest::kPageBytes)
    if (const std::uint8_t* host = view(privilege_of(access)).find_read(a)) {
      guest::copy_bytes(out.data(), host, out.size());
      return {};
    }
  RS_ASSIGN(parts, locate_parts(a, out.size(), access));
  if (watching_) note_access(a, out.size(), access);
  copy_out(parts.first, out.first(parts.first_bytes));
  if (parts.first_bytes < out.size()) copy_out(parts.second, out.subspan(parts.first_bytes));
  return {};
}

Status Mmu::write(LinearAddress a, std::span<const std::uint8_t> in, Access access) {
  ++counters_.slow_writes;
  access.kind = AccessKind::kWrite;
  if (guest::page_offset(a.value) + in.size() <= guest::kPageBytes)
    if (std::uint8_t* host = view(privilege_of(access)).find_write(a)) {
      guest::copy_bytes(host, in.data(), in.size());
      return {};
    }
  RS_ASSIGN(parts, locate_parts(a, in.size(), access));
  if (watching_) note_access(a, in.size(), access);
  copy_in(parts.first, in.first(parts.first_bytes));
  if (parts.first_bytes < in.size()) copy_in(parts.second, in.subspan(parts.first_bytes));
  return {};
}

Status Mmu::probe(LinearAddress a, std::size_t bytes, Access access) {
  if (auto parts = locate_parts(a, bytes, access); !parts) return tl::unexpected(parts.error());
  return {};
}

// --- Data breakpoints
// ----------------------------------------------------------------------------------

void Mmu::watch(const Watchpoints& watchpoints) {
  if (watchpoints == watchpoints_) return;
  watchpoints_ = watchpoints;
  watching_ = false;
  for (const Watchpoint& w : watchpoints_) {
    if (w.bytes == 0) continue;
    watching_ = true;
    flush_page(w.start);  // aligned to its size: it never straddles two pages
  }
}

bool Mmu::page_has_watchpoint(LinearAddress a) const {
  for (const Watchpoint& w : watchpoints_)
    if (w.bytes != 0 && guest::page_number(w.start.value) == guest::page_number(a.value))
      return true;
  return false;
}

void Mmu::note_access(LinearAddress a, std::size_t bytes, Access access) {
  if (access.implicit) return;
  const bool write = access.kind == AccessKind::kWrite;
  for (std::size_t i = 0; i < watchpoints_.size(); ++i) {
    const Watchpoint& w = watchpoints_[i];
    if ((write || w.reads) && a.value < w.start.value + w.bytes && w.start.value < a.value + bytes)
      state_.pending_debug |= 1u << i;
  }
}

// --- Dropping
// -------------------------------------------------------------------------------------

template <typename F>
void Mmu::for_each_view(unsigned pcid, F action) {
  for (Space& space : spaces_) {
    if (space.pcid == kNoPcid) return;
    if (pcid != kNoPcid && space.pcid != pcid) continue;
    for (auto& view : space.views)
      if (view) action(*view);
  }
}

void Mmu::flush_all(bool keep_global) {
  ++counters_.full_flushes;
  for_each_view(kNoPcid, [keep_global](View& view) { view.flush(keep_global); });
}

void Mmu::key_rights_changed(bool user_pages, std::uint32_t before, std::uint32_t after) {
  const std::uint32_t taken_away = after & ~before;
  if (!(taken_away & keys_in_use_[user_pages])) return;
  flush_all(false);
  keys_in_use_ = {};
}

void Mmu::flush_pcid(unsigned pcid, bool keep_global) {
  ++counters_.full_flushes;
  for_each_view(pcid, [keep_global](View& view) { view.flush(keep_global); });
}

// A global page is valid in every address space, so it is dropped from every one.
void Mmu::flush_page(LinearAddress a) {
  ++counters_.page_flushes;
  for_each_view(kNoPcid, [a](View& view) { view.flush_page(a); });
}

void Mmu::flush_page_pcid(unsigned pcid, LinearAddress a) {
  ++counters_.page_flushes;
  for_each_view(pcid, [a](View& view) { view.flush_page(a); });
}

void Mmu::flush_jumps() {
  for_each_view(kNoPcid, [](View& view) { view.flush_jumps(); });
}

void Mmu::drop_jump(std::uint64_t page_offset, std::uint64_t host_code) {
  for_each_view(kNoPcid, [&](View& view) { view.drop_jump(page_offset, host_code); });
}

void Mmu::drop_links(std::uint64_t host_code) {
  for_each_view(kNoPcid, [host_code](View& view) { view.drop_links(host_code); });
}

void Mmu::drop_writable(PhysicalAddress page) {
  if (listener_) listener_->became_watched(page);
  const std::uint64_t number = memory_.ram_page_number(page);
  if (number == guest::PhysicalMemory::kNoRam || !maybe_writable_[number]) return;
  for_each_view(kNoPcid, [page](View& view) { view.drop_writable(page); });
  maybe_writable_[number] = false;
}

}  // namespace ringshift::softmmu
