// tests/unit/devices/port92_test.cc - fast A20 and fast reset, shared with the keyboard
// controller's gate.
#include "devices/port92.h"

#include <gtest/gtest.h>

#include "tests/unit/devices/board_fakes.h"

namespace ringshift::devices {
namespace {

using namespace board_fakes;

TEST(Port92, GateAndReadBackFollowWhoeverWroteLast) {
  FakeLine line;
  FakePower power;
  A20Gate gate{line};
  Port92 port{gate, power};
  EXPECT_EQ(port.port_read(0, 1), 2u);
  port.port_write(0, 1, 0);
  EXPECT_FALSE(line.level);
  gate.set(true);  // the keyboard controller
  EXPECT_EQ(port.port_read(0, 1), 2u);
  port.port_write(0, 1, 0xc0);
  EXPECT_EQ(port.port_read(0, 1), 0xc0u);
}

TEST(Port92, ResetOnARisingBitOnly) {
  FakeLine line;
  FakePower power;
  A20Gate gate{line};
  Port92 port{gate, power};
  port.port_write(0, 1, 3);
  EXPECT_EQ(power.resets, 1);
  port.port_write(0, 1, 3);
  EXPECT_EQ(power.resets, 1);
  port.port_write(0, 1, 2);
  port.port_write(0, 1, 3);
  EXPECT_EQ(power.resets, 2);
}

}  // namespace
}  // namespace ringshift::devices
