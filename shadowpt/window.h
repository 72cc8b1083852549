// shadowpt/window.h - one 4 GiB piece of a guest address space as the host maps it, and the address
// space of the host that it occupies.
#pragma once

#include <cstdint>

#include "softmmu/view.h"

namespace ringshift::shadowpt {

inline constexpr std::uint32_t kWindowPages = std::uint32_t{1} << 20;

using PieceId = std::uint32_t;   // 0: none
using WindowId = std::uint16_t;  // 0: none

// Pages [begin, end) of a window.
struct PageRange {
  std::uint32_t begin = 0, end = 0;

  bool empty() const { return begin >= end; }
  std::uint32_t pages() const { return end - begin; }
  bool holds(std::uint32_t page) const { return page >= begin && page < end; }
  bool meets(PageRange other) const { return begin < other.end && other.begin < end; }
  void include(PageRange other) {
    if (empty()) {
      *this = other;
      return;
    }
    if (other.begin < begin) begin = other.begin;
    if (other.end > end) end = other.end;
  }
};

// Pages with the same right, one behind another in linear space and in guest RAM.
struct Run {
  PageRange range;
  std::uint32_t frame = 0;       // number of the RAM page behind the first one
  std::uint8_t page_shift = 12;  // of the guest's pages
  bool writable = false;
  bool global = false;
};

struct Window {
  // What global pages and others need each.
  struct Side {
    PieceId first;       // list through Piece::next_in_window
    PageRange used;      // holds all of them
    std::uint32_t maps;  // runs that were mapped since this was last empty
  };

  softmmu::View* view;  // null: free
  std::uint8_t* host;   // first byte of the window
  PieceId* piece_of;    // kWindowPages of them
  std::uint64_t guest_base;
  std::uint64_t last_use;
  WindowId next;              // of the same view, or of the free ones
  bool flat;                  // the view's own; else reached by its window_delta()
  std::uint32_t borders;      // pages where the host has to begin another mapping
  Side side[2];               // [global]
  std::uint16_t large[1024];  // by 4 MiB: pieces of 2 and 4 MiB pages
  std::uint16_t huge[4];      // by 1 GiB: pieces of 1 GiB pages

  bool empty() const { return side[0].first == 0 && side[1].first == 0; }
  std::uint8_t* host_page(std::uint32_t page) const { return host + std::uint64_t{page} * 4096; }
};

// --- The host's side. The kernel keeps all registers, so these may run at any time. ---

// 4 GiB with as much guard on either side: what is reached with a displacement from an address in
// the window is inside. Null when the host has no room.
std::uint8_t* reserve_window();
void release_window(std::uint8_t* host);
// Both leave the range without access when the host refuses.
[[nodiscard]] bool map_host(const Window& window, const Run& run, int memfd, bool populate);
[[nodiscard]] bool set_host_rights(const Window& window, PageRange range, bool writable);
void unmap_host(const Window& window, PageRange range);

}  // namespace ringshift::shadowpt
