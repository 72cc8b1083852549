// tests/unit/devices/piix4_pm_test.cc - PM timer, ACPI events and SCI, soft-off, SMI command, GPE
// block.
#include "devices/piix4_pm.h"

#include <gtest/gtest.h>

#include "devices/pci_host.h"
#include "tests/unit/devices/board_fakes.h"

namespace ringshift::devices {
namespace {

using namespace board_fakes;

class Pm : public ::testing::Test {
 protected:
  enum : std::uint16_t { kStatus = 0x600, kEnable = 0x602, kControl = 0x604, kTimer = 0x608 };
  Pm() {
    EXPECT_TRUE(host.attach(1, 3, pm));
    pm.config_write(Piix4Pm::kPmBaseRegister, 4, 0x600);
    pm.config_write(Piix4Pm::kPmEnableRegister, 1, 1);
  }
  std::uint32_t in(std::uint16_t port, unsigned size = 2) {
    return host.ports().port_read(port, size);
  }
  void out(std::uint16_t port, std::uint32_t value, unsigned size = 2) {
    host.ports().port_write(port, size, value);
  }
  void smi(std::uint8_t command) { pm.smi_ports().port_write(0, 1, command); }
  static constexpr std::int64_t kSecond = 1'000'000'000;

  FakeTimers timers;
  FakeLine sci;
  FakePower power;
  PciHost host{power};
  Piix4Pm pm{timers, sci, power};
};

TEST_F(Pm, BlockMovesWithItsBaseAndGoesWithItsEnable) {
  timers.advance(kSecond);
  EXPECT_EQ(in(kTimer, 4), 3'579'545u);
  pm.config_write(Piix4Pm::kPmBaseRegister, 4, 0xb000);
  EXPECT_EQ(in(kTimer, 4), 0xffffffffu);
  EXPECT_EQ(in(0xb008, 4), 3'579'545u);
  pm.config_write(Piix4Pm::kPmEnableRegister, 1, 0);
  EXPECT_EQ(in(0xb008, 4), 0xffffffffu);
  EXPECT_EQ(pm.config_read(Piix4Pm::kPmBaseRegister, 4), 0xb001u);
}

TEST_F(Pm, TimerIsExactAfterYearsAndHas24Bits) {
  constexpr std::int64_t kYears = 10LL * 365 * 86400;
  timers.advance(kYears * kSecond);
  EXPECT_EQ(in(kTimer, 4), static_cast<std::uint64_t>(kYears) * 3'579'545u % (1u << 24));
  EXPECT_EQ(in(kTimer + 3, 1), 0u);
}

TEST_F(Pm, TimerOverflowSetsStatusWhetherOrNotEnabled) {
  EXPECT_EQ(in(kStatus)&1, 0u);
  timers.advance(3 * kSecond);  // 2^23 ticks take 2.34 s
  EXPECT_EQ(in(kStatus)&1, 1u);
  out(kStatus, 1);
  EXPECT_EQ(in(kStatus)&1, 0u);
  EXPECT_FALSE(sci.level);
}

TEST_F(Pm, TimerOverflowRaisesTheSciOnTime) {
  smi(Piix4Pm::kAcpiEnable);
  out(kEnable, 1);
  timers.advance(2'343'484'437);  // 2^23 / 3579545 s = 2.3434844 s
  EXPECT_FALSE(sci.level);
  timers.advance(2'000);
  EXPECT_TRUE(sci.level);
  out(kStatus, 1);
  EXPECT_FALSE(sci.level);
  timers.advance(2'343'500'000);
  EXPECT_TRUE(sci.level) << "and again half a period later";
}

TEST_F(Pm, SmiCommandHandsOverToAcpiAndBack) {
  EXPECT_EQ(in(kControl)&1, 0u);
  smi(Piix4Pm::kAcpiEnable);
  EXPECT_EQ(in(kControl)&1, 1u);
  smi(0x55);
  EXPECT_EQ(in(kControl)&1, 1u);
  EXPECT_EQ(pm.smi_ports().port_read(0, 1), 0x55u);
  smi(Piix4Pm::kAcpiDisable);
  EXPECT_EQ(in(kControl)&1, 0u);
}

TEST_F(Pm, PowerButtonNeedsEnableAndAcpiMode) {
  pm.press_power_button();
  EXPECT_EQ(in(kStatus), 0x100u);
  EXPECT_FALSE(sci.level);
  out(kEnable, 0x100);
  EXPECT_FALSE(sci.level);
  smi(Piix4Pm::kAcpiEnable);
  EXPECT_TRUE(sci.level);
  out(kStatus + 1, 0x01, 1);
  EXPECT_FALSE(sci.level);
}

TEST_F(Pm, SoftOffOnlyWithSleepEnableAndItsType) {
  out(kControl, 0x0001);
  EXPECT_EQ(power.power_offs, 0);
  out(kControl, 0x2001 | 1 << 10);  // S3 is not offered
  EXPECT_EQ(power.power_offs, 0);
  out(kControl, 0x2001);
  EXPECT_EQ(power.power_offs, 1);
  EXPECT_EQ(in(kControl), 0x0001u) << "SLP_EN reads as zero";
  out(kControl + 1, 0x20, 1);
  EXPECT_EQ(power.power_offs, 2) << "a byte write works too";
}

TEST_F(Pm, GpeBlock) {
  smi(Piix4Pm::kAcpiEnable);
  pm.raise_gpe(9);
  EXPECT_EQ(pm.gpe_ports().port_read(0, 2), 0x200u);
  EXPECT_FALSE(sci.level);
  pm.gpe_ports().port_write(3, 1, 0x02);
  EXPECT_TRUE(sci.level);
  pm.gpe_ports().port_write(0, 2, 0x200);
  EXPECT_FALSE(sci.level);
  EXPECT_EQ(pm.gpe_ports().port_read(0, 4), 0x02000000u);
}

TEST_F(Pm, ResetForgetsEvents) {
  smi(Piix4Pm::kAcpiEnable);
  out(kEnable, 0x101);
  pm.press_power_button();
  EXPECT_TRUE(sci.level);
  host.reset();
  EXPECT_FALSE(sci.level);
  EXPECT_EQ(timers.armed(), 0u);
}

}  // namespace
}  // namespace ringshift::devices
