// shadowpt/windows_invariants.cc - compares everything that windows map with fresh page walks.
#include <charconv>

#include "shadowpt/windows.h"

namespace ringshift::shadowpt {
namespace {

using softmmu::AccessKind;

std::string hex(std::uint64_t value) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, 16);
  return "0x" + std::string(digits, end.ptr);
}

}  // namespace

std::string Windows::check_piece(const Window& window, const Piece& piece) const {
  const std::uint64_t page_bytes = std::uint64_t{1} << piece.page_shift;
  for (std::uint32_t page = piece.first; page < piece.range().end;) {
    const guest::LinearAddress linear{window.guest_base + std::uint64_t{page} * 4096};
    const std::string where = "window " + hex(linear.value) + " (view " +
                              std::to_string(static_cast<int>(window.view->privilege())) + "): ";
    const auto read = mmu_.fresh_walk(*window.view, linear, AccessKind::kRead);
    if (!read) return where + "a walk faults with error code " + hex(read.error().error_code);
    if (read->page_bytes != page_bytes) return where + "another page size";
    if (read->global != piece.global) return where + "another G";
    if (memory_.ram_page_number(read->address) != piece.frame_at(page))
      return where + "mapped frame " + hex(piece.frame_at(page)) + ", a walk gives " +
             hex(read->address.value);
    if (piece.writable) {
      const auto write = mmu_.fresh_walk(*window.view, linear, AccessKind::kWrite);
      if (!write || !write->writable) return where + "writable, but not dirty or not permitted";
    }
    // The rest of a large page follows from its first part.
    const std::uint64_t next = (linear.value | (page_bytes - 1)) + 1;
    const std::uint64_t pages = (next - linear.value) / 4096;
    page = pages < piece.range().end - page ? page + static_cast<std::uint32_t>(pages)
                                            : piece.range().end;
  }
  for (std::uint32_t i = 0; i < piece.pages; ++i) {
    const auto kind = memory_.uniform_pages(piece.frame + i, 1);
    if (!kind.plain) return "RAM page " + hex(piece.frame + i) + " is overlaid";
    if (piece.writable && kind.watched)
      return "RAM page " + hex(piece.frame + i) + " is watched, and mapped writable";
  }
  return {};
}

std::string Windows::check_window(const Window& window) const {
  if (const char* text = book_.check(window)) return text;
  const std::uint64_t host = reinterpret_cast<std::uint64_t>(window.host);
  const std::size_t index = softmmu::window_index(window.guest_base);
  if (window.flat ? window.host != window.view->flat_window()
                  : window.view->window_delta()[index] != host - window.guest_base)
    return "a window that translated code does not find";
  for (const softmmu::Watchpoint& w : mmu_.watchpoints())
    if (w.bytes != 0 && window.guest_base == (w.start.value & ~(softmmu::kWindowBytes - 1)) &&
        book_.at(window, page_in_window(w.start)))
      return "a page with a watchpoint is mapped";
  for (const Window::Side& side : window.side)
    for (PieceId id = side.first; id; id = book_.piece(id).next_in_window)
      if (std::string text = check_piece(window, book_.piece(id)); !text.empty()) return text;
  return {};
}

std::string Windows::check_invariants(bool thorough) const {
  if (const char* text = book_.check_chunks()) return text;
  std::uint64_t borders = 0;
  for (WindowId id = 1; id < untouched_; ++id) {
    const Window& window = book_.window(id);
    borders += window.borders;
    if (!window.view && !window.empty()) return "a closed window is not empty";
    if (window.view)
      if (std::string text = check_window(window); !text.empty()) return text;
    if (thorough)
      if (const char* text = book_.check_pages(window)) return text;
  }
  return borders == book_.borders() ? std::string() : "a wrong number of borders in all";
}

std::vector<Windows::Mapped> Windows::mapped() const {
  std::vector<Mapped> result;
  for (WindowId id = 1; id < untouched_; ++id) {
    const Window& window = book_.window(id);
    if (!window.view) continue;
    for (const Window::Side& side : window.side)
      for (PieceId at = side.first; at; at = book_.piece(at).next_in_window) {
        const Piece& p = book_.piece(at);
        result.push_back({window.view,
                          {window.guest_base + std::uint64_t{p.first} * 4096},
                          window.host_page(p.first),
                          {p.range(), p.frame, p.page_shift, p.writable, p.global}});
      }
  }
  return result;
}

}  // namespace ringshift::shadowpt
