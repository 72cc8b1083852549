// tests/unit/devices/i8042_test.cc - keyboard controller, keyboard and mouse protocol as drivers
// use it.
#include "devices/i8042.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/devices/board_fakes.h"

namespace ringshift::devices {
namespace {

using namespace board_fakes;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Controller : public ::testing::Test {
 protected:
  std::uint8_t status() { return static_cast<std::uint8_t>(i8042.command_port().port_read(0, 1)); }
  void command(std::uint8_t c) { i8042.command_port().port_write(0, 1, c); }
  void data(std::uint8_t d) { i8042.data_port().port_write(0, 1, d); }
  std::uint8_t read() { return static_cast<std::uint8_t>(i8042.data_port().port_read(0, 1)); }
  std::vector<int> drain() {
    std::vector<int> out;
    while ((status() & 1) && out.size() < 1000) out.push_back(read());
    return out;
  }
  void configure(std::uint8_t c) {
    command(0x60);
    data(c);
  }
  std::vector<int> mouse(std::uint8_t byte) {
    command(0xd4);
    data(byte);
    return drain();
  }
  std::vector<int> keyboard(std::uint8_t byte) {
    data(byte);
    return drain();
  }

  FakeLine irq1, irq12, a20_line;
  FakePower power;
  A20Gate a20{a20_line};
  I8042 i8042{irq1, irq12, a20, power};
};

TEST_F(Controller, SelfTestsAndConfiguration) {
  command(0xaa);
  EXPECT_EQ(status() & 0x0d, 0x0d) << "output full, system flag, last write was a command";
  EXPECT_THAT(drain(), ElementsAre(0x55));
  command(0xab);
  EXPECT_THAT(drain(), ElementsAre(0x00));
  command(0xa9);
  EXPECT_THAT(drain(), ElementsAre(0x00));
  configure(0x47);
  command(0x20);
  EXPECT_THAT(drain(), ElementsAre(0x47));
  command(0xa7);
  command(0xad);
  command(0x20);
  EXPECT_THAT(drain(), ElementsAre(0x77));
}

TEST_F(Controller, RamBytesAreStored) {
  command(0x65);
  data(0x99);
  command(0x25);
  EXPECT_THAT(drain(), ElementsAre(0x99));
  command(0x26);
  EXPECT_THAT(drain(), ElementsAre(0x00));
}

TEST_F(Controller, AfterResetKeysArriveTranslatedWithInterrupt) {
  i8042.keyboard().key("a", true);
  EXPECT_TRUE(irq1.level);
  EXPECT_EQ(read(), 0x1e);
  EXPECT_FALSE(irq1.level);
  i8042.keyboard().key("a", false);
  EXPECT_THAT(drain(), ElementsAre(0x9e));
  EXPECT_EQ(irq1.rises, 2);
}

TEST_F(Controller, EachQueuedByteIsAnEdge) {
  i8042.keyboard().key("up", true);
  EXPECT_EQ(irq1.rises, 1);
  EXPECT_EQ(read(), 0xe0);
  EXPECT_EQ(irq1.rises, 2);
  EXPECT_EQ(read(), 0x48);
  EXPECT_FALSE(irq1.level);
}

TEST_F(Controller, WithoutTranslationSet2) {
  configure(0x05);
  i8042.keyboard().key("a", true);
  i8042.keyboard().key("a", false);
  i8042.keyboard().key("right", false);
  EXPECT_THAT(drain(), ElementsAre(0x1c, 0xf0, 0x1c, 0xe0, 0xf0, 0x74));
}

TEST_F(Controller, Set1FromTheKeyboardItself) {
  configure(0x05);
  keyboard(0xf0);
  keyboard(0x01);
  i8042.keyboard().key("f7", true);
  i8042.keyboard().key("f7", false);
  EXPECT_THAT(drain(), ElementsAre(0x41, 0xc1));
  keyboard(0xf0);
  EXPECT_THAT(keyboard(0x00), ElementsAre(0xfa, 0x01));
}

TEST_F(Controller, KeysWithSequencesOfTheirOwn) {
  i8042.keyboard().key("pause", true);
  i8042.keyboard().key("pause", false);
  EXPECT_THAT(drain(), ElementsAre(0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5));
  i8042.keyboard().key("print", true);
  i8042.keyboard().key("print", false);
  EXPECT_THAT(drain(), ElementsAre(0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa));
}

// Set 1 is the name of a key: translating its set 2 code must give it back, for every key.
TEST(Keymap, TranslationIsTheInverseOfSet2) {
  for (unsigned code = 1; code < 0x80; ++code) {
    const auto set2 = set2_code(static_cast<std::uint8_t>(code));
    if (set2 != 0) {
      EXPECT_EQ(translate_set2_to_set1(set2), code);
    }
  }
  for (const char* name :
       {"esc", "a", "f7", "sysrq", "f12", "kp_enter", "meta_l", "yen", "power"}) {
    ASSERT_TRUE(find_key(name)) << name;
    EXPECT_NE(set2_code(find_key(name)->code), 0) << name;
  }
  EXPECT_EQ(set2_code(0x41), 0x83) << "F7";
  EXPECT_FALSE(find_key("no_such_key"));
}

TEST_F(Controller, KeyboardIdentifiesItself) {
  configure(0x05);
  EXPECT_THAT(keyboard(0xf2), ElementsAre(0xfa, 0xab, 0x83));
  configure(0x45);
  EXPECT_THAT(keyboard(0xf2), ElementsAre(0xfa, 0xab, 0x41)) << "translated";
  EXPECT_THAT(keyboard(0xff), ElementsAre(0xfa, 0xaa));
  EXPECT_THAT(keyboard(0xee), ElementsAre(0xee));
  EXPECT_THAT(keyboard(0x12), ElementsAre(0xfe));
  EXPECT_THAT(keyboard(0xf3), ElementsAre(0xfa));
  EXPECT_THAT(keyboard(0x20), ElementsAre(0xfa));
}

TEST_F(Controller, Leds) {
  Ps2Keyboard::Leds seen;
  i8042.keyboard().on_leds([&](Ps2Keyboard::Leds l) { seen = l; });
  EXPECT_THAT(keyboard(0xed), ElementsAre(0xfa));
  EXPECT_THAT(keyboard(0x06), ElementsAre(0xfa));
  EXPECT_EQ(seen, (Ps2Keyboard::Leds{false, true, true}));
  keyboard(0xed);
  EXPECT_THAT(keyboard(0xf4), ElementsAre(0xfa)) << "a command in place of the argument";
  EXPECT_EQ(i8042.keyboard().leds(), (Ps2Keyboard::Leds{false, true, true}));
}

TEST_F(Controller, DisabledScanningSendsNothing) {
  keyboard(0xf5);
  i8042.keyboard().key("a", true);
  EXPECT_THAT(drain(), IsEmpty());
  keyboard(0xf4);
  i8042.keyboard().key("a", true);
  EXPECT_THAT(drain(), ElementsAre(0x1e));
}

TEST_F(Controller, DisabledInterfaceHoldsKeysBack) {
  command(0xad);
  i8042.keyboard().key("b", true);
  EXPECT_EQ(status() & 1, 0);
  command(0xae);
  EXPECT_THAT(drain(), ElementsAre(0x30));
}

TEST_F(Controller, InterruptEnableWithFullBufferRaisesTheLine) {
  configure(0x44);
  i8042.keyboard().key("a", true);
  EXPECT_FALSE(irq1.level);
  configure(0x45);
  EXPECT_TRUE(irq1.level);
}

TEST_F(Controller, LoopsThroughTheOutputBuffer) {
  configure(0x47);
  command(0xd3);
  data(0x5a);
  EXPECT_EQ(status() & 0x21, 0x21);
  EXPECT_TRUE(irq12.level);
  EXPECT_FALSE(irq1.level);
  EXPECT_THAT(drain(), ElementsAre(0x5a));
  command(0xd2);
  data(0x77);
  EXPECT_EQ(status() & 0x21, 0x01);
  EXPECT_THAT(drain(), ElementsAre(0x77)) << "not translated";
}

TEST_F(Controller, MouseIdentificationAndWheel) {
  EXPECT_THAT(mouse(0xff), ElementsAre(0xfa, 0xaa, 0x00));
  EXPECT_THAT(mouse(0xf2), ElementsAre(0xfa, 0x00));
  for (const int rate : {200, 100, 80}) {
    EXPECT_THAT(mouse(0xf3), ElementsAre(0xfa));
    EXPECT_THAT(mouse(static_cast<std::uint8_t>(rate)), ElementsAre(0xfa));
  }
  EXPECT_THAT(mouse(0xf2), ElementsAre(0xfa, 0x03));
  EXPECT_THAT(mouse(0xe9), ElementsAre(0xfa, 0x00, 0x02, 80));
  mouse(0xf4);
  i8042.mouse().move(5, -3, -1, {.left = true});
  EXPECT_THAT(drain(), ElementsAre(0x29, 0x05, 0xfd, 0xff));
}

TEST_F(Controller, MouseReportsOnlyWhenEnabledAndSplitsLongMoves) {
  configure(0x47);
  i8042.mouse().move(1, 1, 0, {});
  EXPECT_THAT(drain(), IsEmpty());
  mouse(0xf4);
  i8042.mouse().move(299, -1, 0, {});
  EXPECT_TRUE(irq12.level);
  EXPECT_THAT(drain(), ElementsAre(0x28, 255, 0xff, 0x08, 44, 0));
}

TEST_F(Controller, EndlessInputIsBoundedAndNeverTearsAKey) {
  for (int i = 0; i < 10000; ++i) {
    i8042.keyboard().key("right", true);
    command(0x20);
    i8042.mouse().move(100000, -100000, 100000, {});
  }
  const auto bytes = drain();
  EXPECT_LT(bytes.size(), 400u);
  i8042.keyboard().key("a", true);
  EXPECT_THAT(drain(), ElementsAre(0x1e));
}

TEST_F(Controller, A20ThroughOutputPortAndCommands) {
  EXPECT_TRUE(a20_line.level);
  command(0xd1);
  data(0xdd);
  EXPECT_FALSE(a20_line.level);
  command(0xd0);
  EXPECT_EQ(read() & 0x03, 0x01);
  command(0xdf);
  EXPECT_TRUE(a20_line.level);
  command(0xdd);
  EXPECT_FALSE(a20_line.level);
  EXPECT_EQ(power.resets, 0);
}

TEST_F(Controller, ResetPulse) {
  command(0xff);
  EXPECT_EQ(power.resets, 0) << "no line is pulsed";
  command(0xfe);
  EXPECT_EQ(power.resets, 1);
  command(0xd1);
  data(0x02);
  EXPECT_EQ(power.resets, 2) << "output port bit 0 low";
}

}  // namespace
}  // namespace ringshift::devices
