// devices/pci_device.cc - configuration space, BAR decoding and INTx of a PCI function.
#include "devices/pci_device.h"

namespace ringshift::devices {
namespace {
constexpr std::uint8_t kStatusInterrupt = 0x08;  // low byte of the status register
constexpr std::uint32_t kStatusErrors = 0xf900;  // write one to clear
constexpr std::uint32_t kPortBar = 1, kMemoryBar = 0;
}  // namespace

PciDevice::PciDevice(const PciIdentity& identity) {
  define(pci::kVendorId, 2, identity.vendor);
  define(pci::kDeviceId, 2, identity.device);
  define(pci::kCommand, 2, 0,
         pci::kCommandIo | pci::kCommandMemory | pci::kCommandMaster | pci::kCommandParity |
             pci::kCommandSerr | pci::kCommandInterruptDisable);
  define_write_one_to_clear(pci::kStatus, 2, kStatusErrors);
  define(pci::kRevision, 4, identity.class_code << 8 | identity.revision);
  define(pci::kSubsystemVendor, 2, identity.subsystem_vendor);
  define(pci::kSubsystem, 2, identity.subsystem);
  define(pci::kInterruptLine, 1, 0, 0xff);
  define(0x0c, 1, 0, 0xff);  // cache line size
}

void PciDevice::define(std::uint8_t offset, unsigned size, std::uint32_t value,
                       std::uint32_t writable) {
  for (unsigned i = 0; i < size; ++i) {
    const auto at = static_cast<std::size_t>(offset) + i;
    config_.at(at) = power_on_.at(at) = static_cast<std::uint8_t>(value >> (8 * i));
    writable_.at(at) = static_cast<std::uint8_t>(writable >> (8 * i));
  }
}

void PciDevice::define_write_one_to_clear(std::uint8_t offset, unsigned size, std::uint32_t bits) {
  for (unsigned i = 0; i < size; ++i)
    clearable_.at(std::size_t{offset} + i) = static_cast<std::uint8_t>(bits >> (8 * i));
}

// A size of 2^n makes the low n address bits read-only zeros: that is how a guest sizes a BAR.
void PciDevice::define_bar(unsigned index, std::uint32_t bytes, std::uint32_t type) {
  define(static_cast<std::uint8_t>(pci::kBar0 + 4 * index), 4, type, ~(bytes - 1));
}

void PciDevice::add_port_bar(unsigned index, std::uint32_t bytes, PortHandler& handler) {
  bars_.at(index) = {bytes, &handler, nullptr};
  define_bar(index, bytes, kPortBar);
}

void PciDevice::add_memory_bar(unsigned index, std::uint32_t bytes, MmioHandler& handler) {
  bars_.at(index) = {bytes, nullptr, &handler};
  define_bar(index, bytes, kMemoryBar);
}

std::uint32_t PciDevice::config(std::uint8_t offset, unsigned size) const {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < size; ++i)
    value |= std::uint32_t{config_.at(std::size_t{offset} + i)} << (8 * i);
  return value;
}

void PciDevice::set_config(std::uint8_t offset, unsigned size, std::uint32_t value) {
  for (unsigned i = 0; i < size; ++i)
    config_.at(std::size_t{offset} + i) = static_cast<std::uint8_t>(value >> (8 * i));
}

std::uint32_t PciDevice::config_read(std::uint8_t offset, unsigned size) const {
  return config(offset, size);
}

void PciDevice::config_write(std::uint8_t offset, unsigned size, std::uint32_t value) {
  for (unsigned i = 0; i < size; ++i) {
    const auto at = std::size_t{offset} + i;
    const auto byte = static_cast<std::uint8_t>(value >> (8 * i));
    std::uint8_t& stored = config_.at(at);
    stored = static_cast<std::uint8_t>((stored & ~writable_[at]) | (byte & writable_[at]));
    stored &= static_cast<std::uint8_t>(~(byte & clearable_[at]));
  }
  update_interrupt();
  config_written(offset, size);
}

void PciDevice::config_written(std::uint8_t, unsigned) {}

void PciDevice::reset() {
  config_ = power_on_;
  interrupt_level_ = false;
  update_interrupt();
}

PciWindow PciDevice::bar_window(unsigned index) const {
  const Bar& bar = bars_[index];
  const auto base = config(static_cast<std::uint8_t>(pci::kBar0 + 4 * index), 4) & ~(bar.bytes - 1);
  return {base, bar.bytes, bar.ports, bar.memory};
}

// A base of 0 is a BAR that nobody has placed.
std::optional<PciWindow> PciDevice::find_ports(std::uint16_t port) const {
  if (auto extra = extra_ports(); extra && extra->contains(port)) return extra;
  if (!(config(pci::kCommand, 2) & pci::kCommandIo)) return std::nullopt;
  for (unsigned i = 0; i < pci::kBarCount; ++i) {
    if (!bars_[i].ports) continue;
    const PciWindow window = bar_window(i);
    if (window.base && window.contains(port)) return window;
  }
  return std::nullopt;
}

std::optional<PciWindow> PciDevice::find_memory(std::uint64_t address) const {
  if (!(config(pci::kCommand, 2) & pci::kCommandMemory)) return std::nullopt;
  for (unsigned i = 0; i < pci::kBarCount; ++i) {
    if (!bars_[i].memory) continue;
    const PciWindow window = bar_window(i);
    if (window.base && window.contains(address)) return window;
  }
  return std::nullopt;
}

void PciDevice::set_interrupt(bool level) {
  interrupt_level_ = level;
  update_interrupt();
}

void PciDevice::update_interrupt() {
  std::uint8_t& status = config_[pci::kStatus];
  status = static_cast<std::uint8_t>(interrupt_level_ ? status | kStatusInterrupt
                                                      : status & ~kStatusInterrupt);
  const bool level =
      interrupt_level_ && !(config(pci::kCommand, 2) & pci::kCommandInterruptDisable);
  if (level == pin_level_) return;
  pin_level_ = level;
  if (interrupt_) interrupt_(level);
}

}  // namespace ringshift::devices
