// devices/isa_dma.h - the pair of 8237A DMA controllers of a PC, and their page registers.
// Facts: Intel 8237A data sheet; IBM PC AT technical reference, "Direct Memory Access".
// Devices ask for a transfer themselves; there is no timing and no memory-to-memory mode.
#pragma once

#include <array>
#include <cstdint>

#include "devices/byte_ports.h"
#include "devices/guest_transfer.h"

namespace ringshift::devices {

class IsaDma {
 public:
  static constexpr std::uint16_t kLowBase = 0x00, kLowBytes = 16, kPageBase = 0x81, kPageBytes = 15,
                                 kHighBase = 0xc0, kHighBytes = 32;

  IsaDma();
  PortHandler& low_ports() { return low_ports_; }
  PortHandler& page_ports() { return page_ports_; }
  PortHandler& high_ports() { return high_ports_; }

  // What an 8-bit channel (0 to 3) may move now; no bytes while it is masked.
  struct Window {
    GuestRange range;
    bool to_memory = false;
  };
  Window window(unsigned channel) const;
  // Moves the channel on. True when that was its last byte (terminal count).
  bool advance(unsigned channel, std::uint32_t bytes);

 private:
  struct Channel {
    std::uint16_t base_address = 0, base_count = 0, address = 0, count = 0;
    std::uint8_t mode = 0, page = 0;
  };
  struct Controller {
    std::array<Channel, 4> channels;
    std::uint8_t mask = 0x0f, status = 0, command = 0;
    bool high_byte = false;  // the flip-flop
  };
  static std::uint8_t read(Controller& c, unsigned reg);
  static void write(Controller& c, unsigned reg, std::uint8_t value);
  Channel* channel_of_page(unsigned port);

  std::array<Controller, 2> controllers_;
  std::array<std::uint8_t, kPageBytes> pages_{};
  FunctionBytePorts low_ports_, page_ports_, high_ports_;
};

}  // namespace ringshift::devices
