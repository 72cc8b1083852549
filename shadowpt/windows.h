// shadowpt/windows.h - host-MMU windows of one vCPU: guest RAM mapped into host address space with
// the rights that the guest's page tables give, so that the host's processor does the translation.
//
// A window is like a TLB: only what the architecture allows to be cached now is put in, and it goes
// when the view's own entries go (it listens to the Mmu). Used by the vCPU's thread only, also
// while guest SIMD state is in the host's registers and from a signal handler that interrupted
// translated code: nothing allocates after construction. Must not outlive the Mmu.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "shadowpt/credit.h"
#include "shadowpt/window_book.h"
#include "softmmu/mmu.h"

namespace ringshift::shadowpt {

struct WindowOptions {
  // Host mappings that all windows together may need; 0: half of vm.max_map_count. With several
  // vCPUs each gets its part.
  std::uint64_t max_mappings = 0;
  std::uint32_t max_windows = 512;
  std::uint32_t max_pieces = 1u << 18;
  std::uint64_t (*clock)() = nullptr;  // in place of the time-stamp counter
};

struct WindowCounters {
  std::uint64_t maps = 0, pages = 0;  // runs mapped, and their pages
  std::uint64_t upgrades = 0;         // pages that became writable
  std::uint64_t drops = 0;            // ranges of pages that lost a mapping or a right
  std::uint64_t evictions = 0;        // whole windows, for want of room
  std::uint64_t refused = 0;          // not worth it, see Credit
  std::uint64_t failed = 0;           // the host refused
};

class Windows final : public softmmu::ViewListener {
 public:
  explicit Windows(softmmu::Mmu& mmu, const WindowOptions& options = {});
  ~Windows();
  Windows(const Windows&) = delete;
  Windows& operator=(const Windows&) = delete;

  // The page at `a` was just accessed through the MMU's current view, which must be `view`: maps it
  // and what can go with it. Where to depends on the code: 64-bit code has windows that the view's
  // window_delta() leads to, other code the flat one. True: an access of this kind now reaches the
  // page there. False: it may not be mapped (MMIO, watched, ...) or is not worth it.
  bool cover(softmmu::View& view, guest::LinearAddress a, bool write);
  bool covered(const softmmu::View& view, guest::LinearAddress a, bool write) const;
  // The linear address that an access of translated code meant, by the host address that it
  // faulted at: in a window of this view, or in the guards around it.
  std::optional<guest::LinearAddress> linear_of(const softmmu::View& view, const void* host) const;

  // ViewListener
  void flushed(softmmu::View& view, bool keep_global) override;
  void flushed_page(softmmu::View& view, guest::LinearAddress a) override;
  void became_watched(guest::PhysicalAddress page) override;

  const WindowCounters& counters() const { return counters_; }
  // Host mappings in use now, not less than what the kernel counts.
  std::uint64_t mappings() const;
  std::uint64_t max_mappings() const { return max_mappings_; }
  std::uint64_t mapped_pages() const { return book_.mapped_pages(); }

  // --- For tests ---
  struct Mapped {
    const softmmu::View* view;
    guest::LinearAddress linear;
    std::uint8_t* host;
    Run run;  // range in pages of the window
  };
  std::vector<Mapped> mapped() const;
  // Compares all that is mapped with fresh page walks, and the books with themselves; the first
  // difference as text.
  std::string check_invariants(bool thorough = true) const;

 private:
  static constexpr std::uint32_t kMaxViews = 128;

  struct ViewState {
    softmmu::View* view = nullptr;
    WindowId first = 0;  // list through Window::next
    Credit credit;
  };

  static std::uint32_t page_in_window(guest::LinearAddress a) {
    return static_cast<std::uint32_t>(a.value) >> guest::kPageShift;
  }
  ViewState* find_state(const softmmu::View& view);
  const ViewState* find_state(const softmmu::View& view) const;
  ViewState* make_state(softmmu::View& view);
  // The window that the current kind of code uses for `a`; 0: not open.
  WindowId find_window(const ViewState& state, guest::LinearAddress a) const;
  bool reaches(guest::LinearAddress a) const;
  bool covers(const Window& window, std::uint32_t page, bool write) const;

  // run.cc: which pages go with the one at `a`, and mapping them.
  std::optional<Run> choose_run(guest::LinearAddress a, bool write, const Window& window) const;
  PageRange without_watchpoints(PageRange range, guest::LinearAddress a) const;
  PageRange usable_ram(PageRange range, std::uint32_t page, std::uint32_t frame,
                       bool writable_leaf) const;
  bool map_run(Window& window, const Run& run);
  bool allow_writes(Window& window, const Run& run);

  // rooms.cc: opening, closing and evicting windows.
  Window* open_window(ViewState& state, guest::LinearAddress a);
  WindowId take_window(bool flat);
  void close_window(Window& window);
  bool make_room(Window& keep);
  WindowId least_recent(const Window* keep, bool only_closable) const;
  void evict(Window& window);

  // drop.cc
  void drop_all(Window& window);
  void drop_locals(Window& window);
  void drop_page(Window& window, std::uint32_t page);
  void unmap(Window& window, PageRange range);
  void charge(Window& window, bool global, std::uint32_t most);

  std::string check_window(const Window& window) const;
  std::string check_piece(const Window& window, const Piece& piece) const;

  softmmu::Mmu& mmu_;
  guest::PhysicalMemory& memory_;
  WindowBook book_;
  std::array<ViewState, kMaxViews> views_{};
  std::uint64_t (*const clock_)();
  const std::uint64_t max_mappings_;
  const std::uint32_t max_windows_;  // beside the flat ones
  std::uint32_t open_windows_ = 0, reserved_windows_ = 0;
  std::uint64_t uses_ = 0;  // clock of Window::last_use
  WindowId untouched_ = 1;  // never used from here on
  WindowId closed_ = 0;     // with host space, through Window::next
  WindowCounters counters_;
};

}  // namespace ringshift::shadowpt
