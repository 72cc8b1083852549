// devices/virtio_queue.cc - reading the driver's ring and writing the device's.
#include "devices/virtio_queue.h"

#include <algorithm>

namespace ringshift::devices {
namespace {

constexpr std::uint16_t kNext = 1, kWrite = 2, kIndirect = 4;  // of a descriptor
constexpr std::uint16_t kNoInterrupt = 1;                      // of the available ring
constexpr unsigned kDescriptorBytes = 16;
constexpr std::size_t kMostParts = 1024;

}  // namespace

std::uint64_t total_bytes(const std::vector<GuestRange>& ranges) {
  std::uint64_t total = 0;
  for (const GuestRange& range : ranges) total += range.bytes;
  return total;
}

std::vector<GuestRange> slice(const std::vector<GuestRange>& ranges, std::uint64_t from,
                              std::uint64_t bytes) {
  std::vector<GuestRange> result;
  for (const GuestRange& range : ranges) {
    if (bytes == 0) break;
    if (from >= range.bytes) {
      from -= range.bytes;
      continue;
    }
    const std::uint64_t taken = std::min(range.bytes - from, bytes);
    result.push_back({range.start + from, taken});
    bytes -= taken;
    from = 0;
  }
  return result;
}

std::size_t copy_from_guest(guest::PhysicalMemory& memory, const std::vector<GuestRange>& ranges,
                            std::span<std::uint8_t> to) {
  std::size_t done = 0;
  for (const GuestRange& range : ranges) {
    const std::size_t here = std::min<std::uint64_t>(range.bytes, to.size() - done);
    memory.read_bytes({range.start}, to.subspan(done, here));
    done += here;
  }
  return done;
}

std::size_t copy_to_guest(guest::PhysicalMemory& memory, const std::vector<GuestRange>& ranges,
                          std::span<const std::uint8_t> from) {
  std::size_t done = 0;
  for (const GuestRange& range : ranges) {
    const std::size_t here = std::min<std::uint64_t>(range.bytes, from.size() - done);
    memory.write_bytes({range.start}, from.subspan(done, here));
    done += here;
  }
  return done;
}

void VirtioQueue::reset() {
  size = kMostEntries;
  enabled = broken_ = false;
  descriptors = available = used = 0;
  next_available_ = next_used_ = told_used_ = 0;
}

// Follows a chain, into an indirect table at most once. False: it is not a chain.
bool VirtioQueue::collect(VirtioChain& chain) {
  std::uint64_t table = descriptors, bytes = 0;
  std::uint32_t entries = size;
  std::uint32_t index = chain.head;
  bool indirect = false;
  for (std::size_t steps = 0; steps < kMostParts; ++steps) {
    if (index >= entries) return false;
    const auto d = memory_.load<Descriptor>({table + std::uint64_t{index} * kDescriptorBytes});
    if (d.flags & kIndirect) {
      if (indirect || d.bytes % kDescriptorBytes || d.bytes == 0 || (d.flags & kNext)) return false;
      indirect = true;
      table = d.address;
      entries = d.bytes / kDescriptorBytes;
      index = 0;
      continue;
    }
    bytes += d.bytes;
    if (bytes > kMostBytes) return false;
    auto& part = d.flags & kWrite ? chain.writable : chain.readable;
    // What the device reads comes first.
    if (!(d.flags & kWrite) && !chain.writable.empty()) return false;
    if (d.bytes) part.push_back({d.address, d.bytes});
    if (!(d.flags & kNext)) return true;
    index = d.next;
  }
  return false;
}

std::optional<VirtioChain> VirtioQueue::pop() {
  if (!usable()) return std::nullopt;
  const std::uint16_t ahead = load16(available + 2);
  const auto waiting = static_cast<std::uint16_t>(ahead - next_available_);
  if (waiting == 0) return std::nullopt;
  VirtioChain chain;
  chain.head = load16(available + 4 + std::uint64_t{2} * (next_available_ % size));
  ++next_available_;
  if (waiting > size || !collect(chain)) {
    broken_ = true;
    return std::nullopt;
  }
  return chain;
}

void VirtioQueue::push(std::uint16_t head, std::uint32_t written) {
  if (!usable()) return;
  const std::uint64_t entry = used + 4 + std::uint64_t{8} * (next_used_ % size);
  memory_.store<std::uint32_t>({entry}, head);
  memory_.store<std::uint32_t>({entry + 4}, written);
  ++next_used_;
  memory_.store<std::uint16_t>({used + 2}, next_used_);
}

bool VirtioQueue::wants_interrupt(bool event_index) {
  const std::uint16_t before = std::exchange(told_used_, next_used_);
  if (!usable() || before == next_used_) return false;
  if (!event_index) return !(load16(available) & kNoInterrupt);
  // "Used Buffer Notification Suppression": the index that the driver waits for was passed.
  const std::uint16_t event = load16(available + 4 + std::uint64_t{2} * size);
  return static_cast<std::uint16_t>(next_used_ - event - 1) <
         static_cast<std::uint16_t>(next_used_ - before);
}

bool VirtioQueue::enable_notifications(bool event_index) {
  if (!usable()) return false;
  if (event_index)
    memory_.store<std::uint16_t>({used + 4 + std::uint64_t{8} * size}, next_available_);
  return load16(available + 2) != next_available_;
}

}  // namespace ringshift::devices
