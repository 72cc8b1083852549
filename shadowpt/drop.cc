// shadowpt/drop.cc - taking mappings away when the views drop what they cache.
#include "shadowpt/windows.h"

namespace ringshift::shadowpt {

using guest::LinearAddress;
using softmmu::kWindowBytes;
using softmmu::View;

void Windows::unmap(Window& window, PageRange range) {
  unmap_host(window, range);
  ++counters_.drops;
}

// The view pays for what is lost, at most `most` runs of it.
void Windows::charge(Window& window, bool global, std::uint32_t most) {
  std::uint32_t& maps = window.side[global].maps;
  const std::uint32_t runs = maps < most ? maps : most;
  maps -= runs;
  if (runs) find_state(*window.view)->credit.charge(runs, clock_());
}

// One call for all, whatever is mapped.
void Windows::drop_all(Window& window) {
  if (window.empty()) return;
  PageRange range = book_.remove_side(window, false);
  if (const PageRange globals = book_.remove_side(window, true); !globals.empty())
    range.include(globals);
  window.side[0].maps = window.side[1].maps = 0;
  unmap(window, range);
}

void Windows::drop_locals(Window& window) {
  Window::Side& side = window.side[0];
  if (!side.first) return;
  charge(window, false, side.maps);
  if (!side.used.meets(window.side[1].used)) {
    unmap(window, book_.remove_side(window, false));
    return;
  }
  // Global pages in between: one call for each stretch without.
  while (side.first) {
    PageRange range = book_.piece(side.first).range();
    const auto local_at = [&](std::uint32_t page) {
      const Piece* piece = page < kWindowPages ? book_.at(window, page) : nullptr;
      return piece && !piece->global ? piece : nullptr;
    };
    while (const Piece* before = range.begin ? local_at(range.begin - 1) : nullptr)
      range.begin = before->first;
    while (const Piece* behind = local_at(range.end)) range.end = behind->range().end;
    unmap(window, book_.remove(window, range));
  }
}

void Windows::flushed(View& view, bool keep_global) {
  ViewState* state = find_state(view);
  if (!state) return;
  for (WindowId id = state->first; id;) {
    Window& window = book_.window(id);
    id = window.next;
    if (keep_global) {
      drop_locals(window);
    } else {
      charge(window, false, window.side[0].maps);
      charge(window, true, window.side[1].maps);
      drop_all(window);
    }
    if (window.empty() && !window.flat) close_window(window);
  }
}

// SDM Vol. 3 "Operations that Invalidate TLBs and Paging-Structure Caches": all of the page that
// holds the address, whatever its size was when it was mapped. Of what is near a large page more
// may go than that.
void Windows::drop_page(Window& window, std::uint32_t page) {
  unsigned shift = 0;
  if (window.huge[page >> 18]) {
    shift = 18;
  } else if (window.large[page >> 10]) {
    const Piece* piece = book_.at(window, page);
    shift = piece && piece->page_shift == 21 ? 9 : 10;
  } else if (!book_.at(window, page)) {
    return;
  }
  const std::uint32_t begin = page >> shift << shift;
  const PageRange range = book_.remove(window, {begin, begin + (1u << shift)});
  unmap(window, range);
  charge(window, false, 1);
}

void Windows::flushed_page(View& view, LinearAddress a) {
  const ViewState* state = find_state(view);
  if (!state) return;
  for (WindowId id = state->first; id; id = book_.window(id).next) {
    Window& window = book_.window(id);
    if (!window.empty() && window.guest_base == (a.value & ~(kWindowBytes - 1)))
      drop_page(window, page_in_window(a));
  }
}

void Windows::became_watched(guest::PhysicalAddress page) {
  const std::uint64_t number = memory_.ram_page_number(page);
  if (number == guest::PhysicalMemory::kNoRam) return;
  const auto frame = static_cast<std::uint32_t>(number);
  if (!book_.maybe_writable(frame)) return;
  for (;;) {
    const WindowBook::Place place = book_.find_writable(frame);
    if (!place.window) break;
    Window& window = book_.window(place.window);
    const Piece& piece = *book_.at(window, place.page);
    Run run;
    run.range = {place.page, place.page + 1};
    run.frame = frame;
    run.page_shift = piece.page_shift;
    run.global = piece.global;
    ++counters_.drops;
    const PageRange gone = book_.remove(window, run.range);
    if (gone.pages() != 1 || !book_.add(window, run))
      unmap_host(window, gone);
    else if (!set_host_rights(window, run.range, false))
      static_cast<void>(book_.remove(window, run.range));
  }
  book_.not_writable(frame);
}

}  // namespace ringshift::shadowpt
