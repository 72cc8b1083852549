// devices/virtio_blk.cc - requests of the block driver.
#include "devices/virtio_blk.h"

#include <algorithm>

namespace ringshift::devices {
namespace {

constexpr std::uint16_t kType = 2;
constexpr std::uint64_t kSegMax = 1 << 2, kReadOnly = 1 << 5, kBlockSize = 1 << 6, kFlush = 1 << 9,
                        kDiscard = 1 << 13, kWriteZeroes = 1 << 14;
constexpr std::uint32_t kSectorBytes = 512, kMostSegments = 254, kMostDiscard = 1 << 22;
constexpr std::uint32_t kIn = 0, kOut = 1, kFlushRequest = 4, kGetId = 8, kDiscardRequest = 11,
                        kWriteZeroesRequest = 13;
constexpr std::uint8_t kOk = 0, kIoError = 1, kUnsupported = 2;
constexpr std::size_t kHeaderBytes = 16, kIdBytes = 20;

std::uint64_t features_of(const BlockDevice& disk) {
  return kSegMax | kBlockSize | kFlush | (disk.read_only() ? kReadOnly : kDiscard | kWriteZeroes);
}

}  // namespace

struct VirtioBlk::Request {
  VirtioChain chain;
  std::uint64_t status_at = 0;
  std::uint32_t written = 1;  // bytes into the guest's buffers, the status among them
  std::unique_ptr<GuestTransfer> transfer;
  std::uint64_t epoch = 0;
};

VirtioBlk::VirtioBlk(guest::PhysicalMemory& memory, BlockDevice& disk, std::string serial)
    : VirtioPci(memory, {kType, 0x010000, 1, features_of(disk)}),
      disk_(disk),
      serial_(std::move(serial)),
      config_(60) {
  const auto put = [this](std::size_t at, std::uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i)
      config_[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
  };
  put(0, disk.bytes() / kSectorBytes, 8);
  put(12, kMostSegments, 4);
  put(20, kSectorBytes, 4);
  put(34, 1, 2);             // queues
  put(36, kMostDiscard, 4);  // discard: sectors, segments, alignment
  put(40, 1, 4);
  put(44, 1, 4);
  put(48, kMostDiscard, 4);  // write zeroes: sectors, segments, may unmap
  put(52, 1, 4);
  put(56, 1, 1);
}

std::uint8_t VirtioBlk::read_config(std::uint32_t offset) const {
  return offset < config_.size() ? config_[offset] : 0;
}

void VirtioBlk::device_reset() { ++*epoch_; }

void VirtioBlk::notified(unsigned) {
  VirtioQueue& q = queue(0);
  if (in_batch_) return;
  in_batch_ = true;
  unsigned chains = 0;
  do {
    while (auto chain = q.pop()) {
      start(std::move(*chain));
      if (++chains > VirtioQueue::kMostChains) q.give_up();
    }
  } while (q.enable_notifications(has_feature(virtio::kEventIndex)));
  in_batch_ = false;
  if (q.broken()) return fail();
  tell_driver(0);
}

void VirtioBlk::finish(const Request& request, std::uint8_t status) {
  memory().store<std::uint8_t>({request.status_at}, status);
  queue(0).push(request.chain.head, request.written);
  if (!in_batch_) tell_driver(0);
}

void VirtioBlk::submit(const std::shared_ptr<Request>& request, BlockRequest block) {
  request->epoch = *epoch_;
  disk_.submit(std::move(block), [this, request, alive = std::weak_ptr(epoch_)](bool worked) {
    const auto epoch = alive.lock();
    if (!epoch || *epoch != request->epoch) return;
    if (request->transfer && worked) request->transfer->finish();
    if (!worked) request->written = 1;
    finish(*request, worked ? kOk : kIoError);
  });
}

void VirtioBlk::start(VirtioChain chain) {
  auto request = std::make_shared<Request>();
  request->chain = std::move(chain);
  auto& readable = request->chain.readable;
  auto& writable = request->chain.writable;
  std::array<std::uint8_t, kHeaderBytes> header{};
  // The last byte that the device may write is the status.
  if (copy_from_guest(memory(), readable, header) != header.size() || writable.empty())
    return fail();
  request->status_at = writable.back().start + writable.back().bytes - 1;
  if (--writable.back().bytes == 0) writable.pop_back();
  const auto type = static_cast<std::uint32_t>(header[0] | header[1] << 8 | header[2] << 16 |
                                               std::uint32_t{header[3]} << 24);
  std::uint64_t sector = 0;
  for (unsigned i = 0; i < 8; ++i) sector |= std::uint64_t{header[8 + i]} << (8 * i);
  switch (type) {
    case kIn:
      return move_data(request, true, sector);
    case kOut:
      return move_data(request, false, sector);
    case kFlushRequest:
      return submit(request, {BlockRequest::Kind::kFlush, 0, {}, 0});
    case kGetId: {
      std::array<std::uint8_t, kIdBytes> id{};
      std::copy_n(serial_.begin(), std::min(serial_.size(), id.size()), id.begin());
      request->written += static_cast<std::uint32_t>(copy_to_guest(memory(), writable, id));
      return finish(*request, kOk);
    }
    case kDiscardRequest:
    case kWriteZeroesRequest:
      return discard(request, type == kWriteZeroesRequest);
    default:
      return finish(*request, kUnsupported);
  }
}

void VirtioBlk::move_data(const std::shared_ptr<Request>& request, bool to_guest,
                          std::uint64_t sector) {
  const auto& readable = request->chain.readable;
  auto ranges =
      to_guest ? request->chain.writable : slice(readable, kHeaderBytes, total_bytes(readable));
  const std::uint64_t bytes = total_bytes(ranges);
  if (bytes % kSectorBytes || sector > disk_.bytes() / kSectorBytes ||
      (!to_guest && disk_.read_only()))
    return finish(*request, kIoError);
  if (bytes == 0) return finish(*request, kOk);
  if (to_guest) request->written += static_cast<std::uint32_t>(bytes);
  request->transfer = std::make_unique<GuestTransfer>(
      memory(), std::move(ranges),
      to_guest ? GuestTransfer::Direction::kToGuest : GuestTransfer::Direction::kFromGuest);
  submit(request, {to_guest ? BlockRequest::Kind::kRead : BlockRequest::Kind::kWrite,
                   sector * kSectorBytes, request->transfer->pieces(), 0});
}

// One segment: sector, count, and flags of which the first allows to unmap.
void VirtioBlk::discard(const std::shared_ptr<Request>& request, bool zeroes) {
  std::array<std::uint8_t, 16> segment{};
  const auto& readable = request->chain.readable;
  const auto ranges = slice(readable, kHeaderBytes, total_bytes(readable));
  if (total_bytes(ranges) != segment.size() || disk_.read_only())
    return finish(*request, kUnsupported);
  copy_from_guest(memory(), ranges, segment);
  const auto number = [&](std::size_t at, unsigned bytes) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < bytes; ++i) value |= std::uint64_t{segment[at + i]} << (8 * i);
    return value;
  };
  const std::uint64_t sector = number(0, 8), count = number(8, 4), flags = number(12, 4);
  if (flags & ~std::uint64_t{1}) return finish(*request, kUnsupported);
  if (count > kMostDiscard || sector > disk_.bytes() / kSectorBytes)
    return finish(*request, kIoError);
  if (count == 0) return finish(*request, kOk);
  const bool unmaps = !zeroes || (flags & 1);
  submit(request, {unmaps ? BlockRequest::Kind::kDiscard : BlockRequest::Kind::kWriteZeroes,
                   sector * kSectorBytes,
                   {},
                   count * kSectorBytes});
}

}  // namespace ringshift::devices
