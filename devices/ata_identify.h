// devices/ata_identify.h - what a drive says of itself. ATA/ATAPI-6 "IDENTIFY DEVICE",
// "IDENTIFY PACKET DEVICE".
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace ringshift::devices {

struct AtaGeometry {
  std::uint16_t cylinders, heads, sectors;
};
// As BIOSes that know no LBA would have it.
AtaGeometry geometry_of(std::uint64_t sectors);

// 512 bytes. `multiple` 0: no multiple mode set; `udma_mode`: selected.
std::vector<std::uint8_t> identify_disk(std::uint64_t sectors, std::string_view serial,
                                        std::uint8_t multiple, std::uint8_t udma_mode);
std::vector<std::uint8_t> identify_cd(std::string_view serial, std::uint8_t udma_mode);

}  // namespace ringshift::devices
