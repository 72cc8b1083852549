// devices/bus.h - who answers which I/O port or physical address: ranges, width splitting, nobody
// home. Built by the board; PCI devices may move ranges while the machine runs. Every call holds
// the device lock. Never hands a device an access outside its range or wider than it said it can
// take.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "devices/device.h"

namespace ringshift::devices {

// An access that no device answers: reads give all ones, writes are dropped.
struct UnclaimedAccess {
  std::uint64_t address;
  unsigned size;
  bool is_write;
  std::uint64_t value;  // of a write
};
using UnclaimedHook = std::function<void(const UnclaimedAccess&)>;

// Ranges of addresses that do not overlap, sorted.
template <typename Handler>
class RangeMap {
 public:
  struct Range {
    std::uint64_t first, count;
    Handler* handler;
    unsigned widest;  // bytes that the handler takes in one access

    bool holds(std::uint64_t address, unsigned size) const {
      return address >= first && address - first < count && size <= count - (address - first);
    }
  };

  // False when the range is empty, wraps, leaves [0, limit] or overlaps another.
  [[nodiscard]] bool add(const Range& range, std::uint64_t limit) {
    if (range.count == 0 || range.first > limit || range.count - 1 > limit - range.first)
      return false;
    auto next = after(range.first);
    if (next != ranges_.end() && next->first - range.first < range.count) return false;
    if (next != ranges_.begin() && range.first - std::prev(next)->first < std::prev(next)->count)
      return false;
    ranges_.insert(next, range);
    return true;
  }

  // Forgets the range that starts here; false when there is none.
  bool remove(std::uint64_t first) {
    auto range = std::find_if(ranges_.begin(), ranges_.end(),
                              [&](const Range& r) { return r.first == first; });
    if (range == ranges_.end()) return false;
    ranges_.erase(range);
    return true;
  }

  const Range* find(std::uint64_t address) const {
    auto next = std::upper_bound(ranges_.begin(), ranges_.end(), address, starts_after);
    if (next == ranges_.begin()) return nullptr;
    const Range& range = *std::prev(next);
    return address - range.first < range.count ? &range : nullptr;
  }

  // Whether any byte of [address, address + size) belongs to a range.
  bool touches(std::uint64_t address, unsigned size) const {
    if (find(address)) return true;
    auto next = std::upper_bound(ranges_.begin(), ranges_.end(), address, starts_after);
    return next != ranges_.end() && next->first - address < size;
  }

 private:
  static bool starts_after(std::uint64_t address, const Range& range) {
    return address < range.first;
  }
  typename std::vector<Range>::iterator after(std::uint64_t address) {
    return std::upper_bound(ranges_.begin(), ranges_.end(), address, starts_after);
  }

  std::vector<Range> ranges_;
};

// The 64 Ki I/O ports.
class PortBus {
 public:
  // `widest` is 1, 2 or 4: wider accesses reach the handler as several, lowest port first.
  [[nodiscard]] bool add(std::uint16_t first, std::uint32_t count, PortHandler& handler,
                         unsigned widest = 4);
  bool remove(std::uint16_t first) { return ranges_.remove(first); }
  void set_unclaimed_hook(UnclaimedHook hook) { unclaimed_ = std::move(hook); }

  std::uint32_t read(std::uint16_t port, unsigned size) { return read_at(port, size); }
  void write(std::uint16_t port, unsigned size, std::uint32_t value) {
    write_at(port, size, value);
  }

 private:
  // Not 16 bits: the bytes of an access past port 0FFFFH belong to nobody, they do not wrap.
  std::uint32_t read_at(std::uint32_t port, unsigned size);
  void write_at(std::uint32_t port, unsigned size, std::uint32_t value);

  RangeMap<PortHandler> ranges_;
  UnclaimedHook unclaimed_;
};

// A window of physical addresses whose inside may change while the machine runs (PCI BARs): one
// MmioHandler for PhysicalMemory, many behind it. Addresses count from the start of the window.
class MmioBus final : public MmioHandler {
 public:
  explicit MmioBus(std::uint64_t window_bytes) : window_bytes_(window_bytes) {}

  [[nodiscard]] bool add(std::uint64_t first, std::uint64_t count, MmioHandler& handler,
                         unsigned widest = 8);
  bool remove(std::uint64_t first) { return ranges_.remove(first); }
  void set_unclaimed_hook(UnclaimedHook hook) { unclaimed_ = std::move(hook); }

  std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override;
  void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override;

 private:
  std::uint64_t window_bytes_;
  RangeMap<MmioHandler> ranges_;
  UnclaimedHook unclaimed_;
};

}  // namespace ringshift::devices
