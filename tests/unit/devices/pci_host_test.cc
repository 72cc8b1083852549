// tests/unit/devices/pci_host_test.cc - configuration mechanism 1, BAR sizing and dispatch, INTx
// routing, reset control.
#include "devices/pci_host.h"

#include <gtest/gtest.h>

#include "devices/pci_firmware.h"
#include "devices/pci_testdev.h"
#include "devices/piix3_isa.h"
#include "devices/piix4_pm.h"
#include "tests/unit/devices/board_fakes.h"

namespace ringshift::devices {
namespace {

using namespace board_fakes;

// One memory BAR, one port BAR, an interrupt; remembers what reached it.
class Probe final : public PciDevice, public PortHandler, public MmioHandler {
 public:
  explicit Probe(unsigned pin = 1)
      : PciDevice({.vendor = 0x1234, .device = 0x5678, .class_code = 0x020000}) {
    add_memory_bar(0, 0x1000, *this);
    add_port_bar(1, 0x20, *this);
    set_interrupt_pin(pin);
  }
  std::uint32_t port_read(std::uint16_t offset, unsigned size) override {
    return 0xa0u + offset + (size << 8);
  }
  void port_write(std::uint16_t offset, unsigned size, std::uint32_t value) override {
    last = {offset, size, value};
  }
  std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override {
    return 0xb000u + offset + (std::uint64_t{size} << 16);
  }
  void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override {
    last = {offset, size, value};
  }
  using PciDevice::set_interrupt;

  struct Access {
    std::uint64_t offset = ~0ull;
    unsigned size = 0;
    std::uint64_t value = 0;
    bool operator==(const Access&) const = default;
  } last;
};

class Pci : public ::testing::Test {
 protected:
  void address(unsigned slot, unsigned function, unsigned reg, unsigned bus = 0) {
    host.config_ports().port_write(
        0, 4, 0x80000000u | bus << 16 | slot << 11 | function << 8 | (reg & 0xfc));
  }
  std::uint32_t config(unsigned slot, unsigned function, unsigned reg, unsigned size = 4) {
    address(slot, function, reg);
    return host.config_ports().port_read(static_cast<std::uint16_t>(4 + (reg & 3)), size);
  }
  void set_config(unsigned slot, unsigned function, unsigned reg, std::uint32_t value,
                  unsigned size = 4) {
    address(slot, function, reg);
    host.config_ports().port_write(static_cast<std::uint16_t>(4 + (reg & 3)), size, value);
  }
  std::uint64_t memory(std::uint64_t at, unsigned size) {
    return host.memory().mmio_read(at - PciHost::kHoleBase, size);
  }

  std::array<FakeLine, 16> isa_irqs;
  FakePower power;
  PciHost host{power};
  Piix3Isa isa{wires()};
  Probe probe;

 private:
  std::array<Line*, 16> wires() {
    std::array<Line*, 16> lines{};
    for (unsigned i = 0; i < isa_irqs.size(); ++i) lines[i] = &isa_irqs[i];
    return lines;
  }
};

TEST_F(Pci, MechanismOneProbe) {
  host.config_ports().port_write(0, 4, 0x80000000);
  EXPECT_EQ(host.config_ports().port_read(0, 4), 0x80000000u);
  EXPECT_EQ(config(0, 0, 0), 0x12378086u);
  EXPECT_EQ(config(0, 0, 8) >> 8, 0x060000u);
}

TEST_F(Pci, AbsentFunctionsBusesAndDisabledAddressReadOnes) {
  EXPECT_EQ(config(5, 0, 0), 0xffffffffu);
  EXPECT_EQ(config(5, 0, 2, 2), 0xffffu);
  address(0, 0, 0, 1);
  EXPECT_EQ(host.config_ports().port_read(4, 4), 0xffffffffu);
  host.config_ports().port_write(0, 4, 0);
  EXPECT_EQ(host.config_ports().port_read(4, 4), 0xffffffffu);
  set_config(5, 0, 4, 0xffff);  // dropped
}

TEST_F(Pci, ByteAndWordAccesses) {
  ASSERT_TRUE(host.attach(3, 0, probe));
  EXPECT_EQ(config(3, 0, 0, 2), 0x1234u);
  EXPECT_EQ(config(3, 0, 2, 2), 0x5678u);
  EXPECT_EQ(config(3, 0, 0x0b, 1), 0x02u);
  set_config(3, 0, 0x3c, 0x0a, 1);
  EXPECT_EQ(config(3, 0, 0x3c), 0x0000010au) << "the pin is read-only";
  set_config(3, 0, 0x3c, 0xffffffff);
  EXPECT_EQ(config(3, 0, 0x3c), 0x000001ffu);
  set_config(3, 0, 0, 0);
  EXPECT_EQ(config(3, 0, 0), 0x56781234u);
}

TEST_F(Pci, LowAddressBitsNameAByteToo) {
  ASSERT_TRUE(host.attach(3, 0, probe));
  host.config_ports().port_write(0, 4, 0x80001802);
  EXPECT_EQ(host.config_ports().port_read(4, 2), 0x5678u);
  EXPECT_EQ(host.config_ports().port_read(6, 2), 0x5678u);
  EXPECT_EQ(host.config_ports().port_read(4, 4), 0x56781234u);
}

TEST_F(Pci, ResetControlIsNotPartOfTheAddress) {
  host.config_ports().port_write(0, 4, 0x80001234);
  host.config_ports().port_write(1, 1, 0x02);
  EXPECT_EQ(power.resets, 0);
  host.config_ports().port_write(1, 1, 0x06);
  EXPECT_EQ(power.resets, 1);
  EXPECT_EQ(host.config_ports().port_read(0, 4), 0x80001234u);
  EXPECT_EQ(host.config_ports().port_read(1, 1), 0x06u);
}

TEST_F(Pci, PlacesAreTakenOnce) {
  Probe other;
  EXPECT_TRUE(host.attach(3, 0, probe));
  EXPECT_FALSE(host.attach(3, 0, other));
  EXPECT_FALSE(host.attach(0, 0, other)) << "the bridge";
  EXPECT_FALSE(host.attach(32, 0, other));
  EXPECT_FALSE(host.attach(3, 8, other));
}

TEST_F(Pci, BarSizing) {
  ASSERT_TRUE(host.attach(3, 0, probe));
  set_config(3, 0, 0x10, 0xffffffff);
  EXPECT_EQ(config(3, 0, 0x10), 0xfffff000u);
  set_config(3, 0, 0x14, 0xffffffff);
  EXPECT_EQ(config(3, 0, 0x14), 0xffffffe1u);
  set_config(3, 0, 0x18, 0xffffffff);
  EXPECT_EQ(config(3, 0, 0x18), 0u) << "no such BAR";
}

TEST_F(Pci, MemoryBarFollowsAddressAndEnable) {
  ASSERT_TRUE(host.attach(3, 0, probe));
  set_config(3, 0, 0x10, 0xe0000000);
  EXPECT_EQ(memory(0xe0000010, 4), 0xffffffffu) << "decoding is off";
  set_config(3, 0, 4, 2, 2);
  EXPECT_EQ(memory(0xe0000010, 4), 0x4b010u);
  set_config(3, 0, 0x10, 0xd0000000);
  EXPECT_EQ(memory(0xe0000010, 4), 0xffffffffu);
  EXPECT_EQ(memory(0xd0000ff8, 8), 0x8bff8u);
  host.memory().mmio_write(0xd0000004 - PciHost::kHoleBase, 2, 0x1122);
  EXPECT_EQ(probe.last, (Probe::Access{4, 2, 0x1122}));
}

TEST_F(Pci, AccessThatLeavesABarIsSplit) {
  ASSERT_TRUE(host.attach(3, 0, probe));
  set_config(3, 0, 0x10, 0xd0000000);
  set_config(3, 0, 4, 2, 2);
  EXPECT_EQ(memory(0xd0000fff, 2), 0xffffu) << "0xff from the BAR's last byte, 0xff from nobody";
  host.memory().mmio_write(0xd0000fff - PciHost::kHoleBase, 2, 0x1122);
  EXPECT_EQ(probe.last, (Probe::Access{0xfff, 1, 0x22}));
}

TEST_F(Pci, PortBarFollowsAddressAndEnable) {
  ASSERT_TRUE(host.attach(3, 0, probe));
  set_config(3, 0, 0x14, 0xc100);
  EXPECT_EQ(host.ports().port_read(0xc104, 2), 0xffffu);
  set_config(3, 0, 4, 1, 2);
  EXPECT_EQ(host.ports().port_read(0xc104, 2), 0x2a4u);
  EXPECT_EQ(host.ports().port_read(0xc120, 1), 0xffu);
  host.ports().port_write(0xc11f, 1, 0x5a);
  EXPECT_EQ(probe.last, (Probe::Access{0x1f, 1, 0x5a}));
  set_config(3, 0, 0x14, 0xffffc100);
  EXPECT_EQ(host.ports().port_read(0xc104, 2), 0xffffu) << "above the port space";
}

TEST_F(Pci, InterruptsGoWhereThePirqRegistersSay) {
  ASSERT_TRUE(host.attach(1, 0, isa));
  ASSERT_TRUE(host.attach(3, 0, probe));
  host.route_interrupts(isa);
  probe.set_interrupt(true);
  for (auto& irq : isa_irqs) EXPECT_FALSE(irq.level) << "nothing is routed after reset";
  set_config(1, 0, 0x62, 11, 1);  // slot 3, INTA#: PIRQ C
  EXPECT_TRUE(isa_irqs[11].level);
  set_config(1, 0, 0x62, 5, 1);
  EXPECT_FALSE(isa_irqs[11].level);
  EXPECT_TRUE(isa_irqs[5].level);
  set_config(1, 0, 0x62, 0x85, 1);
  EXPECT_FALSE(isa_irqs[5].level);
  set_config(1, 0, 0x62, 2, 1);
  EXPECT_FALSE(isa_irqs[2].level) << "reserved for the board";
}

TEST_F(Pci, SharedPirqStaysUntilTheLastReleases) {
  Probe second;
  ASSERT_TRUE(host.attach(1, 0, isa));
  ASSERT_TRUE(host.attach(3, 0, probe));
  ASSERT_TRUE(host.attach(7, 0, second));
  host.route_interrupts(isa);
  set_config(1, 0, 0x60, 0x0b0b0b0b);
  probe.set_interrupt(true);
  second.set_interrupt(true);
  probe.set_interrupt(true);  // again: not counted twice
  probe.set_interrupt(false);
  EXPECT_TRUE(isa_irqs[11].level);
  second.set_interrupt(false);
  EXPECT_FALSE(isa_irqs[11].level);
}

TEST_F(Pci, InterruptDisableAndStatus) {
  ASSERT_TRUE(host.attach(1, 0, isa));
  ASSERT_TRUE(host.attach(3, 0, probe));
  host.route_interrupts(isa);
  set_config(1, 0, 0x60, 0x0b0b0b0b);
  set_config(3, 0, 4, 0x400, 2);
  probe.set_interrupt(true);
  EXPECT_FALSE(isa_irqs[11].level);
  EXPECT_EQ(config(3, 0, 6, 2) & 8, 8u);
  set_config(3, 0, 4, 0, 2);
  EXPECT_TRUE(isa_irqs[11].level);
  host.reset();
  EXPECT_FALSE(isa_irqs[11].level);
  EXPECT_EQ(config(3, 0, 6, 2) & 8, 0u);
}

TEST_F(Pci, ChipsetIdentities) {
  FakeTimers timers;
  FakeLine sci;
  Piix4Pm pm{timers, sci, power};
  ASSERT_TRUE(host.attach(1, 0, isa));
  ASSERT_TRUE(host.attach(1, 3, pm));
  EXPECT_EQ(config(1, 0, 0), 0x70008086u);
  EXPECT_EQ(config(1, 0, 8) >> 8, 0x060100u);
  EXPECT_EQ(config(1, 0, 0x0e, 1), 0x80u) << "or function 3 is never looked for";
  EXPECT_EQ(config(1, 3, 0), 0x71138086u);
  EXPECT_EQ(config(1, 3, 8) >> 8, 0x068000u);
}

TEST_F(Pci, FirmwareSetUpPlacesEverything) {
  FakeTimers timers;
  FakeLine sci;
  Piix4Pm pm{timers, sci, power};
  PciTestdev testdev;
  ASSERT_TRUE(host.attach(1, 0, isa));
  ASSERT_TRUE(host.attach(1, 3, pm));
  ASSERT_TRUE(host.attach(3, 0, probe));
  ASSERT_TRUE(host.attach(4, 0, testdev));
  host.route_interrupts(isa);
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(set_up_pci(host, isa, pm));
    const std::uint32_t bars[] = {config(3, 0, 0x10), config(4, 0, 0x10)};
    EXPECT_NE(bars[0], bars[1]);
    for (const auto bar : bars) {
      EXPECT_EQ(bar & 0xfff, 0u);
      EXPECT_GE(bar, PciHost::kHoleBase);
      EXPECT_LE(bar + 0x1000ull, PciHost::kHoleEnd);
    }
    EXPECT_EQ(memory(bars[0], 4), 0x4b000u);
    const auto ports = config(3, 0, 0x14) & ~1u;
    EXPECT_EQ(host.ports().port_read(static_cast<std::uint16_t>(ports), 1), 0xa0u);
    EXPECT_EQ(config(3, 0, 0x3c, 1), 11u) << "slot 3, INTA#: PIRQ C";
    EXPECT_EQ(config(1, 3, 0x3c, 1), 9u);
    EXPECT_NE(host.ports().port_read(0x608, 4), 0xffffffffu) << "PM timer";
    probe.set_interrupt(true);
    EXPECT_TRUE(isa_irqs[11].level);
    host.reset();
    EXPECT_FALSE(isa_irqs[11].level);
    EXPECT_EQ(host.ports().port_read(0x608, 4), 0xffffffffu);
  }
}

// Whatever a guest writes to every register of every function: no crash, and identities survive.
TEST_F(Pci, EveryRegisterTakesEveryWrite) {
  FakeTimers timers;
  FakeLine sci;
  Piix4Pm pm{timers, sci, power};
  ASSERT_TRUE(host.attach(1, 0, isa));
  ASSERT_TRUE(host.attach(1, 3, pm));
  ASSERT_TRUE(host.attach(3, 0, probe));
  host.route_interrupts(isa);
  for (const std::uint32_t value : {0xffffffffu, 0u, 0x80000001u, 0x55aa55aau}) {
    for (unsigned devfn = 0; devfn < 256; ++devfn) {
      for (unsigned reg = 0; reg < 256; reg += 4) set_config(devfn / 8, devfn % 8, reg, value);
    }
    probe.set_interrupt(true);
    for (std::uint32_t port = 0; port < 0x10000; port += 3)
      host.ports().port_write(static_cast<std::uint16_t>(port), 4, value);
    for (std::uint64_t at = PciHost::kHoleBase; at < PciHost::kHoleEnd - 8; at += 0x10ff7)
      host.memory().mmio_write(at - PciHost::kHoleBase, 8, value);
    probe.set_interrupt(false);
  }
  EXPECT_EQ(config(0, 0, 0), 0x12378086u);
  EXPECT_EQ(config(1, 0, 0), 0x70008086u);
  EXPECT_EQ(config(3, 0, 0), 0x56781234u);
}

}  // namespace
}  // namespace ringshift::devices
