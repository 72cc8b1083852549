// devices/pci_host.cc - configuration mechanism 1, reset control, and dispatch of I/O and memory
// BARs.
#include "devices/pci_host.h"

namespace ringshift::devices {
namespace {

// Offsets in the range that starts at CF8H.
constexpr std::uint16_t kAddress = 0, kResetControl = 1, kData = 4;
constexpr std::uint32_t kEnable = 0x80000000, kAddressBits = 0x80ffffff;
constexpr std::uint8_t kResetCpu = 0x04, kResetControlBits = 0x02;

// Where a register is inside the 256 bytes, and which function the address selects.
constexpr unsigned bus_of(std::uint32_t address) { return (address >> 16) & 0xff; }
constexpr unsigned function_index(std::uint32_t address) { return (address >> 8) & 0xff; }
// HW: bits 1:0 of the address are reserved, and bridges ignore them. Virtual ones add them to the
// data port's, and programs that know only those name a byte by the address alone.
constexpr unsigned register_of(std::uint32_t address, unsigned data_byte, unsigned size) {
  const unsigned lenient = (address & 0xff) | data_byte;
  return lenient % 4 + size <= 4 ? lenient : (address & 0xfc) + data_byte;
}

constexpr std::uint8_t kFirstAttributes = 0x59;
constexpr unsigned kAttributeRegisters = 7;

}  // namespace

PciHost::Bridge::Bridge()
    : PciDevice({.vendor = 0x8086,
                 .device = 0x1237,
                 .class_code = 0x060000,
                 .revision = 2,
                 .subsystem_vendor = 0x1af4,
                 .subsystem = 0x1100}) {
  define(pci::kCommand, 2, pci::kCommandMemory | pci::kCommandMaster, pci::kCommandSerr);
  define(pci::kStatus, 2, 0x0280);
  define(kFirstAttributes, 1, 0, 0xf0);
  define(kFirstAttributes + 1, 4, 0, 0xffffffff);
  define(kFirstAttributes + 5, 2, 0, 0xffff);
  // DEVIATION: there is no system management mode, so SMRAM control is stored and read back only.
  define(0x72, 1, 0x02, 0x7f);
}

// "Programmable Attribute Map Registers": register 0 has F0000H to FFFFFH in its high half, each
// other two pieces of 16 KiB from C0000H up.
void PciHost::Bridge::tell_attributes(unsigned from_register, unsigned to_register) {
  constexpr std::uint64_t kPiece = 0x4000, kPieces = 0xc0000, kTop = 0xf0000, kTopBytes = 0x10000;
  constexpr unsigned kReads = 1, kWrites = 2;
  if (!hook) return;
  for (unsigned i = from_register; i < to_register; ++i) {
    const std::uint32_t value = config(static_cast<std::uint8_t>(kFirstAttributes + i), 1);
    const auto tell = [&](std::uint64_t start, std::uint64_t bytes, unsigned half) {
      hook(start, bytes, value >> (4 * half) & kReads, value >> (4 * half) & kWrites);
    };
    if (i == 0) {
      tell(kTop, kTopBytes, 1);
      continue;
    }
    for (const unsigned half : {0u, 1u})
      tell(kPieces + ((i - 1) * 2 + half) * kPiece, kPiece, half);
  }
}

void PciHost::Bridge::config_written(std::uint8_t offset, unsigned size) {
  const unsigned first = std::max<unsigned>(offset, kFirstAttributes);
  const unsigned end = std::min<unsigned>(offset + size, kFirstAttributes + kAttributeRegisters);
  if (first < end) tell_attributes(first - kFirstAttributes, end - kFirstAttributes);
}

void PciHost::Bridge::reset() {
  PciDevice::reset();
  tell_attributes(0, kAttributeRegisters);
}

void PciHost::open_shadow_ram() {
  bridge_.config_write(kFirstAttributes, 1, 0x30);
  for (unsigned i = 1; i < kAttributeRegisters; ++i)
    bridge_.config_write(static_cast<std::uint8_t>(kFirstAttributes + i), 1, 0x33);
}

PciHost::PciHost(PowerControl& power, std::uint64_t memory_base)
    : memory_base_(memory_base),
      power_(power),
      config_ports_(
          [this](std::uint16_t offset, unsigned size) { return read_config_ports(offset, size); },
          [this](std::uint16_t offset, unsigned size, std::uint32_t value) {
            write_config_ports(offset, size, value);
          }),
      ports_(*this),
      memory_(*this) {
  functions_[0] = &bridge_;
  present_.push_back(&bridge_);
}

bool PciHost::attach(unsigned slot, unsigned function, PciDevice& device) {
  if (slot >= kSlots || function >= kFunctions) return false;
  PciDevice*& place = functions_[slot * kFunctions + function];
  if (place) return false;
  place = &device;
  present_.push_back(&device);
  device.connect_interrupt([this, slot, &device](bool level) {
    const unsigned pin = device.interrupt_pin();
    if (router_ && pin) router_->set_interrupt(slot, pin - 1, level);
  });
  return true;
}

PciDevice* PciHost::find(unsigned slot, unsigned function) const {
  return slot < kSlots && function < kFunctions ? functions_[slot * kFunctions + function]
                                                : nullptr;
}

void PciHost::for_each(
    const std::function<void(unsigned slot, unsigned function, PciDevice&)>& visit) const {
  for (unsigned i = 0; i < functions_.size(); ++i)
    if (functions_[i]) visit(i / kFunctions, i % kFunctions, *functions_[i]);
}

void PciHost::reset() {
  config_address_ = 0;
  reset_control_ = 0;
  for (PciDevice* device : present_) device->reset();
}

// CONFIG_ADDRESS is a doubleword; the bytes under it are not its parts but other registers, of
// which only the reset control at CF9H exists.
std::uint32_t PciHost::read_config_ports(std::uint16_t offset, unsigned size) {
  if (offset >= kData) return read_config_data(offset - kData, size);
  if (offset == kAddress && size == 4) return config_address_;
  if (offset == kResetControl && size == 1) return reset_control_;
  return static_cast<std::uint32_t>(all_ones(size));
}

void PciHost::write_config_ports(std::uint16_t offset, unsigned size, std::uint32_t value) {
  if (offset >= kData) {
    write_config_data(offset - kData, size, value);
  } else if (offset == kAddress && size == 4) {
    config_address_ = value & kAddressBits;
  } else if (offset == kResetControl && size == 1) {
    const bool rises = (value & kResetCpu) && !(reset_control_ & kResetCpu);
    reset_control_ = value & (kResetControlBits | kResetCpu);
    if (rises) power_.reset();
  }
}

PciDevice* PciHost::selected() const {
  if (!(config_address_ & kEnable) || bus_of(config_address_) != 0) return nullptr;
  return functions_[function_index(config_address_)];
}

std::uint32_t PciHost::read_config_data(unsigned byte, unsigned size) {
  PciDevice* device = selected();
  if (!device || byte + size > 4) return static_cast<std::uint32_t>(all_ones(size));
  const unsigned at = register_of(config_address_, byte, size);
  device->before_config_read(static_cast<std::uint8_t>(at), size);
  return device->config_read(static_cast<std::uint8_t>(at), size);
}

void PciHost::write_config_data(unsigned byte, unsigned size, std::uint32_t value) {
  PciDevice* device = selected();
  if (!device || byte + size > 4) return;
  const unsigned at = register_of(config_address_, byte, size);
  device->config_write(static_cast<std::uint8_t>(at), size, value);
}

std::optional<PciWindow> PciHost::find_ports(std::uint16_t port) const {
  for (const PciDevice* device : present_)
    if (auto window = device->find_ports(port)) return window;
  return std::nullopt;
}

std::optional<PciWindow> PciHost::find_memory(std::uint64_t address) const {
  for (const PciDevice* device : present_)
    if (auto window = device->find_memory(address)) return window;
  return std::nullopt;
}

// An access that leaves its window goes byte by byte to whatever each byte belongs to.
std::uint32_t PciHost::Ports::port_read(std::uint16_t port, unsigned size) {
  const auto window = host_.find_ports(port);
  if (window && window->contains(std::uint64_t{port} + size - 1))
    return window->ports->port_read(static_cast<std::uint16_t>(port - window->base), size) &
           static_cast<std::uint32_t>(all_ones(size));
  if (size == 1) {
    if (host_.unclaimed_port_) host_.unclaimed_port_({port, 1, false, 0});
    return 0xff;
  }
  std::uint32_t value = 0;
  for (unsigned i = 0; i < size; ++i)
    value |= port_read(static_cast<std::uint16_t>(port + i), 1) << (8 * i);
  return value;
}

void PciHost::Ports::port_write(std::uint16_t port, unsigned size, std::uint32_t value) {
  const auto window = host_.find_ports(port);
  if (window && window->contains(std::uint64_t{port} + size - 1)) {
    window->ports->port_write(static_cast<std::uint16_t>(port - window->base), size, value);
    return;
  }
  if (size == 1) {
    if (host_.unclaimed_port_) host_.unclaimed_port_({port, 1, true, value});
    return;
  }
  for (unsigned i = 0; i < size; ++i)
    port_write(static_cast<std::uint16_t>(port + i), 1, (value >> (8 * i)) & 0xff);
}

std::uint64_t PciHost::Memory::mmio_read(std::uint64_t offset, unsigned size) {
  const std::uint64_t address = host_.memory_base_ + offset;
  const auto window = host_.find_memory(address);
  if (window && window->contains(address + size - 1))
    return window->memory->mmio_read(address - window->base, size) & all_ones(size);
  if (size == 1) {
    if (host_.unclaimed_memory_) host_.unclaimed_memory_({address, 1, false, 0});
    return 0xff;
  }
  std::uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i) value |= mmio_read(offset + i, 1) << (8 * i);
  return value;
}

void PciHost::Memory::mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  const std::uint64_t address = host_.memory_base_ + offset;
  const auto window = host_.find_memory(address);
  if (window && window->contains(address + size - 1)) {
    window->memory->mmio_write(address - window->base, size, value);
    return;
  }
  if (size == 1) {
    if (host_.unclaimed_memory_) host_.unclaimed_memory_({address, 1, true, value});
    return;
  }
  for (unsigned i = 0; i < size; ++i) mmio_write(offset + i, 1, (value >> (8 * i)) & 0xff);
}

}  // namespace ringshift::devices
