// shadowpt/window_book.h - which guest RAM page is mapped where: per window by linear page, and the
// other way round by RAM page. Only books; nothing here calls the host or allocates after
// construction, and what cannot be kept for want of room is reported to be unmapped.
//
// A run is kept as pieces. A piece lies in one 2 MiB chunk of guest RAM, whose list finds it by
// frame, and every page of a window says which piece it belongs to.
#pragma once

#include "shadowpt/mapped_array.h"
#include "shadowpt/window.h"

namespace ringshift::shadowpt {

struct Piece {
  std::uint32_t first;  // page in the window
  std::uint32_t pages;
  std::uint32_t frame;
  WindowId window;
  std::uint8_t page_shift;
  bool writable : 1;
  bool global : 1;
  PieceId next_in_window, previous_in_window;
  PieceId next_in_chunk, previous_in_chunk;

  PageRange range() const { return {first, first + pages}; }
  std::uint32_t frame_at(std::uint32_t page) const { return frame + (page - first); }
};

class WindowBook {
 public:
  WindowBook(std::uint64_t ram_pages, std::uint32_t max_windows, std::uint32_t max_pieces);

  // Number 1 .. max_windows(), zero until somebody fills it in.
  Window& window(WindowId id) { return windows_[id]; }
  const Window& window(WindowId id) const { return windows_[id]; }
  WindowId id_of(const Window& window) const {
    return static_cast<WindowId>(&window - &windows_[0]);
  }
  std::uint32_t max_windows() const { return static_cast<std::uint32_t>(windows_.size()) - 1; }

  const Piece* at(const Window& window, std::uint32_t page) const {
    const PieceId id = window.piece_of[page];
    return id ? &pieces_[id] : nullptr;
  }
  const Piece& piece(PieceId id) const { return pieces_[id]; }

  // The range must be free. False when there is no room: then none of it is in the books.
  [[nodiscard]] bool add(Window& window, const Run& run);
  // Takes pages out. The answer holds `range`, and more if a piece could not be split.
  PageRange remove(Window& window, PageRange range);
  // Takes the pages of one side, or all of both, out. Answers with where they were.
  PageRange remove_side(Window& window, bool global);

  // A place where a frame is mapped writable: (window, page); window 0 when there is none.
  struct Place {
    WindowId window = 0;
    std::uint32_t page = 0;
  };
  Place find_writable(std::uint32_t frame) const;
  // False when it is certain that no window maps the frame writable.
  bool maybe_writable(std::uint32_t frame) const {
    return maybe_writable_[frame / 64] >> (frame % 64) & 1;
  }
  void not_writable(std::uint32_t frame) {
    maybe_writable_[frame / 64] &= ~(std::uint64_t{1} << (frame % 64));
  }

  std::uint32_t free_pieces() const { return max_pieces_ - used_pieces_; }
  std::uint32_t used_pieces() const { return used_pieces_; }
  std::uint64_t mapped_pages() const { return mapped_pages_; }
  std::uint64_t borders() const { return borders_; }
  // The first contradiction of a window's books, of its table of pages (slow), of the chunk lists.
  const char* check(const Window& window) const;
  const char* check_pages(const Window& window) const;
  const char* check_chunks() const;

 private:
  static constexpr unsigned kChunkShift = 9;  // 2 MiB of RAM

  PieceId take();
  void link(PieceId id);
  void unlink(PieceId id);
  void count_large(Window& window, const Piece& piece, int change);
  bool is_border(const Window& window, std::uint32_t page) const;
  std::uint32_t borders_at(const Window& window, PageRange range) const;
  void borders_changed(Window& window, std::uint32_t change);
  void note_writable(std::uint32_t frame, std::uint32_t pages);
  std::uint32_t cut(Window& window, PieceId id, PageRange range);
  void drop(Window& window, PieceId id);

  MappedArray<Window> windows_;
  MappedArray<Piece> pieces_;
  MappedArray<PieceId> chunk_first_;
  MappedArray<std::uint64_t> maybe_writable_;
  const std::uint32_t max_pieces_;
  PieceId free_ = 0;       // given back, through next_in_window
  PieceId untouched_ = 1;  // never used from here on
  std::uint32_t used_pieces_ = 0;
  std::uint64_t mapped_pages_ = 0;
  std::uint64_t borders_ = 0;
};

}  // namespace ringshift::shadowpt
