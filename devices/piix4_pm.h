// devices/piix4_pm.h - power management (00:01.3): PM1 events and control, PM timer, GPE block, SMI
// command. The PM block moves with its base register, so it is decoded through the PCI host; the
// GPE block and the SMI command port are at fixed ports. The SCI is a level line to the board.
#pragma once

#include <cstdint>
#include <memory>

#include "devices/byte_ports.h"
#include "devices/pci_device.h"
#include "devices/power_control.h"

namespace ringshift::devices {

class Piix4Pm final : public PciDevice {
 public:
  static constexpr std::uint16_t kDefaultPmBase = 0x600, kPmBytes = 64;
  static constexpr std::uint16_t kGpeBase = 0xafe0, kGpeBytes = 4;
  static constexpr std::uint16_t kSmiBase = 0xb2, kSmiBytes = 2;
  static constexpr std::uint8_t kAcpiEnable = 0xf1, kAcpiDisable = 0xf0;
  static constexpr unsigned kSciInterrupt = 9;
  static constexpr std::int64_t kTimerHz = 3'579'545;
  static constexpr unsigned kTimerBits = 24;
  static constexpr std::uint8_t kPowerOffSleepType = 0;  // what \_S5 says
  // Configuration registers that firmware sets.
  static constexpr std::uint8_t kPmBaseRegister = 0x40, kPmEnableRegister = 0x80;

  Piix4Pm(TimerService& timers, Line& sci, PowerControl& power);

  PortHandler& gpe_ports() { return gpe_ports_; }  // kGpeBase, kGpeBytes
  PortHandler& smi_ports() { return smi_ports_; }  // kSmiBase, kSmiBytes

  std::uint16_t pm_base() const { return config(kPmBaseRegister, 2) & 0xffc0; }
  // What a firmware looks at before it sets system management mode up, which is not there.
  void say_smm_is_set_up();
  void reset() override;
  // The user asks the guest to shut down.
  void press_power_button();
  void raise_gpe(unsigned event);  // 0 to 15
  // As if the guest's firmware had handed over to ACPI already.
  void enable_acpi(bool on);

 private:
  std::optional<PciWindow> extra_ports() const override;

  std::uint32_t read_pm(std::uint16_t offset, unsigned size);
  void write_pm_byte(std::uint16_t offset, std::uint8_t value);
  std::uint8_t read_gpe(std::uint16_t offset) const;
  void write_gpe(std::uint16_t offset, std::uint8_t value);
  std::uint8_t read_smi(std::uint16_t offset) const { return smi_[offset & 1]; }
  void write_smi(std::uint16_t offset, std::uint8_t value);

  std::int64_t timer_ticks() const;
  std::uint16_t event_status();
  void clear_events(std::uint16_t bits);
  void schedule_overflow();
  void request_sleep();
  void update_sci();

  Line& sci_;
  PowerControl& power_;
  Clock& clock_;
  std::unique_ptr<Timer> overflow_;
  mutable FunctionPorts pm_ports_;  // handed out by const look-ups
  FunctionBytePorts gpe_ports_, smi_ports_;

  std::uint16_t event_status_ = 0, event_enable_ = 0, control_ = 0;
  std::int64_t next_overflow_tick_ = 0;  // when the timer's top bit changes next
  std::uint16_t gpe_status_ = 0, gpe_enable_ = 0;
  std::uint8_t smi_[kSmiBytes] = {};
};

}  // namespace ringshift::devices
