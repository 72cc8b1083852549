// shadowpt/rooms.cc - host address space for windows, and who gives way when there are too many
// mappings.
#include "shadowpt/windows.h"

namespace ringshift::shadowpt {
namespace {

using guest::LinearAddress;
using softmmu::kWindowBytes;

// What one run may take: a mapping and a piece for each watched stretch and what is between.
constexpr std::uint32_t kRunMappings = 64;
constexpr std::uint32_t kRunPieces = 128;

PieceId* new_page_table() {
  void* const memory = mmap(nullptr, kWindowPages * sizeof(PieceId), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<PieceId*>(memory);
}

}  // namespace

// An unused window with a table of pages, and unless `flat` with host space of its own.
WindowId Windows::take_window(bool flat) {
  if (!flat && !closed_ && reserved_windows_ == max_windows_)
    if (const WindowId id = least_recent(nullptr, true)) evict(book_.window(id));
  if (!flat && closed_) {
    const WindowId id = closed_;
    closed_ = book_.window(id).next;
    return id;
  }
  if (untouched_ > book_.max_windows() || (!flat && reserved_windows_ == max_windows_)) return 0;
  Window& window = book_.window(untouched_);
  if (!window.piece_of) window.piece_of = new_page_table();
  if (!flat && window.piece_of) window.host = reserve_window();
  if (!window.piece_of || (!flat && !window.host)) {
    ++counters_.failed;
    return 0;
  }
  reserved_windows_ += !flat;
  return untouched_++;
}

Window* Windows::open_window(ViewState& state, LinearAddress a) {
  const bool flat = !mmu_.state().in_64bit_code();
  const WindowId id = take_window(flat);
  if (!id) return nullptr;
  Window& window = book_.window(id);
  window.view = state.view;
  window.flat = flat;
  window.last_use = ++uses_;
  window.next = state.first;
  state.first = id;
  if (flat) {
    ++open_windows_;
    window.guest_base = 0;
    window.host = state.view->flat_window();
  } else {
    window.guest_base = a.value & ~(kWindowBytes - 1);
    state.view->window_delta()[softmmu::window_index(a.value)] =
        reinterpret_cast<std::uint64_t>(window.host) - window.guest_base;
  }
  return &window;
}

// It is empty and not flat; its host space is kept for the next one.
void Windows::close_window(Window& window) {
  const std::size_t index = softmmu::window_index(window.guest_base);
  window.view->window_delta()[index] = softmmu::unused_window_delta(index);
  const WindowId id = book_.id_of(window);
  WindowId* link = &find_state(*window.view)->first;
  while (*link != id) link = &book_.window(*link).next;
  *link = window.next;
  window.view = nullptr;
  window.next = closed_;
  closed_ = id;
}

WindowId Windows::least_recent(const Window* keep, bool only_closable) const {
  WindowId found = 0;
  for (WindowId id = 1; id < untouched_; ++id) {
    const Window& window = book_.window(id);
    if (!window.view || &window == keep) continue;
    if (only_closable ? window.flat : window.empty()) continue;
    if (!found || window.last_use < book_.window(found).last_use) found = id;
  }
  return found;
}

void Windows::evict(Window& window) {
  ++counters_.evictions;
  drop_all(window);
  if (!window.flat) close_window(window);
}

// For one more run in `keep`, which gives way last and stays open.
bool Windows::make_room(Window& keep) {
  const auto enough = [this] {
    return mappings() + kRunMappings <= max_mappings_ && book_.free_pieces() >= kRunPieces;
  };
  while (!enough()) {
    const WindowId id = least_recent(&keep, false);
    // A window with half of all mappings is too much of one thing.
    if (id && keep.borders < max_mappings_ / 2) {
      evict(book_.window(id));
      continue;
    }
    if (keep.empty()) return false;
    ++counters_.evictions;
    drop_all(keep);
  }
  return true;
}

}  // namespace ringshift::shadowpt
