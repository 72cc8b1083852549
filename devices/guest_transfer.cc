// devices/guest_transfer.cc - RAM in place, or a copy.
#include "devices/guest_transfer.h"

#include <algorithm>
#include <utility>

namespace ringshift::devices {
namespace {

// Appends the host's view of a range of plain RAM; false when it is not that.
bool append_ram(guest::PhysicalMemory& memory, const GuestRange& range,
                std::vector<BlockPiece>& pieces) {
  std::uint64_t at = range.start, left = range.bytes;
  while (left != 0) {
    std::uint8_t* page = memory.ram_page({at});
    if (!page) return false;
    const std::uint64_t offset = guest::page_offset(at);
    const std::size_t bytes = std::min(left, guest::kPageBytes - offset);
    std::uint8_t* const host = page + offset;
    if (!pieces.empty() && pieces.back().data + pieces.back().bytes == host)
      pieces.back().bytes += bytes;
    else
      pieces.push_back({host, bytes});
    at += bytes;
    left -= bytes;
  }
  return true;
}

}  // namespace

GuestTransfer::GuestTransfer(guest::PhysicalMemory& memory, std::vector<GuestRange> ranges,
                             Direction direction)
    : memory_(memory), ranges_(std::move(ranges)), direction_(direction) {
  bool in_place = true;
  for (const GuestRange& range : ranges_) {
    bytes_ += range.bytes;
    in_place = in_place && append_ram(memory_, range, pieces_);
  }
  if (in_place) return;
  copy_.resize(bytes_);
  pieces_ = {{copy_.data(), copy_.size()}};
  if (direction_ == Direction::kToGuest) return;
  std::size_t at = 0;
  for (const GuestRange& range : ranges_) {
    memory_.read_bytes({range.start}, std::span(copy_).subspan(at, range.bytes));
    at += range.bytes;
  }
}

void GuestTransfer::finish() {
  if (direction_ == Direction::kFromGuest) return;
  std::size_t at = 0;
  for (const GuestRange& range : ranges_) {
    if (copy_.empty())
      memory_.report_transfer({range.start}, range.bytes);
    else
      memory_.write_bytes({range.start}, std::span(copy_).subspan(at, range.bytes));
    at += range.bytes;
  }
}

}  // namespace ringshift::devices
