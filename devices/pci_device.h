// devices/pci_device.h - the base of every PCI function: configuration space, BARs, INTx.
// A device owns its configuration space and its register handlers; the host bridge finds it by slot
// and, through its windows, by current address. A device never knows its slot or its interrupt
// wiring.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "devices/device.h"

namespace ringshift::devices {

// PCI Local Bus Specification "Configuration Space Header".
namespace pci {
inline constexpr unsigned kConfigBytes = 256, kBarCount = 6;
inline constexpr std::uint8_t kVendorId = 0x00, kDeviceId = 0x02, kCommand = 0x04, kStatus = 0x06,
                              kRevision = 0x08, kProgrammingInterface = 0x09, kClass = 0x0a,
                              kHeaderType = 0x0e, kBar0 = 0x10, kSubsystemVendor = 0x2c,
                              kSubsystem = 0x2e, kInterruptLine = 0x3c, kInterruptPin = 0x3d;
inline constexpr std::uint16_t kCommandIo = 1, kCommandMemory = 2, kCommandMaster = 4,
                               kCommandParity = 0x40, kCommandSerr = 0x100,
                               kCommandInterruptDisable = 0x400;
inline constexpr std::uint8_t kMultifunction = 0x80;
}  // namespace pci

struct PciIdentity {
  std::uint16_t vendor = 0, device = 0;
  std::uint32_t class_code = 0;  // class, subclass, programming interface
  std::uint8_t revision = 0;
  std::uint16_t subsystem_vendor = 0, subsystem = 0;
};

// A range of addresses that a device answers now.
struct PciWindow {
  std::uint32_t base = 0, bytes = 0;
  PortHandler* ports = nullptr;   // I/O space
  MmioHandler* memory = nullptr;  // memory space
  bool contains(std::uint64_t address) const { return address - base < bytes; }
};

class PciDevice {
 public:
  explicit PciDevice(const PciIdentity& identity);
  virtual ~PciDevice() = default;
  PciDevice(const PciDevice&) = delete;
  PciDevice& operator=(const PciDevice&) = delete;

  // size 1, 2 or 4; [offset, offset + size) lies inside the space.
  std::uint32_t config_read(std::uint8_t offset, unsigned size) const;
  void config_write(std::uint8_t offset, unsigned size, std::uint32_t value);

  // Before a guest reads [offset, offset + size): what is there may be a way to something else.
  virtual void before_config_read(std::uint8_t, unsigned) {}

  // Back to the state after power-on; an override calls this one too.
  virtual void reset();

  // The window that holds the address now, in I/O or memory space.
  std::optional<PciWindow> find_ports(std::uint16_t port) const;
  std::optional<PciWindow> find_memory(std::uint64_t address) const;

  // What firmware needs to know to place a BAR: its size, 0 when there is none.
  std::uint32_t bar_bytes(unsigned index) const { return bars_.at(index).bytes; }
  bool bar_is_ports(unsigned index) const { return bars_.at(index).ports != nullptr; }
  unsigned interrupt_pin() const { return config_[pci::kInterruptPin]; }  // 1 to 4, 0: none

  // Where the interrupt pin leads; set by the host bridge when the device is attached.
  void connect_interrupt(std::function<void(bool)> pin) { interrupt_ = std::move(pin); }

 protected:
  // Sets bytes of the power-on configuration, and which of their bits the guest may write.
  void define(std::uint8_t offset, unsigned size, std::uint32_t value, std::uint32_t writable = 0);
  // Bits that a guest's 1 clears.
  void define_write_one_to_clear(std::uint8_t offset, unsigned size, std::uint32_t bits);

  // `bytes` is a power of two, at least 4 for ports and 16 for memory.
  void add_port_bar(unsigned index, std::uint32_t bytes, PortHandler& handler);
  void add_memory_bar(unsigned index, std::uint32_t bytes, MmioHandler& handler);
  void set_interrupt_pin(unsigned pin) { define(pci::kInterruptPin, 1, pin); }

  // The level of the device's own interrupt condition; the pin also obeys the command register.
  void set_interrupt(bool level);

  // Called after the guest wrote [offset, offset + size).
  virtual void config_written(std::uint8_t offset, unsigned size);
  // Ports that are decoded in another way than by a BAR.
  virtual std::optional<PciWindow> extra_ports() const { return std::nullopt; }

  std::uint32_t config(std::uint8_t offset, unsigned size) const;
  void set_config(std::uint8_t offset, unsigned size, std::uint32_t value);

 private:
  struct Bar {
    std::uint32_t bytes = 0;
    PortHandler* ports = nullptr;
    MmioHandler* memory = nullptr;
  };
  void define_bar(unsigned index, std::uint32_t bytes, std::uint32_t type);
  PciWindow bar_window(unsigned index) const;
  void update_interrupt();

  using Space = std::array<std::uint8_t, pci::kConfigBytes>;
  Space config_{}, power_on_{}, writable_{}, clearable_{};
  std::array<Bar, pci::kBarCount> bars_{};
  std::function<void(bool)> interrupt_;
  bool interrupt_level_ = false, pin_level_ = false;
};

}  // namespace ringshift::devices
