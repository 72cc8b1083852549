// shadowpt/windows.cc - finding what covers an address, and deciding to cover it.
#include "shadowpt/windows.h"

#include <fcntl.h>
#include <unistd.h>
#include <x86intrin.h>

namespace ringshift::shadowpt {
namespace {

using guest::LinearAddress;
using softmmu::kViewUpperGuard;
using softmmu::kViewWindowOffset;
using softmmu::kWindowBytes;
using softmmu::View;

std::uint64_t time_stamp() { return __rdtsc(); }

// What the kernel allows a process; its own default where that cannot be read.
std::uint64_t max_map_count() {
  std::uint64_t count = 0;
  char text[32];
  const int file = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
  const ssize_t bytes = file < 0 ? 0 : read(file, text, sizeof text);
  if (file >= 0) close(file);
  for (ssize_t i = 0; i < bytes && text[i] >= '0' && text[i] <= '9'; ++i)
    count = count * 10 + static_cast<std::uint64_t>(text[i] - '0');
  return count ? count : 65530;
}

}  // namespace

Windows::Windows(softmmu::Mmu& mmu, const WindowOptions& options)
    : mmu_(mmu),
      memory_(mmu.memory()),
      book_(guest::page_number(memory_.ram_bytes()), options.max_windows + kMaxViews,
            options.max_pieces),
      clock_(options.clock ? options.clock : time_stamp),
      max_mappings_(options.max_mappings ? options.max_mappings : max_map_count() / 2),
      max_windows_(options.max_windows) {
  mmu_.set_listener(this);
}

Windows::~Windows() {
  mmu_.set_listener(nullptr);
  for (WindowId id = 1; id < untouched_; ++id) {
    Window& window = book_.window(id);
    if (window.view) {
      drop_all(window);
      if (!window.flat) close_window(window);
    }
    if (!window.flat) release_window(window.host);
    munmap(window.piece_of, kWindowPages * sizeof(PieceId));
  }
  for (const ViewState& state : views_)
    if (state.view) state.view->listener_slot = 0;
}

// --- Finding -------------------------------------------------------------------------------------

Windows::ViewState* Windows::find_state(const View& view) {
  return view.listener_slot ? &views_[view.listener_slot - 1] : nullptr;
}
const Windows::ViewState* Windows::find_state(const View& view) const {
  return view.listener_slot ? &views_[view.listener_slot - 1] : nullptr;
}

Windows::ViewState* Windows::make_state(View& view) {
  if (ViewState* known = find_state(view)) return known;
  for (std::uint32_t i = 0; i < kMaxViews; ++i)
    if (!views_[i].view) {
      views_[i].view = &view;
      view.listener_slot = i + 1;
      return &views_[i];
    }
  return nullptr;
}

WindowId Windows::find_window(const ViewState& state, LinearAddress a) const {
  const bool flat = !mmu_.state().in_64bit_code();
  for (WindowId id = state.first; id; id = book_.window(id).next) {
    const Window& window = book_.window(id);
    if (window.flat == flat && (flat || window.guest_base == (a.value & ~(kWindowBytes - 1))))
      return id;
  }
  return 0;
}

bool Windows::reaches(LinearAddress a) const {
  return mmu_.state().in_64bit_code() ? guest::is_canonical(a.value) : a.value < kWindowBytes;
}

bool Windows::covers(const Window& window, std::uint32_t page, bool write) const {
  const Piece* piece = book_.at(window, page);
  return piece && (piece->writable || !write);
}

bool Windows::covered(const View& view, LinearAddress a, bool write) const {
  const ViewState* state = find_state(view);
  if (!state || !reaches(a)) return false;
  const WindowId id = find_window(*state, a);
  return id && covers(book_.window(id), page_in_window(a), write);
}

std::optional<LinearAddress> Windows::linear_of(const View& view, const void* host) const {
  if (!view.has_windows()) return std::nullopt;
  const auto at = reinterpret_cast<std::uint64_t>(host);
  constexpr std::uint64_t kBelow =
      kViewWindowOffset - softmmu::kWindowTableOffset - softmmu::kWindowTableBytes;
  const std::uint64_t in_flat = at - reinterpret_cast<std::uint64_t>(view.flat_window());
  if (in_flat + kBelow < kBelow + kWindowBytes + kViewUpperGuard)
    return LinearAddress{in_flat & (kWindowBytes - 1)};
  const ViewState* state = find_state(view);
  if (!state) return std::nullopt;
  for (WindowId id = state->first; id; id = book_.window(id).next) {
    const Window& window = book_.window(id);
    const std::uint64_t offset = at - reinterpret_cast<std::uint64_t>(window.host);
    if (!window.flat && offset + kWindowBytes < 3 * kWindowBytes)
      return LinearAddress{window.guest_base + offset};
  }
  return std::nullopt;
}

std::uint64_t Windows::mappings() const {
  // Each window's reservation and table of pages.
  return book_.borders() + 2 * (open_windows_ + reserved_windows_);
}

// --- Covering ------------------------------------------------------------------------------------

bool Windows::cover(View& view, LinearAddress a, bool write) {
  if (&view != &mmu_.current() || !view.has_windows() || !reaches(a)) return false;
  ViewState* state = make_state(view);
  if (!state) return false;
  const std::uint32_t page = page_in_window(a);
  const WindowId id = find_window(*state, a);
  Window* window = id ? &book_.window(id) : nullptr;
  if (window) {
    window->last_use = ++uses_;
    if (covers(*window, page, write)) return true;
  }
  if (!state->credit.allows(clock_())) {
    ++counters_.refused;
    return false;
  }
  if (!window) window = open_window(*state, a);
  if (!window || !make_room(*window)) return false;
  const auto run = choose_run(a, write, *window);
  if (!run) return false;
  if (const Piece* old = book_.at(*window, page)) {
    const bool same_frame = run->range.pages() == 1 && old->frame_at(page) == run->frame;
    const PageRange gone = book_.remove(*window, {page, page + 1});
    if (same_frame && run->writable && gone.pages() == 1 && allow_writes(*window, *run))
      return true;
    unmap(*window, gone);  // an older translation of the page
  }
  return map_run(*window, *run) && covers(*window, page, write);
}

}  // namespace ringshift::shadowpt
