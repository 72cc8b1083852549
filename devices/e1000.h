// devices/e1000.h - an Intel 82540EM network card (PCI 8086:100e), with legacy and context
// descriptors and no offloads but those that a driver cannot do without. Facts: Intel "PCI/PCI-X
// Family of Gigabit Ethernet Controllers Software Developer's Manual".
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "devices/byte_ports.h"
#include "devices/net_backend.h"
#include "devices/pci_device.h"
#include "guest/physical_memory.h"

namespace ringshift::devices {

class E1000 final : public PciDevice {
 public:
  E1000(guest::PhysicalMemory& memory, NetBackend& net, const std::array<std::uint8_t, 6>& address);
  ~E1000() override;
  void reset() override;

 private:
  class Registers final : public MmioHandler {
   public:
    explicit Registers(E1000& card) : card_(card) {}
    std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override;
    void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override;

   private:
    E1000& card_;
  };
  // One of the two rings.
  struct Ring {
    std::uint64_t base = 0;
    std::uint32_t bytes = 0, head = 0, tail = 0;
    std::uint32_t entries() const { return bytes / 16; }
  };

  std::uint32_t read(std::uint32_t offset);
  void write(std::uint32_t offset, std::uint32_t value);
  std::uint32_t* ring_register(std::uint32_t offset, Ring*& ring);
  void write_phy(std::uint32_t value);
  void raise(std::uint32_t causes);
  void update_interrupt();
  void reset_card();
  void transmit();
  void take_descriptor(const std::array<std::uint8_t, 16>& descriptor);
  void finish_frame();
  bool receive(std::span<const std::uint8_t> frame);
  bool wanted(std::span<const std::uint8_t> frame) const;
  std::uint16_t eeprom(unsigned word) const;
  void write_eeprom_pins(std::uint32_t value);
  bool eeprom_output() const;

  guest::PhysicalMemory& memory_;
  NetBackend& net_;
  std::array<std::uint8_t, 6> address_;
  Registers registers_{*this};
  FunctionPorts ports_;
  std::uint32_t port_address_ = 0;
  std::map<std::uint32_t, std::uint32_t> stored_;  // registers that only hold what was written
  std::uint32_t control_ = 0, interrupt_cause_ = 0, interrupt_mask_ = 0, eeprom_read_ = 0,
                phy_access_ = 0, receive_control_ = 0, transmit_control_ = 0;
  std::array<std::uint16_t, 32> phy_{};
  // The EEPROM's serial interface: what was shifted in, and the bits that have come out, from the
  // first of the word that was asked for.
  struct {
    std::uint32_t pins = 0, in = 0;
    unsigned bits_in = 0, address = 0;
    int bits_out = 0;
    bool reading = false;
  } serial_;
  Ring receive_, transmit_;
  // Of the frame that is being put together.
  std::vector<std::uint8_t> frame_;
  struct Context {
    std::uint8_t ip_start = 0, ip_offset = 0, tcp_start = 0, tcp_offset = 0, header_bytes = 0;
    std::uint16_t ip_end = 0, tcp_end = 0, segment_bytes = 0;
    bool is_tcp = false, is_ip = false;
  } context_;
  std::uint8_t frame_options_ = 0;
  bool segments_ = false;
};

}  // namespace ringshift::devices
