// devices/pci_testdev.h - QEMU's pci-testdev (1b36:0005): counts writes to memory and I/O BARs.
// Each BAR starts with a header: test number (write), access width, offset, data, count, name.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "devices/pci_device.h"

namespace ringshift::devices {

class PciTestdev final : public PciDevice {
 public:
  static constexpr std::uint32_t kMemoryBytes = 4096, kPortBytes = 256;

  PciTestdev();
  void reset() override;

 private:
  // One BAR's header and test area.
  class Area final : public PortHandler, public MmioHandler {
   public:
    Area(std::string_view prefix, std::uint32_t bytes) : prefix_(prefix), bytes_(bytes) {}
    void reset();
    std::uint32_t port_read(std::uint16_t offset, unsigned size) override;
    void port_write(std::uint16_t offset, unsigned size, std::uint32_t value) override;
    std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override;
    void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override;

   private:
    std::uint8_t read_byte(std::uint64_t offset) const;
    void select(std::uint8_t test);

    std::string_view prefix_;
    std::uint32_t bytes_;
    std::uint8_t test_ = 0;
    std::uint32_t count_ = 0;
  };

  Area memory_{"mmio-", kMemoryBytes};
  Area ports_{"portio-", kPortBytes};
};

}  // namespace ringshift::devices
