// runtime/locked_mmio.h - a fixed MMIO range of the machine whose handler is exchanged at reset,
// and that is only ever called with the device lock held.
#pragma once

#include <cstdint>
#include <mutex>

#include "devices/bus.h"
#include "devices/device.h"

namespace ringshift::runtime {

// Recursive: a device that reads guest memory (fw_cfg's DMA) may be sent back to another device.
using DeviceMutex = std::recursive_mutex;

// A bus master that is told to write to a device's registers may be told to do so by those very
// registers: what comes from inside another such access is refused, so that none goes round for
// ever.
class LockedMmio final : public devices::MmioHandler {
 public:
  // `depth` is the machine's, shared by all its ranges.
  LockedMmio(DeviceMutex& mutex, unsigned& depth) : mutex_(mutex), depth_(depth) {}
  // nullptr: nobody answers.
  void set_target(devices::MmioHandler* target) { target_ = target; }

  std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override {
    const Entry entry(*this);
    return entry.allowed ? target_->mmio_read(offset, size) : ~std::uint64_t{0};
  }
  void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override {
    const Entry entry(*this);
    if (entry.allowed) target_->mmio_write(offset, size, value);
  }

 private:
  struct Entry {
    explicit Entry(LockedMmio& range)
        : lock(range.mutex_), depth(range.depth_), allowed(++depth == 1 && range.target_) {}
    ~Entry() { --depth; }
    std::lock_guard<DeviceMutex> lock;
    unsigned& depth;
    bool allowed;
  };

  DeviceMutex& mutex_;
  unsigned& depth_;
  devices::MmioHandler* target_ = nullptr;
};

}  // namespace ringshift::runtime
