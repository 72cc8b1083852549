// devices/vga_memory.cc - the ways to video memory: the linear framebuffer, and the window at
// A0000H through which the sequencer and the graphics controller see four planes.
#include <cstring>

#include "devices/vga.h"

namespace ringshift::devices {
namespace {

constexpr unsigned kSetReset = 0, kEnableSetReset = 1, kColorCompare = 2, kRotate = 3, kReadMap = 4,
                   kMode = 5, kMisc = 6, kColorDontCare = 7, kBitMask = 8;
constexpr unsigned kMapMask = 2, kMemoryMode = 4;
constexpr std::uint8_t kChain4 = 0x08, kOddEven = 0x10, kReadCompare = 0x08;

// Bit p of `planes` for every bit of plane p's byte.
constexpr std::uint32_t spread(unsigned planes) {
  std::uint32_t value = 0;
  for (unsigned p = 0; p < 4; ++p)
    if (planes >> p & 1) value |= 0xffu << (8 * p);
  return value;
}
constexpr std::uint32_t in_every_plane(std::uint8_t byte) { return byte * 0x01010101u; }

}  // namespace

// Graphics register 6, bits 3:2: 128 KiB at A0000H, 64 KiB there, 32 KiB at B0000H or at B8000H.
std::optional<std::uint32_t> Vga::window_offset(std::uint64_t offset) const {
  const unsigned map = graphics_[kMisc] >> 2 & 3;
  if (map == 0) return static_cast<std::uint32_t>(offset);
  if (map == 1) {
    if (offset >= 0x10000) return std::nullopt;
    return static_cast<std::uint32_t>(offset + std::uint32_t{dispi(Dispi::kBank)} * 0x10000);
  }
  const std::uint64_t base = map == 2 ? 0x10000 : 0x18000;
  if (offset < base || offset >= base + 0x8000) return std::nullopt;
  return static_cast<std::uint32_t>(offset - base);
}

std::uint32_t Vga::read_planes(std::uint32_t address) {
  std::uint32_t planes = 0;
  const std::size_t at = std::size_t{address} * 4;
  if (at + 4 <= memory_.size()) std::memcpy(&planes, &memory_[at], sizeof planes);
  return planes;
}

std::uint8_t Vga::read_legacy(std::uint64_t offset) {
  const auto window = window_offset(offset);
  if (!window) return 0xff;
  const std::uint32_t address = *window;
  if (sequencer_[kMemoryMode] & kChain4) return address < memory_.size() ? memory_[address] : 0xff;
  // Two bytes of the processor are one address of planes 0 and 1: character and attribute.
  if (graphics_[kMode] & kOddEven) {
    const std::uint32_t plane = (graphics_[kReadMap] & 2) | (address & 1);
    return static_cast<std::uint8_t>(read_planes(address >> 1) >> (8 * plane));
  }
  latch_ = read_planes(address);
  if (!(graphics_[kMode] & kReadCompare))
    return static_cast<std::uint8_t>(latch_ >> (8 * graphics_[kReadMap]));
  // A one for each pixel whose planes, as far as anybody cares, have the color.
  const std::uint32_t differs =
      (latch_ ^ spread(graphics_[kColorCompare])) & spread(graphics_[kColorDontCare]);
  return static_cast<std::uint8_t>(~(differs | differs >> 8 | differs >> 16 | differs >> 24));
}

// What the write mode makes of the processor's byte and the latches, before the map mask.
std::uint32_t Vga::planes_for(std::uint8_t value) const {
  const unsigned mode = graphics_[kMode] & 3;
  if (mode == 1) return latch_;
  const unsigned turn = graphics_[kRotate] & 7;
  const auto rotated = static_cast<std::uint8_t>(value >> turn | value << (8 - turn));
  std::uint32_t bit_mask = in_every_plane(graphics_[kBitMask]);
  std::uint32_t planes;
  if (mode == 0) {
    const std::uint32_t set = spread(graphics_[kEnableSetReset]);
    planes = (in_every_plane(rotated) & ~set) | (spread(graphics_[kSetReset]) & set);
  } else if (mode == 2) {
    planes = spread(value & 15);
  } else {
    bit_mask &= in_every_plane(rotated);
    planes = spread(graphics_[kSetReset]);
  }
  switch (graphics_[kRotate] >> 3 & 3) {
    case 1:
      planes &= latch_;
      break;
    case 2:
      planes |= latch_;
      break;
    case 3:
      planes ^= latch_;
      break;
    default:
      break;
  }
  return (planes & bit_mask) | (latch_ & ~bit_mask);
}

void Vga::write_planes(std::uint32_t address, std::uint8_t value) {
  const std::size_t at = std::size_t{address} * 4;
  if (at + 4 > memory_.size()) return;
  const std::uint32_t written = spread(sequencer_[kMapMask]);
  const std::uint32_t planes = (planes_for(value) & written) | (read_planes(address) & ~written);
  std::memcpy(&memory_[at], &planes, sizeof planes);
}

void Vga::write_legacy(std::uint64_t offset, std::uint8_t value) {
  const auto window = window_offset(offset);
  if (!window) return;
  std::uint32_t address = *window;
  ++version_;
  const unsigned mask = sequencer_[kMapMask];
  if (sequencer_[kMemoryMode] & kChain4) {
    if (address < memory_.size() && (mask >> (address & 3) & 1)) memory_[address] = value;
    return;
  }
  if (graphics_[kMode] & kOddEven) {
    const std::uint32_t plane = (graphics_[kReadMap] & 2) | (address & 1);
    address = (address & ~1u) * 2 + plane;
    if (address < memory_.size() && (mask >> plane & 1)) memory_[address] = value;
    return;
  }
  write_planes(address, value);
}

std::uint64_t Vga::Memory::mmio_read(std::uint64_t offset, unsigned size) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i) value |= std::uint64_t{(vga_.*read_)(offset + i)} << (8 * i);
  return value;
}

void Vga::Memory::mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  for (unsigned i = 0; i < size; ++i)
    (vga_.*write_)(offset + i, static_cast<std::uint8_t>(value >> (8 * i)));
}

std::uint64_t Vga::Linear::mmio_read(std::uint64_t offset, unsigned size) {
  std::uint64_t value = 0;
  std::memcpy(&value, &vga_.memory_[offset], size);
  return value;
}

void Vga::Linear::mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  std::memcpy(&vga_.memory_[offset], &value, size);
  ++vga_.version_;
}

}  // namespace ringshift::devices
