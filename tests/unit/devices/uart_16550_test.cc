// tests/unit/devices/uart_16550_test.cc - the serial port's interrupt rules, FIFO, loopback and
// back pressure.
#include "devices/uart_16550.h"

#include <gtest/gtest.h>

#include "tests/unit/devices/board_fakes.h"

namespace ringshift::devices {
namespace {

using namespace board_fakes;

class Uart : public ::testing::Test {
 protected:
  enum : std::uint16_t { kData, kIer, kIir, kFcr = kIir, kLcr, kMcr, kLsr, kMsr, kScr };
  std::uint8_t in(std::uint16_t r) { return static_cast<std::uint8_t>(uart.port_read(r, 1)); }
  void out(std::uint16_t r, std::uint8_t v) { uart.port_write(r, 1, v); }
  std::size_t type(std::string_view s) {
    return uart.receive({reinterpret_cast<const std::uint8_t*>(s.data()), s.size()});
  }
  // 8N1 at 115200: one character is 10 bits.
  static constexpr std::int64_t kCharacterNs = 10 * 1'000'000'000LL / 115200;
  void set_fast_line() {
    out(kLcr, 0x83);
    out(kData, 1);
    out(kIer, 0);
    out(kLcr, 0x03);
  }

  FakeTimers timers;
  FakeLine irq;
  FakeSink sink;
  Uart16550 uart{timers, irq, sink};
};

TEST_F(Uart, RegistersAfterReset) {
  EXPECT_EQ(in(kIer), 0);
  EXPECT_EQ(in(kIir), 0x01);
  EXPECT_EQ(in(kLcr), 0);
  EXPECT_EQ(in(kMcr), 0);
  EXPECT_EQ(in(kLsr), 0x60);
  EXPECT_EQ(in(kMsr), 0xb0);
  EXPECT_FALSE(irq.level);
}

TEST_F(Uart, ReservedBitsReadBackAsZero) {
  out(kIer, 0xff);
  EXPECT_EQ(in(kIer), 0x0f);
  out(kMcr, 0xff);
  EXPECT_EQ(in(kMcr), 0x1f);
  out(kScr, 0xa5);
  EXPECT_EQ(in(kScr), 0xa5);
}

TEST_F(Uart, DivisorHidesDataAndInterruptEnable) {
  out(kIer, 5);
  out(kLcr, 0x80);
  out(kData, 0x34);
  out(kIer, 0x12);
  EXPECT_EQ(in(kData), 0x34);
  EXPECT_EQ(in(kIer), 0x12);
  out(kLcr, 0);
  EXPECT_EQ(in(kIer), 5);
  EXPECT_TRUE(sink.text.empty());
}

TEST_F(Uart, BaudFollowsDivisorAndDivisorZeroIsHarmless) {
  EXPECT_EQ(uart.baud(), 9600u);
  set_fast_line();
  EXPECT_EQ(uart.baud(), 115200u);
  out(kLcr, 0x80);
  out(kData, 0);
  EXPECT_EQ(uart.baud(), 115200u);
}

TEST_F(Uart, TransmitsToTheSink) {
  for (const char c : std::string("hi\n")) out(kData, static_cast<std::uint8_t>(c));
  EXPECT_EQ(sink.text, "hi\n");
  EXPECT_EQ(in(kLsr)&0x60, 0x60);
}

// The rule that drivers probe for: enabling the interrupt with an empty transmitter raises it,
// reading IIR takes it away, and disabling and enabling brings it back.
TEST_F(Uart, TransmitterInterruptRisesWhenEnabledAndAgainAfterAcknowledge) {
  out(kIer, 2);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(in(kIir), 0x02);
  EXPECT_FALSE(irq.level);
  EXPECT_EQ(in(kIir), 0x01);
  out(kIer, 2);  // no change of the enable: no new interrupt
  EXPECT_EQ(in(kIir), 0x01);
  out(kIer, 0);
  out(kIer, 2);
  EXPECT_EQ(in(kIir), 0x02);
}

TEST_F(Uart, EachWrittenByteMakesANewEdge) {
  out(kIer, 2);
  const int before = irq.rises;
  out(kData, 'a');
  out(kData, 'b');
  EXPECT_EQ(irq.rises, before + 2);
  EXPECT_EQ(in(kIir), 0x02);
}

// Reading IIR acknowledges the transmitter only if that is what IIR reported.
TEST_F(Uart, HigherSourceKeepsTransmitterPending) {
  out(kIer, 3);
  type("x");
  EXPECT_EQ(in(kIir), 0x04);
  EXPECT_EQ(in(kIir), 0x04);
  EXPECT_EQ(in(kData), 'x');
  EXPECT_EQ(in(kIir), 0x02);
  EXPECT_EQ(in(kIir), 0x01);
}

TEST_F(Uart, IdentificationPriorities) {
  out(kMcr, 0);
  out(kIer, 0x0f);
  uart.set_modem_inputs({false, true, false, true});
  type("x");
  out(kMcr, 0x10);  // loopback, to overrun the receiver
  out(kData, 'y');
  EXPECT_EQ(in(kIir), 0x06);
  EXPECT_EQ(in(kLsr)&0x03, 0x03);
  EXPECT_EQ(in(kIir), 0x04);
  in(kData);
  EXPECT_EQ(in(kIir), 0x02);
  EXPECT_EQ(in(kIir), 0x00);
  EXPECT_EQ(in(kMsr)&0x01, 0x01);
  EXPECT_EQ(in(kIir), 0x01);
}

TEST_F(Uart, FifoTriggerLevels) {
  constexpr std::array<std::size_t, 4> kLevels{1, 4, 8, 14};
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    out(kFcr, static_cast<std::uint8_t>(0x07 | i << 6));
    out(kIer, 1);
    type(std::string(kLevels[i] - 1, 'x'));
    EXPECT_FALSE(irq.level) << kLevels[i];
    type("y");
    EXPECT_TRUE(irq.level) << kLevels[i];
    EXPECT_EQ(in(kIir), 0xc4);
    in(kData);
    EXPECT_FALSE(irq.level) << kLevels[i];
  }
}

TEST_F(Uart, TimeoutAfterFourCharacterTimes) {
  set_fast_line();
  out(kFcr, 0x87);
  out(kIer, 1);
  type("ab");
  timers.advance(4 * kCharacterNs - 1000);
  EXPECT_FALSE(irq.level);
  timers.advance(2000);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(in(kIir), 0xcc);
  EXPECT_EQ(in(kData), 'a');  // a read restarts the time
  EXPECT_FALSE(irq.level);
  timers.advance(4 * kCharacterNs + 1000);
  EXPECT_EQ(in(kIir), 0xcc);
  EXPECT_EQ(in(kData), 'b');
  timers.advance(100 * kCharacterNs);
  EXPECT_FALSE(irq.level);
  EXPECT_EQ(timers.armed(), 0u);
}

TEST_F(Uart, NoTimeoutWithoutFifo) {
  out(kIer, 0);
  type("a");
  EXPECT_EQ(timers.armed(), 0u);
}

TEST_F(Uart, ReceivesNoMoreThanItHolds) {
  EXPECT_EQ(uart.receive_room(), 1u);
  EXPECT_EQ(type("abc"), 1u);
  EXPECT_EQ(type("bc"), 0u);
  EXPECT_EQ(in(kLsr)&0x03, 0x01) << "back pressure is not an overrun";
  out(kFcr, 1);
  EXPECT_EQ(uart.receive_room(), 16u) << "switching the FIFO on empties it";
  EXPECT_EQ(type(std::string(40, 'z')), 16u);
  EXPECT_EQ(in(kIir)&0xc0, 0xc0);
}

TEST_F(Uart, TellsTheSourceWhenEmpty) {
  int asked = 0;
  uart.on_receive_ready([&] { ++asked; });
  out(kFcr, 1);
  asked = 0;
  type("ab");
  in(kData);
  EXPECT_EQ(asked, 0);
  in(kData);
  EXPECT_EQ(asked, 1);
}

TEST_F(Uart, SourceMayRefillFromTheCallback) {
  std::string left = "0123456789abcdefghijklmnopqrstuvwxyz";
  uart.on_receive_ready([&] { left.erase(0, type(left)); });
  out(kFcr, 1);
  std::string got;
  while (in(kLsr)&1) got.push_back(static_cast<char>(in(kData)));
  EXPECT_EQ(got, "0123456789abcdefghijklmnopqrstuvwxyz");
}

TEST_F(Uart, LoopbackReturnsBytesAndModemLines) {
  out(kMcr, 0x1f);
  EXPECT_EQ(in(kMsr)&0xf0, 0xf0);
  out(kMcr, 0x1a);  // loopback, OUT2, RTS
  EXPECT_EQ(in(kMsr)&0xf0, 0x90);
  out(kData, 'q');
  EXPECT_TRUE(sink.text.empty());
  EXPECT_EQ(in(kLsr)&1, 1);
  EXPECT_EQ(in(kData), 'q');
  EXPECT_EQ(type("lost"), 0u) << "the outside is disconnected";
}

TEST_F(Uart, ModemDeltasAndRingTrailingEdge) {
  uart.set_modem_inputs({true, true, true, true});
  EXPECT_EQ(in(kMsr), 0xf0) << "a rising ring is no event";
  out(kIer, 8);
  EXPECT_FALSE(irq.level);
  uart.set_modem_inputs({true, false, false, false});
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(in(kMsr), 0x1e);
  EXPECT_EQ(in(kMsr), 0x10) << "reading clears the deltas";
  EXPECT_FALSE(irq.level);
}

TEST_F(Uart, BreakShowsWhenItReachesTheTop) {
  out(kFcr, 1);
  out(kIer, 4);
  type("a");
  uart.receive_break();
  EXPECT_EQ(in(kLsr)&0x91, 0x81) << "in the FIFO, not yet at its top";
  in(kData);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(in(kLsr)&0x11, 0x11);
  EXPECT_EQ(in(kLsr)&0x10, 0x00);
}

TEST_F(Uart, FifoOverrunLosesTheNewCharacter) {
  out(kFcr, 1);
  out(kMcr, 0x10);
  for (int i = 0; i < 17; ++i) out(kData, static_cast<std::uint8_t>('a' + i));
  EXPECT_EQ(in(kLsr)&0x02, 0x02);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(in(kData), 'a' + i);
  EXPECT_EQ(in(kLsr)&0x01, 0);
}

TEST_F(Uart, WideAccessIsOneCyclePerByte) {
  uart.port_write(kScr, 1, 0x77);
  EXPECT_EQ(uart.port_read(kMsr, 2), 0x77b0u);
}

}  // namespace
}  // namespace ringshift::devices
