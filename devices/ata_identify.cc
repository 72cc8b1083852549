// devices/ata_identify.cc - the 256 words of IDENTIFY.
#include "devices/ata_identify.h"

#include <algorithm>
#include <array>

namespace ringshift::devices {
namespace {

class Words {
 public:
  void set(unsigned word, unsigned value) {
    bytes_[2 * word] = static_cast<std::uint8_t>(value);
    bytes_[2 * word + 1] = static_cast<std::uint8_t>(value >> 8);
  }
  void set32(unsigned word, std::uint32_t value) {
    set(word, value & 0xffff);
    set(word + 1, value >> 16);
  }
  // Two characters a word, the first in the high half.
  void set_text(unsigned word, unsigned words, std::string_view text) {
    for (unsigned i = 0; i < words * 2; ++i)
      bytes_[2 * word + (i ^ 1)] = static_cast<std::uint8_t>(i < text.size() ? text[i] : ' ');
  }
  std::vector<std::uint8_t> take() { return std::move(bytes_); }

 private:
  std::vector<std::uint8_t> bytes_ = std::vector<std::uint8_t>(512);
};

constexpr std::uint32_t kMost28 = 0x0fffffff;

void set_modes(Words& w, std::uint8_t udma_mode) {
  w.set(53, 0x0006);  // words 64 to 70 and 88 are valid
  w.set(62, 0x0000);
  w.set(63, 0x0007);  // multiword DMA 0 to 2
  w.set(64, 0x0003);  // PIO 3 and 4
  for (unsigned i = 65; i <= 68; ++i) w.set(i, 120);
  w.set(88, 0x003f | 1u << (8 + udma_mode));
  w.set(93, 0x6001);
}

}  // namespace

AtaGeometry geometry_of(std::uint64_t sectors) {
  constexpr std::uint64_t kHeads = 16, kSectors = 63, kMostCylinders = 16383;
  const std::uint64_t cylinders = std::min(sectors / (kHeads * kSectors), kMostCylinders);
  return {static_cast<std::uint16_t>(std::max<std::uint64_t>(cylinders, 1)), kHeads, kSectors};
}

std::vector<std::uint8_t> identify_disk(std::uint64_t sectors, std::string_view serial,
                                        std::uint8_t multiple, std::uint8_t udma_mode) {
  const AtaGeometry g = geometry_of(sectors);
  const auto lba28 = static_cast<std::uint32_t>(std::min<std::uint64_t>(sectors, kMost28));
  Words w;
  w.set(0, 0x0040);
  w.set(1, g.cylinders);
  w.set(3, g.heads);
  w.set(6, g.sectors);
  w.set_text(10, 10, serial);
  w.set(21, 512);
  w.set_text(23, 4, "1.0");
  w.set_text(27, 20, "RINGSHIFT HARDDISK");
  w.set(47, 0x8010);  // multiples of up to 16 sectors
  w.set(48, 1);       // 32-bit data port
  w.set(49, 0x0f00);  // LBA, DMA, IORDY
  w.set(51, 0x0200);
  w.set(52, 0x0200);
  w.set(54, g.cylinders);
  w.set(55, g.heads);
  w.set(56, g.sectors);
  w.set32(57, std::uint32_t{g.cylinders} * g.heads * g.sectors);
  if (multiple) w.set(59, 0x0100 | multiple);
  w.set32(60, lba28);
  set_modes(w, udma_mode);
  w.set(80, 0x00f0);  // ATA-4 to ATA-7
  w.set(81, 0x0016);
  w.set(82, 0x4020);  // NOP, write cache
  w.set(83, 0x7400);  // FLUSH CACHE and its EXT form, LBA48
  w.set(84, 0x4000);
  w.set(85, 0x4020);
  w.set(86, 0x3400);
  w.set(87, 0x4000);
  w.set32(100, static_cast<std::uint32_t>(sectors));
  w.set32(102, static_cast<std::uint32_t>(sectors >> 32));
  return w.take();
}

std::vector<std::uint8_t> identify_cd(std::string_view serial, std::uint8_t udma_mode) {
  Words w;
  w.set(0, 0x85c0);  // CD, removable, 12-byte packets, DRQ within 50 us
  w.set_text(10, 10, serial);
  w.set_text(23, 4, "1.0");
  w.set_text(27, 20, "RINGSHIFT DVD-ROM");
  w.set(48, 1);
  w.set(49, 0x0b00);
  set_modes(w, udma_mode);
  w.set(71, 30);
  w.set(72, 30);
  w.set(80, 0x001e);
  w.set(82, 0x4010);  // NOP, PACKET
  w.set(85, 0x4010);
  return w.take();
}

}  // namespace ringshift::devices
