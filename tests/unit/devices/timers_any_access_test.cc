// tests/unit/devices/timers_any_access_test.cc - random accesses to every register of the interrupt
// controllers and timers, wired as on the board: no crash, no undefined behaviour, no endless work.
#include <gtest/gtest.h>

#include <random>

#include "devices/bus.h"
#include "devices/hpet.h"
#include "devices/io_apic.h"
#include "devices/line_gate.h"
#include "devices/pic.h"
#include "devices/pit.h"
#include "devices/rtc.h"
#include "tests/unit/devices/timer_fakes.h"

namespace ringshift::devices {
namespace {

// IRQ 0 to the PIC and to pin 2 of the I/O APIC, as the board fans it out.
class Fan final : public Line {
 public:
  Fan(Line& a, Line& b) : a_(a), b_(b) {}
  void set(bool level) override {
    a_.set(level);
    b_.set(level);
  }

 private:
  Line& a_;
  Line& b_;
};

struct Board {
  timer_test::FakeLoop loop;
  ApicBus apics;
  timer_test::FakeProcessor cpu{loop, apics};
  PicPair pic{cpu.apic.lint0()};
  IoApic io_apic{apics};
  Fan irq0{pic.input(0), io_apic.pin(2)};
  Fan irq8{pic.input(8), io_apic.pin(8)};
  LineGate pit_gate{irq0}, rtc_gate{irq8};
  Pit pit{loop.timers, pit_gate};
  SystemControlPort port61{pit};
  Rtc rtc{loop.timers, rtc_gate, 1'700'000'000};
  timer_test::FakeLine legacy;
  Hpet hpet{loop.timers, {irq0, irq8, legacy, {}}};
  PortBus ports;

  Board() {
    cpu.apic.connect_pic(pic);
    EXPECT_TRUE(ports.add(0x20, 2, pic.master_ports()));
    EXPECT_TRUE(ports.add(0xa0, 2, pic.slave_ports()));
    EXPECT_TRUE(ports.add(0x4d0, 2, pic.elcr_ports()));
    EXPECT_TRUE(ports.add(0x40, 4, pit));
    EXPECT_TRUE(ports.add(0x61, 1, port61));
    EXPECT_TRUE(ports.add(0x70, 4, rtc));
  }
};

class AnyAccess : public ::testing::TestWithParam<unsigned> {};

TEST_P(AnyAccess, LeavesTheBoardAlive) {
  Board board;
  std::mt19937_64 random(GetParam());
  const std::uint16_t kPorts[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41,
                                  0x42, 0x43, 0x61, 0x70, 0x71,  0x72,  0x73};
  int served = 0;
  for (int step = 0; step < 30'000; ++step) {
    const std::uint64_t value = random();
    const unsigned size = 1u << (value & 3);
    switch (random() % 6) {
      case 0:
      case 1: {
        const std::uint16_t port = kPorts[random() % std::size(kPorts)];
        const unsigned width = std::min(size, 4u);
        if (random() & 1) board.ports.write(port, width, static_cast<std::uint32_t>(value >> 8));
        board.ports.read(port, width);
        break;
      }
      case 2:
        board.cpu.apic.mmio_write(random() & 0xff0, 4, value >> 8);
        board.cpu.apic.mmio_read(random() & 0xfff, size);
        break;
      case 3:
        board.io_apic.mmio_write(random() & 0x70, 4, value >> (random() & 63));
        board.io_apic.mmio_read(random() & 0x70, size);
        break;
      case 4:
        board.hpet.mmio_write(random() & 0x1f8, size, value >> (random() & 63));
        board.hpet.mmio_read(random() & 0x3ff, size);
        break;
      case 5: {
        const std::uint32_t msr = 0x800 + static_cast<std::uint32_t>(random() & 0x3f);
        board.cpu.apic.msr_write(random() % 20 ? msr : 0x1b, value >> (random() & 63));
        board.cpu.apic.msr_read(msr);
        break;
      }
    }
    board.loop.stall(static_cast<std::int64_t>(random() % 200'000));
    board.loop.timers.run_due();
    // What the vCPU was told is what it finds.
    ASSERT_EQ(board.cpu.attention.level, board.cpu.apic.interrupt_pending());
    ASSERT_EQ(board.cpu.apic.interrupt_hint(), board.cpu.apic.interrupt_pending());
    if (board.cpu.apic.interrupt_pending()) {
      ASSERT_TRUE(board.cpu.apic.acknowledge());
      ++served;
    }
  }
  EXPECT_GT(served, 20);  // else this tests less than it says
}

INSTANTIATE_TEST_SUITE_P(Seeds, AnyAccess, ::testing::Range(0u, 8u));

}  // namespace
}  // namespace ringshift::devices
