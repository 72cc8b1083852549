// tests/unit/devices/debug_ports_test.cc - isa-debug-exit's statuses and the port 0xE9 console.
#include <gtest/gtest.h>

#include "devices/debug_console.h"
#include "devices/debug_exit.h"
#include "tests/unit/devices/board_fakes.h"

namespace ringshift::devices {
namespace {

using namespace board_fakes;

TEST(DebugExit, StatusIsTwiceTheValuePlusOne) {
  FakePower power;
  DebugExit device{power};
  device.port_write(0, 4, 0);
  device.port_write(0, 1, 0x10);
  EXPECT_EQ(power.statuses, (std::vector<int>{1, 0x21}));
  device.port_read(0, 4);
  EXPECT_EQ(power.statuses.size(), 2u) << "reading does not end the machine";
}

TEST(DebugConsole, WritesToTheSinkAndAnswersReads) {
  FakeSink sink;
  DebugConsole console{sink};
  console.port_write(0, 1, 'o');
  console.port_write(0, 1, 'k');
  EXPECT_EQ(sink.text, "ok");
  EXPECT_EQ(console.port_read(0, 1), 0xe9u);
}

}  // namespace
}  // namespace ringshift::devices
