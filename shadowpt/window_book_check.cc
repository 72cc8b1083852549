// shadowpt/window_book_check.cc - whether the books of the windows contradict themselves.
#include "shadowpt/window_book.h"

namespace ringshift::shadowpt {

const char* WindowBook::check(const Window& window) const {
  std::uint32_t borders = 0, large = 0, counted = 0;
  for (const bool global : {false, true}) {
    PieceId previous = 0;
    for (PieceId id = window.side[global].first; id; id = pieces_[id].next_in_window) {
      const Piece& piece = pieces_[id];
      if (piece.previous_in_window != previous) return "a broken list of a window";
      if (&windows_[piece.window] != &window) return "a piece of another window";
      if (piece.global != global) return "a piece on the wrong side";
      if (piece.pages == 0 || piece.first + piece.pages > kWindowPages) return "a piece's size";
      if (piece.frame >> kChunkShift != (piece.frame + piece.pages - 1) >> kChunkShift)
        return "a piece in two chunks of RAM";
      const PageRange used = window.side[global].used;
      if (piece.first < used.begin || piece.range().end > used.end)
        return "a piece that a flush would miss";
      for (std::uint32_t i = 0; i < piece.pages; ++i) {
        if (window.piece_of[piece.first + i] != id) return "a page that belongs to another piece";
        if (piece.writable && !maybe_writable(piece.frame + i))
          return "a writable frame that became_watched() would miss";
      }
      // What follows a piece begins its own mapping, if anything follows.
      borders += is_border(window, piece.first);
      borders += piece.range().end == kWindowPages || !window.piece_of[piece.range().end];
      large += piece.page_shift != 12;
      previous = id;
    }
  }
  for (const std::uint16_t count : window.large) counted += count;
  for (const std::uint16_t count : window.huge) counted += count;
  if (borders != window.borders) return "a wrong number of borders";
  if (counted != large) return "a wrong number of large pages";
  return nullptr;
}

const char* WindowBook::check_pages(const Window& window) const {
  for (std::uint32_t page = 0; page < kWindowPages; ++page) {
    const PieceId id = window.piece_of[page];
    if (!id) continue;
    const Piece& piece = pieces_[id];
    if (&windows_[piece.window] != &window || !piece.range().holds(page))
      return "a page of a piece that is elsewhere";
  }
  return nullptr;
}

const char* WindowBook::check_chunks() const {
  std::uint32_t listed = 0;
  std::uint64_t pages = 0;
  for (std::size_t chunk = 0; chunk < chunk_first_.size(); ++chunk) {
    PieceId previous = 0;
    for (PieceId id = chunk_first_[chunk]; id; id = pieces_[id].next_in_chunk) {
      const Piece& piece = pieces_[id];
      if (piece.previous_in_chunk != previous) return "a broken list of a chunk";
      if (piece.frame >> kChunkShift != chunk) return "a piece in the wrong chunk";
      ++listed;
      pages += piece.pages;
      previous = id;
    }
  }
  if (listed != used_pieces_) return "a piece in no chunk";
  if (pages != mapped_pages_) return "a wrong number of mapped pages";
  return nullptr;
}

}  // namespace ringshift::shadowpt
