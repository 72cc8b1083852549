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

class LockedMmio final : public devices::MmioHandler {
 public:
  explicit LockedMmio(DeviceMutex& mutex) : mutex_(mutex) {}
  // nullptr: nobody answers.
  void set_target(devices::MmioHandler* target) { target_ = target; }

  std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override {
    std::lock_guard lock(mutex_);
    return target_ ? target_->mmio_read(offset, size) : ~std::uint64_t{0};
  }
  void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override {
    std::lock_guard lock(mutex_);
    if (target_) target_->mmio_write(offset, size, value);
  }

 private:
  DeviceMutex& mutex_;
  devices::MmioHandler* target_ = nullptr;
};

}  // namespace ringshift::runtime
