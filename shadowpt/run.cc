// shadowpt/run.cc - "map runs, not pages": which neighbours are mapped together with a page.
#include "shadowpt/windows.h"

namespace ringshift::shadowpt {
namespace {

using guest::kPageBytes;
using guest::LinearAddress;
using softmmu::LeafTable;

// Pages are looked for in the aligned block around the one that is asked for. A run of 4 KiB pages
// costs a look at each entry; of large pages, at each 512th.
constexpr std::uint64_t kSmallBlock = std::uint64_t{2} << 20;
constexpr std::uint64_t kLargeBlock = std::uint64_t{32} << 20;
// A longer run leaves its pages to be found by the host's own faults: a populated page costs
// half of such a fault, and most pages of a long run are not used soon.
constexpr std::uint32_t kPopulatePages = 16;
// Stretches of watched pages that a writable run goes on behind, each one host mapping more.
constexpr unsigned kMaxHoles = 16;

// Pages of a window between two addresses of it, the last byte included.
PageRange pages_between(std::uint64_t first, std::uint64_t last) {
  const std::uint32_t begin = static_cast<std::uint32_t>(first) >> guest::kPageShift;
  return {begin, begin + static_cast<std::uint32_t>((last - first) >> guest::kPageShift) + 1};
}

bool follows(const LeafTable& table, const LeafTable::Page& page, std::uint64_t distance,
             std::uint64_t at) {
  const auto other = table.page({at});
  return other && other->start.value == page.start.value + distance &&
         other->writable == page.writable && other->global == page.global;
}

// Neighbours with the same rights whose frames lie as the pages do.
PageRange same_rights(const LeafTable& table, const LeafTable::Page& page, LinearAddress a) {
  const std::uint64_t bytes = table.page_bytes();
  const std::uint64_t block = bytes > kPageBytes || !table.paging() ? kLargeBlock : kSmallBlock;
  const std::uint64_t table_first = table.first().value;
  const std::uint64_t block_first = a.value & ~(block - 1);
  const std::uint64_t lowest = block_first > table_first ? block_first : table_first;
  // Last bytes, not ends: the end of the address space is 0.
  const std::uint64_t table_last = table_first + (table.bytes() - 1);
  const std::uint64_t block_last = block_first + (block - 1);
  const std::uint64_t highest = block_last < table_last ? block_last : table_last;
  if (!table.paging()) return pages_between(lowest, highest);

  const std::uint64_t start = a.value & ~(bytes - 1);
  std::uint64_t first = start, last = start + (bytes - 1);
  while (last < highest && follows(table, page, last + 1 - start, last + 1)) last += bytes;
  while (first > lowest && follows(table, page, first - bytes - start, first - bytes))
    first -= bytes;
  return pages_between(first > lowest ? first : lowest, last < highest ? last : highest);
}

}  // namespace

PageRange Windows::without_watchpoints(PageRange range, LinearAddress a) const {
  if (!mmu_.watching()) return range;
  const std::uint32_t page = page_in_window(a);
  for (const softmmu::Watchpoint& w : mmu_.watchpoints()) {
    if (w.bytes == 0 || (w.start.value ^ a.value) >> 32 != 0) continue;
    const std::uint32_t watched = page_in_window(w.start);
    if (watched == page) return {};
    if (watched > page && watched < range.end) range.end = watched;
    if (watched < page && watched >= range.begin) range.begin = watched + 1;
  }
  return range;
}

// The part around `page` that is plain RAM. Where the guest may write, watched pages are not like
// others: a writable run has few of them, and around a watched page there are only such.
PageRange Windows::usable_ram(PageRange range, std::uint32_t page, std::uint32_t frame,
                              bool writable_leaf) const {
  const bool watched = memory_.uniform_pages(frame, 1).watched;
  unsigned holes = 0;
  for (std::uint32_t at = range.begin; at < range.end;) {
    const auto stretch = memory_.uniform_pages(frame + at - page, range.end - at);
    const auto end = at + static_cast<std::uint32_t>(stretch.pages);
    const bool hole = writable_leaf && stretch.watched != watched;
    if (!stretch.plain || (hole && (watched || ++holes > kMaxHoles))) {
      if (at > page) return {range.begin, at};
      range.begin = end;
      holes = 0;
    }
    at = end;
  }
  return range;
}

std::optional<Run> Windows::choose_run(LinearAddress a, bool write, const Window& window) const {
  const auto table = mmu_.leaf_table(a);
  const auto leaf = table ? table->page(a) : std::nullopt;
  if (!leaf) return std::nullopt;
  const guest::PhysicalAddress physical = leaf->start + (a.value & (table->page_bytes() - 1));
  const std::uint64_t number = memory_.ram_page_number(physical);
  if (number == guest::PhysicalMemory::kNoRam) return std::nullopt;
  const auto kind = memory_.uniform_pages(number, 1);
  const bool writable = leaf->writable && !kind.watched;
  if (!kind.plain || (write && !writable)) return std::nullopt;

  const std::uint32_t page = page_in_window(a);
  PageRange range = without_watchpoints(same_rights(*table, *leaf, a), a);
  if (!range.holds(page)) return std::nullopt;
  // RAM is in two parts, and frames follow each other as pages do only within one.
  const std::uint64_t low = guest::page_number(memory_.low_ram_bytes());
  const std::uint64_t ram_begin = number < low ? 0 : low;
  const std::uint64_t ram_end = number < low ? low : guest::page_number(memory_.ram_bytes());
  if (page - range.begin > number - ram_begin)
    range.begin = page - static_cast<std::uint32_t>(number - ram_begin);
  if (range.end - page > ram_end - number)
    range.end = page + static_cast<std::uint32_t>(ram_end - number);
  // What is mapped already stays.
  std::uint32_t begin = page, end = page + 1;
  while (begin > range.begin && !window.piece_of[begin - 1]) --begin;
  while (end < range.end && !window.piece_of[end]) ++end;
  range = usable_ram({begin, end}, page, static_cast<std::uint32_t>(number), leaf->writable);

  Run run;
  run.range = range;
  run.frame = static_cast<std::uint32_t>(number) - (page - range.begin);
  run.page_shift = static_cast<std::uint8_t>(__builtin_ctzll(table->page_bytes()));
  run.writable = writable;
  run.global = leaf->global;
  return run;
}

// For a page that is mapped read-only, and just taken out of the books.
bool Windows::allow_writes(Window& window, const Run& run) {
  if (!set_host_rights(window, run.range, true)) return false;
  ++counters_.upgrades;
  if (book_.add(window, run)) return true;
  unmap_host(window, run.range);
  return false;
}

bool Windows::map_run(Window& window, const Run& run) {
  if (!map_host(window, run, memory_.memfd(), run.range.pages() <= kPopulatePages)) {
    ++counters_.failed;
    return false;
  }
  ++counters_.maps;
  ++window.side[run.global].maps;
  for (Run part = run; part.range.begin < run.range.end; part.range.begin = part.range.end) {
    part.frame = run.frame + (part.range.begin - run.range.begin);
    part.range.end = run.range.end;
    if (run.writable) {
      const auto stretch = memory_.uniform_pages(part.frame, part.range.pages());
      part.range.end = part.range.begin + static_cast<std::uint32_t>(stretch.pages);
      part.writable = !stretch.watched;
      if (!part.writable && !set_host_rights(window, part.range, false)) continue;
    }
    counters_.pages += part.range.pages();
    if (!book_.add(window, part)) unmap_host(window, part.range);
  }
  return true;
}

}  // namespace ringshift::shadowpt
