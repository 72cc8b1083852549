// devices/isa_dma.cc - registers of the DMA controllers.
#include "devices/isa_dma.h"

#include <algorithm>

namespace ringshift::devices {
namespace {

// The second eight registers of a controller.
constexpr unsigned kCommand = 8, kRequest = 9, kSingleMask = 10, kMode = 11, kClearFlipFlop = 12,
                   kMasterClear = 13, kClearMask = 14, kAllMask = 15;
constexpr std::uint8_t kAutoInitialize = 0x10, kDown = 0x20, kTransferMask = 0x0c, kToMemory = 0x04;
// Page registers of channels 0 to 3, from port 81H.
constexpr std::array<unsigned, 4> kPageOf{0x87 - 0x81, 0x83 - 0x81, 0x81 - 0x81, 0x82 - 0x81};

}  // namespace

IsaDma::IsaDma()
    : low_ports_(
          [this](std::uint16_t offset) { return read(controllers_[0], offset); },
          [this](std::uint16_t offset, std::uint8_t v) { write(controllers_[0], offset, v); }),
      page_ports_([this](std::uint16_t offset) { return pages_[offset]; },
                  [this](std::uint16_t offset, std::uint8_t v) { pages_[offset] = v; }),
      high_ports_([this](std::uint16_t offset) { return read(controllers_[1], offset / 2u); },
                  [this](std::uint16_t offset, std::uint8_t v) {
                    write(controllers_[1], offset / 2u, v);
                  }) {}

std::uint8_t IsaDma::read(Controller& c, unsigned reg) {
  if (reg < 8) {
    const Channel& channel = c.channels[reg / 2];
    const std::uint16_t value = reg % 2 ? channel.count : channel.address;
    c.high_byte = !c.high_byte;
    return static_cast<std::uint8_t>(c.high_byte ? value : value >> 8);
  }
  if (reg == kCommand) {
    const std::uint8_t status = c.status;
    c.status &= 0xf0;  // terminal counts are read once
    return status;
  }
  return reg == kAllMask ? static_cast<std::uint8_t>(c.mask | 0xf0) : 0;
}

void IsaDma::write(Controller& c, unsigned reg, std::uint8_t value) {
  if (reg < 8) {
    Channel& channel = c.channels[reg / 2];
    std::uint16_t& base = reg % 2 ? channel.base_count : channel.base_address;
    c.high_byte = !c.high_byte;
    base = static_cast<std::uint16_t>(c.high_byte ? (base & 0xff00) | value
                                                  : (base & 0x00ff) | value << 8);
    (reg % 2 ? channel.count : channel.address) = base;
    return;
  }
  const auto bit = static_cast<std::uint8_t>(1u << (value & 3));
  switch (reg) {
    case kCommand:
      c.command = value;
      return;
    case kRequest:
      return;
    case kSingleMask:
      c.mask = static_cast<std::uint8_t>(value & 4 ? c.mask | bit : c.mask & ~bit);
      return;
    case kMode:
      c.channels[value & 3].mode = value;
      return;
    case kClearFlipFlop:
      c.high_byte = false;
      return;
    case kMasterClear:
      c.mask = 0x0f;
      c.status = c.command = 0;
      c.high_byte = false;
      return;
    case kClearMask:
      c.mask = 0;
      return;
    case kAllMask:
      c.mask = value & 0x0f;
      return;
    default:
      return;
  }
}

// DEVIATION: addresses that count down are not supported; no driver uses them.
IsaDma::Window IsaDma::window(unsigned index) const {
  const Controller& c = controllers_[0];
  const Channel& channel = c.channels[index];
  constexpr std::uint8_t kDisabled = 0x04;
  if ((c.mask >> index & 1) || (c.command & kDisabled) || (channel.mode & kDown)) return {};
  const std::uint64_t start = std::uint64_t{pages_[kPageOf[index]]} << 16 | channel.address;
  // The address wraps inside its 64 KiB.
  const std::uint64_t bytes =
      std::min<std::uint64_t>(channel.count + 1u, 0x10000u - channel.address);
  return {{start, bytes}, (channel.mode & kTransferMask) == kToMemory};
}

bool IsaDma::advance(unsigned index, std::uint32_t bytes) {
  Controller& c = controllers_[0];
  Channel& channel = c.channels[index];
  channel.address = static_cast<std::uint16_t>(channel.address + bytes);
  const bool last = bytes > channel.count;
  channel.count = static_cast<std::uint16_t>(channel.count - bytes);
  if (!last) return false;
  c.status |= static_cast<std::uint8_t>(1u << index);
  if (channel.mode & kAutoInitialize) {
    channel.address = channel.base_address;
    channel.count = channel.base_count;
  } else {
    c.mask |= static_cast<std::uint8_t>(1u << index);
  }
  return true;
}

}  // namespace ringshift::devices
