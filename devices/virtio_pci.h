// devices/virtio_pci.h - the PCI transport of virtio devices, of version 1 only ("modern").
// Facts: Virtual I/O Device (VIRTIO) Version 1.1, "Virtio Over PCI Bus".
#pragma once

#include <cstdint>
#include <vector>

#include "devices/pci_device.h"
#include "devices/virtio_queue.h"

namespace ringshift::devices {

namespace virtio {
inline constexpr std::uint64_t kIndirectDescriptors = std::uint64_t{1} << 28,
                               kEventIndex = std::uint64_t{1} << 29,
                               kVersion1 = std::uint64_t{1} << 32;
inline constexpr std::uint8_t kNeedsReset = 0x40;  // device status
}  // namespace virtio

struct VirtioIdentity {
  std::uint16_t type = 0;  // of the device, as the specification numbers them
  std::uint32_t class_code = 0;
  unsigned queues = 1;
  std::uint64_t features = 0;  // beyond those of the transport
};

class VirtioPci : public PciDevice {
 public:
  VirtioPci(guest::PhysicalMemory& memory, const VirtioIdentity& identity);
  void reset() override;

 protected:
  // The driver has put something into a queue.
  virtual void notified(unsigned queue) = 0;
  virtual void device_reset() {}
  virtual void driver_ready() {}
  virtual std::uint8_t read_config(std::uint32_t offset) const = 0;
  virtual void write_config(std::uint32_t, std::uint8_t) {}

  guest::PhysicalMemory& memory() { return memory_; }
  VirtioQueue& queue(unsigned index) { return queues_[index]; }
  bool has_feature(std::uint64_t feature) const { return driver_features_ & feature; }
  // Tells the driver of what was pushed, unless it asked not to be told.
  void tell_driver(unsigned queue);
  void config_changed();
  // The driver broke its side: nothing goes on until it resets the device.
  void fail();
  bool needs_reset() const { return status_ & virtio::kNeedsReset; }

 private:
  class Registers final : public MmioHandler {
   public:
    explicit Registers(VirtioPci& device) : device_(device) {}
    std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override;
    void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override;

   private:
    VirtioPci& device_;
  };
  void before_config_read(std::uint8_t offset, unsigned size) override;
  void config_written(std::uint8_t offset, unsigned size) override;
  bool window_leads_into_bar() const;
  void add_capability(std::uint8_t type, std::uint32_t offset, std::uint32_t bytes,
                      std::uint32_t extra = 0);
  std::uint64_t read_common(std::uint64_t offset);
  void write_common(std::uint64_t offset, unsigned size, std::uint64_t value);
  void write_status(std::uint8_t value);
  void raise(std::uint8_t reason);
  void reset_transport();
  VirtioQueue* selected() {
    return queue_select_ < queues_.size() ? &queues_[queue_select_] : nullptr;
  }

  guest::PhysicalMemory& memory_;
  Registers registers_{*this};
  std::uint64_t features_, driver_features_ = 0;
  std::uint32_t feature_select_ = 0, driver_feature_select_ = 0;
  std::uint16_t queue_select_ = 0;
  std::uint8_t status_ = 0, isr_ = 0, generation_ = 0;
  std::uint8_t next_capability_ = 0x40, last_capability_ = 0x34;
  std::vector<VirtioQueue> queues_;
};

}  // namespace ringshift::devices
