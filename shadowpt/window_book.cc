// shadowpt/window_book.cc - adding and removing pieces; what is where, from both ends.
#include "shadowpt/window_book.h"

namespace ringshift::shadowpt {
namespace {

// A loop that the compiler must not turn into memset, which would use SIMD registers.
void fill(PieceId* first, std::uint32_t count, PieceId value) {
  std::uint64_t left = count;
  asm volatile("rep stosl" : "+D"(first), "+c"(left) : "a"(value) : "memory");
}

std::uint32_t smaller(std::uint32_t a, std::uint32_t b) { return a < b ? a : b; }

}  // namespace

WindowBook::WindowBook(std::uint64_t ram_pages, std::uint32_t max_windows, std::uint32_t max_pieces)
    : windows_(max_windows + 1),
      pieces_(max_pieces + 1),
      chunk_first_((ram_pages >> kChunkShift) + 1),
      maybe_writable_(ram_pages / 64 + 1),
      max_pieces_(max_pieces) {}

// --- Lists ---------------------------------------------------------------------------------------

PieceId WindowBook::take() {
  if (used_pieces_ == max_pieces_) return 0;
  ++used_pieces_;
  if (!free_) return untouched_++;
  const PieceId id = free_;
  free_ = pieces_[id].next_in_window;
  return id;
}

void WindowBook::link(PieceId id) {
  Piece& piece = pieces_[id];
  Window::Side& side = windows_[piece.window].side[piece.global];
  piece.previous_in_window = 0;
  piece.next_in_window = side.first;
  if (side.first) pieces_[side.first].previous_in_window = id;
  side.first = id;
  side.used.include(piece.range());

  PieceId& chunk = chunk_first_[piece.frame >> kChunkShift];
  piece.previous_in_chunk = 0;
  piece.next_in_chunk = chunk;
  if (chunk) pieces_[chunk].previous_in_chunk = id;
  chunk = id;
}

void WindowBook::unlink(PieceId id) {
  Piece& piece = pieces_[id];
  Window::Side& side = windows_[piece.window].side[piece.global];
  if (piece.previous_in_window)
    pieces_[piece.previous_in_window].next_in_window = piece.next_in_window;
  else
    side.first = piece.next_in_window;
  if (piece.next_in_window)
    pieces_[piece.next_in_window].previous_in_window = piece.previous_in_window;
  if (!side.first) side.used = {};

  if (piece.previous_in_chunk)
    pieces_[piece.previous_in_chunk].next_in_chunk = piece.next_in_chunk;
  else
    chunk_first_[piece.frame >> kChunkShift] = piece.next_in_chunk;
  if (piece.next_in_chunk) pieces_[piece.next_in_chunk].previous_in_chunk = piece.previous_in_chunk;
}

void WindowBook::count_large(Window& window, const Piece& piece, int change) {
  if (piece.page_shift == 12) return;
  std::uint16_t& count =
      piece.page_shift == 30 ? window.huge[piece.first >> 18] : window.large[piece.first >> 10];
  count = static_cast<std::uint16_t>(count + change);
}

// --- Borders -------------------------------------------------------------------------------------

// Whether the host needs another mapping from `page` on than for the page before it. What lies
// outside of a window is like a page of it that is not mapped.
bool WindowBook::is_border(const Window& window, std::uint32_t page) const {
  const PieceId before = page > 0 ? window.piece_of[page - 1] : 0;
  const PieceId after = page < kWindowPages ? window.piece_of[page] : 0;
  if (before == after) return false;
  if (!before || !after) return true;
  const Piece &a = pieces_[before], &b = pieces_[after];
  return a.writable != b.writable || a.frame_at(page) != b.frame_at(page);
}

// At the ends of a range that is free or in one run.
std::uint32_t WindowBook::borders_at(const Window& window, PageRange range) const {
  return std::uint32_t{is_border(window, range.begin)} + is_border(window, range.end);
}

void WindowBook::borders_changed(Window& window, std::uint32_t change) {
  window.borders += change;
  borders_ += static_cast<std::int32_t>(change);
}

// --- Changes -------------------------------------------------------------------------------------

void WindowBook::note_writable(std::uint32_t frame, std::uint32_t pages) {
  for (std::uint32_t at = frame; at < frame + pages;) {
    const std::uint32_t bit = at % 64, count = smaller(64 - bit, frame + pages - at);
    const std::uint64_t ones = ~std::uint64_t{0} >> (64 - count);
    maybe_writable_[at / 64] |= ones << bit;
    at += count;
  }
}

bool WindowBook::add(Window& window, const Run& run) {
  constexpr std::uint32_t kChunkPages = 1u << kChunkShift;
  const PageRange range = run.range;
  const std::uint32_t last_frame = run.frame + range.pages() - 1;
  if (free_pieces() < (last_frame >> kChunkShift) - (run.frame >> kChunkShift) + 1) return false;
  const std::uint32_t borders = borders_at(window, range);
  for (std::uint32_t page = range.begin, frame = run.frame; page < range.end;) {
    const std::uint32_t pages = smaller(range.end - page, kChunkPages - frame % kChunkPages);
    const PieceId id = take();
    Piece& piece = pieces_[id];
    piece.first = page;
    piece.pages = pages;
    piece.frame = frame;
    piece.window = id_of(window);
    piece.page_shift = run.page_shift;
    piece.writable = run.writable;
    piece.global = run.global;
    link(id);
    count_large(window, piece, 1);
    fill(&window.piece_of[page], pages, id);
    page += pages;
    frame += pages;
  }
  if (run.writable) note_writable(run.frame, range.pages());
  mapped_pages_ += range.pages();
  borders_changed(window, borders_at(window, range) - borders);
  return true;
}

void WindowBook::drop(Window& window, PieceId id) {
  Piece& piece = pieces_[id];
  const std::uint32_t before = borders_at(window, piece.range());
  count_large(window, piece, -1);
  unlink(id);
  fill(&window.piece_of[piece.first], piece.pages, 0);
  mapped_pages_ -= piece.pages;
  borders_changed(window, borders_at(window, piece.range()) - before);
  piece.next_in_window = free_;
  free_ = id;
  --used_pieces_;
}

// Takes a part of a piece out; returns the end of what went.
std::uint32_t WindowBook::cut(Window& window, PieceId id, PageRange range) {
  Piece& piece = pieces_[id];
  const PageRange whole = piece.range();
  PieceId right = 0;
  if (range.begin > whole.begin && range.end < whole.end) {
    right = take();
    if (!right) range.end = whole.end;
  }
  const std::uint32_t before = borders_at(window, range);
  fill(&window.piece_of[range.begin], range.pages(), 0);
  mapped_pages_ -= range.pages();
  if (range.begin > whole.begin) {
    piece.pages = range.begin - whole.begin;
  } else {
    piece.first = range.end;
    piece.frame += range.pages();
    piece.pages = whole.end - range.end;
  }
  if (right) {
    Piece& rest = pieces_[right];
    rest = piece;
    rest.first = range.end;
    rest.pages = whole.end - range.end;
    rest.frame = piece.frame + (range.end - whole.begin);
    link(right);
    count_large(window, rest, 1);
    fill(&window.piece_of[rest.first], rest.pages, right);
  }
  borders_changed(window, borders_at(window, range) - before);
  return range.end;
}

PageRange WindowBook::remove(Window& window, PageRange range) {
  std::uint32_t page = range.begin;
  while (page < range.end) {
    const PieceId id = window.piece_of[page];
    if (!id) {
      ++page;
      continue;
    }
    const PageRange whole = pieces_[id].range();
    const PageRange part{page, smaller(whole.end, range.end)};
    if (part.begin == whole.begin && part.end == whole.end) {
      drop(window, id);
      page = whole.end;
    } else {
      page = cut(window, id, part);
    }
  }
  return {range.begin, page};
}

PageRange WindowBook::remove_side(Window& window, bool global) {
  Window::Side& side = window.side[global];
  const PageRange where = side.used;
  while (side.first) drop(window, side.first);
  return where;
}

// --- The other way round -------------------------------------------------------------------------

WindowBook::Place WindowBook::find_writable(std::uint32_t frame) const {
  for (PieceId id = chunk_first_[frame >> kChunkShift]; id; id = pieces_[id].next_in_chunk) {
    const Piece& piece = pieces_[id];
    if (piece.writable && frame - piece.frame < piece.pages)
      return {piece.window, piece.first + (frame - piece.frame)};
  }
  return {};
}

}  // namespace ringshift::shadowpt
