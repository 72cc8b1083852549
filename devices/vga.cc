// devices/vga.cc - the registers of the VGA and of the Bochs extension.
#include "devices/vga.h"

#include <algorithm>

namespace ringshift::devices {
namespace {

// Offsets from 3B0H. The CRTC and the status register are at 3B4H.. or 3D4H.. by bit 0 of the
// miscellaneous register.
namespace port {
constexpr std::uint16_t kAttribute = 0x10, kAttributeRead = 0x11, kMisc = 0x12,
                        kSequencerIndex = 0x14, kSequencer = 0x15, kDacMask = 0x16,
                        kDacReadIndex = 0x17, kDacWriteIndex = 0x18, kDac = 0x19, kFeature = 0x1a,
                        kMiscRead = 0x1c, kGraphicsIndex = 0x1e, kGraphics = 0x1f, kMonoCrtc = 0x04,
                        kColorCrtc = 0x24;
}  // namespace port

constexpr std::uint8_t kColorAddresses = 1;
constexpr std::uint8_t kPaletteAddressSource = 0x20;
constexpr unsigned kCrtcProtected = 7, kVerticalRetraceEnd = 0x11, kOverflow = 7;

namespace enable {
constexpr std::uint16_t kOn = 1, kCapabilities = 2, kDac8Bits = 0x20, kLinear = 0x40,
                        kKeepMemory = 0x80;
}
constexpr std::uint16_t kDispiFirstId = 0xb0c0, kDispiId = 0xb0c5;
constexpr std::uint16_t kMostWidth = 2560, kMostHeight = 1600, kMostBits = 32;

constexpr std::int64_t kFrameNs = 1'000'000'000 / 70, kRetraceNs = kFrameNs / 16,
                       kLineNs = kFrameNs / 449;

}  // namespace

Vga::Vga(Clock& clock)
    : PciDevice({.vendor = 0x1234,
                 .device = 0x1111,
                 .class_code = 0x030000,
                 .revision = 2,
                 .subsystem_vendor = 0x1af4,
                 .subsystem = 0x1100}),
      clock_(clock),
      ports_([this](std::uint16_t offset) { return read_port(offset); },
             [this](std::uint16_t offset, std::uint8_t value) { write_port(offset, value); }),
      dispi_ports_(
          [this](std::uint16_t offset, unsigned) -> std::uint32_t {
            return offset == 0 ? dispi_index_ : read_dispi();
          },
          [this](std::uint16_t offset, unsigned size, std::uint32_t value) {
            if (size == 1) return;
            if (offset == 0)
              dispi_index_ = static_cast<std::uint16_t>(value);
            else
              write_dispi(static_cast<std::uint16_t>(value));
          }),
      memory_(kMemoryBytes) {
  add_memory_bar(0, kMemoryBytes, linear_);
  add_memory_bar(2, 4096, registers_);
  Vga::reset();
}

void Vga::reset() {
  PciDevice::reset();
  crtc_ = {};
  graphics_ = {};
  sequencer_ = {};
  attribute_ = {};
  dac_ = {};
  dispi_ = {};
  dispi_[static_cast<std::size_t>(Dispi::kId)] = kDispiId;
  misc_ = feature_ = 0;
  dac_mask_ = 0xff;
  attribute_index_ = 0;
  attribute_data_ = false;
  ++version_;
}

std::array<std::uint8_t, 3> Vga::palette(unsigned index) const {
  const std::size_t at = std::size_t{index & dac_mask_ & 0xff} * 3;
  const bool wide = dispi(Dispi::kEnable) & enable::kDac8Bits;
  const auto level = [&](std::size_t i) {
    const unsigned v = dac_[at + i];
    return static_cast<std::uint8_t>(wide ? v : (v & 63) << 2 | (v & 63) >> 4);
  };
  return {level(0), level(1), level(2)};
}

// --- Ports ---

// Where the beam is follows guest time; nothing else of the picture does.
std::uint8_t Vga::read_status() {
  attribute_data_ = false;
  const std::int64_t in_frame = clock_.now_ns() % kFrameNs;
  if (in_frame < kRetraceNs) return 0x09;  // vertical retrace, nothing is shown
  return in_frame % kLineNs < kLineNs / 5 ? 0x01 : 0x00;
}

std::uint8_t Vga::read_port(std::uint16_t offset) {
  const std::uint16_t crtc = misc_ & kColorAddresses ? port::kColorCrtc : port::kMonoCrtc;
  if (offset == crtc) return crtc_index_;
  if (offset == crtc + 1) return crtc_index_ < kCrtcCount ? crtc_[crtc_index_] : 0;
  if (offset == crtc + 6) return read_status();
  switch (offset) {
    case port::kAttribute:
      return attribute_data_ ? 0 : attribute_index_;
    case port::kAttributeRead: {
      const unsigned index = attribute_index_ & 0x1f;
      return index < kAttributeCount ? attribute_[index] : 0;
    }
    case port::kMisc:
      return 0;  // input status 0: no interrupt, no switch
    case port::kSequencerIndex:
      return sequencer_index_;
    case port::kSequencer:
      return sequencer_[sequencer_index_ & 7];
    case port::kDacMask:
      return dac_mask_;
    case port::kDacReadIndex:
      return dac_reads_ ? 3 : 0;
    case port::kDacWriteIndex:
      return static_cast<std::uint8_t>(dac_at_ / 3);
    case port::kDac:
      return read_dac();
    case port::kFeature:
      return feature_;
    case port::kMiscRead:
      return misc_;
    case port::kGraphicsIndex:
      return graphics_index_;
    case port::kGraphics:
      return graphics_index_ < graphics_.size() ? graphics_[graphics_index_] : 0;
    default:
      return 0xff;
  }
}

void Vga::write_port(std::uint16_t offset, std::uint8_t value) {
  static constexpr std::array<std::uint8_t, 8> kSequencerBits{0x03, 0x3d, 0x0f, 0x3f,
                                                              0x0e, 0x00, 0x00, 0xff};
  static constexpr std::array<std::uint8_t, 9> kGraphicsBits{0x0f, 0x0f, 0x0f, 0x1f, 0x03,
                                                             0x7b, 0x0f, 0x0f, 0xff};
  const std::uint16_t crtc = misc_ & kColorAddresses ? port::kColorCrtc : port::kMonoCrtc;
  if (offset == crtc) {
    crtc_index_ = value;
    return;
  }
  if (offset == crtc + 1) return write_crtc(value);
  if (offset == crtc + 6) {
    feature_ = value & 0x10;
    return;
  }
  switch (offset) {
    case port::kAttribute:
      return write_attribute(value);
    case port::kMisc:
      misc_ = value & 0xef;
      break;
    case port::kSequencerIndex:
      sequencer_index_ = value & 7;
      return;
    case port::kSequencer:
      sequencer_[sequencer_index_] = value & kSequencerBits[sequencer_index_];
      break;
    case port::kDacMask:
      dac_mask_ = value;
      break;
    case port::kDacReadIndex:
    case port::kDacWriteIndex:
      dac_at_ = value * 3u;
      dac_reads_ = offset == port::kDacReadIndex;
      return;
    case port::kDac:
      return write_dac(value);
    case port::kGraphicsIndex:
      graphics_index_ = value & 0x0f;
      return;
    case port::kGraphics:
      if (graphics_index_ >= graphics_.size()) return;
      graphics_[graphics_index_] = value & kGraphicsBits[graphics_index_];
      break;
    default:
      return;
  }
  ++version_;
}

void Vga::write_attribute(std::uint8_t value) {
  const bool is_data = attribute_data_;
  attribute_data_ = !attribute_data_;
  if (!is_data) {
    attribute_index_ = value & 0x3f;
    ++version_;
    return;
  }
  const unsigned index = attribute_index_ & 0x1f;
  if (index >= kAttributeCount) return;
  // The palette itself cannot be written while it is shown.
  if (index < 16 && (attribute_index_ & kPaletteAddressSource)) return;
  attribute_[index] = value & (index < 16 ? 0x3f : 0xff);
  ++version_;
}

// Registers 0 to 7 can be locked, all but one bit of the overflow register.
void Vga::write_crtc(std::uint8_t value) {
  if (crtc_index_ >= kCrtcCount) return;
  const bool locked = crtc_[kVerticalRetraceEnd] & 0x80;
  if (locked && crtc_index_ <= kCrtcProtected) {
    if (crtc_index_ != kOverflow) return;
    value = static_cast<std::uint8_t>((crtc_[kOverflow] & ~0x10) | (value & 0x10));
  }
  crtc_[crtc_index_] = value;
  ++version_;
}

void Vga::write_dac(std::uint8_t value) {
  dac_[dac_at_] = value;
  dac_at_ = (dac_at_ + 1) % static_cast<unsigned>(dac_.size());
  ++version_;
}

std::uint8_t Vga::read_dac() {
  const std::uint8_t value = dac_[dac_at_];
  dac_at_ = (dac_at_ + 1) % static_cast<unsigned>(dac_.size());
  return value;
}

// --- The Bochs extension ---

std::uint16_t Vga::read_dispi() const {
  if (dispi_index_ >= dispi_.size()) return 0;
  const auto reg = static_cast<Dispi>(dispi_index_);
  if (dispi(Dispi::kEnable) & enable::kCapabilities) {
    if (reg == Dispi::kWidth) return kMostWidth;
    if (reg == Dispi::kHeight) return kMostHeight;
    if (reg == Dispi::kBitsPerPixel) return kMostBits;
  }
  if (reg == Dispi::kMemory64K) return kMemoryBytes >> 16;
  return dispi_[dispi_index_];
}

std::uint32_t Vga::extension_pitch() const {
  const std::uint32_t width = std::max(dispi(Dispi::kVirtualWidth), dispi(Dispi::kWidth));
  const unsigned bits = dispi(Dispi::kBitsPerPixel);
  return bits == 4 ? width / 2 : width * ((bits + 7) / 8);
}

std::uint32_t Vga::extension_start() const {
  const unsigned bits = dispi(Dispi::kBitsPerPixel);
  const std::uint32_t x = dispi(Dispi::kXOffset);
  return dispi(Dispi::kYOffset) * extension_pitch() + (bits == 4 ? x / 2 : x * ((bits + 7) / 8));
}

void Vga::enable_extension(std::uint16_t value) {
  auto& enabled = dispi_[static_cast<std::size_t>(Dispi::kEnable)];
  const bool turns_on = (value & enable::kOn) && !(enabled & enable::kOn);
  enabled = value;
  if (!turns_on) return;
  dispi_[static_cast<std::size_t>(Dispi::kVirtualWidth)] = dispi(Dispi::kWidth);
  for (const Dispi reg : {Dispi::kXOffset, Dispi::kYOffset, Dispi::kBank})
    dispi_[static_cast<std::size_t>(reg)] = 0;
  if (!(value & enable::kKeepMemory)) std::fill(memory_.begin(), memory_.end(), std::uint8_t{0});
}

void Vga::write_dispi(std::uint16_t value) {
  if (dispi_index_ >= dispi_.size()) return;
  const auto reg = static_cast<Dispi>(dispi_index_);
  std::uint16_t& stored = dispi_[dispi_index_];
  ++version_;
  switch (reg) {
    case Dispi::kId:
      if (value >= kDispiFirstId && value <= kDispiId) stored = value;
      break;
    case Dispi::kWidth:
      stored = std::min(value, kMostWidth);
      break;
    case Dispi::kHeight:
      stored = std::min(value, kMostHeight);
      break;
    case Dispi::kBitsPerPixel:
      if (value == 4 || value == 8 || value == 15 || value == 16 || value == 24 || value == 32)
        stored = value;
      break;
    case Dispi::kEnable:
      enable_extension(value);
      break;
    case Dispi::kBank:
      stored = value % (kMemoryBytes >> 16);
      break;
    case Dispi::kVirtualHeight:
    case Dispi::kMemory64K:
      break;
    default:
      stored = value;
      break;
  }
  // How high the picture may be follows from how wide its lines are.
  if (const std::uint32_t pitch = extension_pitch())
    dispi_[static_cast<std::size_t>(Dispi::kVirtualHeight)] =
        static_cast<std::uint16_t>(std::min<std::uint32_t>(kMemoryBytes / pitch, 0xffff));
}

// --- BAR 2 ---

namespace {
constexpr std::uint64_t kPortsAt = 0x400, kPortsEnd = 0x420, kDispiAt = 0x500,
                        kDispiEnd = kDispiAt + 22;
constexpr std::uint16_t kFirstMappedPort = 0x10;  // 3C0H
}  // namespace

std::uint64_t Vga::Registers::mmio_read(std::uint64_t offset, unsigned size) {
  if (offset >= kPortsAt && offset + size <= kPortsEnd)
    return vga_.ports_.port_read(static_cast<std::uint16_t>(offset - kPortsAt + kFirstMappedPort),
                                 std::min(size, 4u));
  if (offset >= kDispiAt && offset + 2 <= kDispiEnd && size == 2) {
    vga_.dispi_index_ = static_cast<std::uint16_t>((offset - kDispiAt) / 2);
    return vga_.read_dispi();
  }
  return 0;
}

void Vga::Registers::mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  if (offset >= kPortsAt && offset + size <= kPortsEnd) {
    vga_.ports_.port_write(static_cast<std::uint16_t>(offset - kPortsAt + kFirstMappedPort),
                           std::min(size, 4u), static_cast<std::uint32_t>(value));
  } else if (offset >= kDispiAt && offset + 2 <= kDispiEnd && size == 2) {
    vga_.dispi_index_ = static_cast<std::uint16_t>((offset - kDispiAt) / 2);
    vga_.write_dispi(static_cast<std::uint16_t>(value));
  }
}

}  // namespace ringshift::devices
