// devices/port92.cc - system control port A (92h).
#include "devices/port92.h"

namespace ringshift::devices {
namespace {
constexpr std::uint8_t kFastReset = 1, kA20 = 2;
}

std::uint8_t Port92::read_byte(std::uint16_t) { return stored_ | (a20_.open() ? kA20 : 0); }

void Port92::write_byte(std::uint16_t, std::uint8_t value) {
  const bool reset_rises = (value & kFastReset) && !(stored_ & kFastReset);
  stored_ = value & static_cast<std::uint8_t>(~kA20);
  a20_.set(value & kA20);
  if (reset_rises) power_.reset();
}

}  // namespace ringshift::devices
