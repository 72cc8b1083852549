// devices/piix4_pm.cc - ACPI fixed hardware of the PIIX4 and the PM timer.
// Facts: ACPI Specification "ACPI Hardware Specification"; Intel 82371AB (PIIX4) data sheet, "Power
// Management".
#include "devices/piix4_pm.h"

namespace ringshift::devices {
namespace {

// Offsets in the PM block.
constexpr std::uint16_t kEventStatus = 0x00, kEventEnable = 0x02, kControl = 0x04, kTimer = 0x08;

namespace event {
constexpr std::uint16_t kTimer = 1 << 0, kGlobalLock = 1 << 5, kPowerButton = 1 << 8,
                        kRtc = 1 << 10, kWake = 1 << 15;
constexpr std::uint16_t kStatusBits = kTimer | 1 << 4 | kGlobalLock | kPowerButton | kRtc | kWake;
constexpr std::uint16_t kEnableBits = kTimer | kGlobalLock | kPowerButton | kRtc;
}  // namespace event
namespace control {
constexpr std::uint16_t kSciEnable = 1 << 0, kSleepEnable = 1 << 13;
constexpr unsigned kSleepTypeShift = 10;
constexpr std::uint16_t kStored = 0x1c07;  // SCI_EN, BM_RLD, GBL_RLS, SLP_TYP
}  // namespace control

constexpr std::int64_t kHalfPeriod = std::int64_t{1} << (Piix4Pm::kTimerBits - 1);
constexpr std::int64_t kSecond = 1'000'000'000;

}  // namespace

Piix4Pm::Piix4Pm(TimerService& timers, Line& sci, PowerControl& power)
    : PciDevice({.vendor = 0x8086,
                 .device = 0x7113,
                 .class_code = 0x068000,
                 .revision = 3,
                 .subsystem_vendor = 0x1af4,
                 .subsystem = 0x1100}),
      sci_(sci),
      power_(power),
      clock_(timers.clock()),
      overflow_(timers.create([this] { update_sci(); })),
      pm_ports_([this](std::uint16_t offset, unsigned size) { return read_pm(offset, size); },
                [this](std::uint16_t offset, unsigned size, std::uint32_t value) {
                  for (unsigned i = 0; i < size; ++i)
                    write_pm_byte(static_cast<std::uint16_t>(offset + i),
                                  static_cast<std::uint8_t>(value >> (8 * i)));
                }),
      gpe_ports_([this](std::uint16_t offset) { return read_gpe(offset); },
                 [this](std::uint16_t offset, std::uint8_t value) { write_gpe(offset, value); }),
      smi_ports_([this](std::uint16_t offset) { return read_smi(offset); },
                 [this](std::uint16_t offset, std::uint8_t value) { write_smi(offset, value); }) {
  define(pci::kStatus, 2, 0x0280);
  set_interrupt_pin(1);
  define(kPmBaseRegister, 4, 1, 0xffc0);
  define(0x44, 4, 0, 0xffffffff);  // count A, stored only
  define(0x48, 4, 0, 0xffffffff);  // count B, stored only
  define(0x58, 4, 0, 0xffffffff);  // device activity, stored only
  define(kPmEnableRegister, 1, 0, 0x01);
  reset();
}

void Piix4Pm::reset() {
  PciDevice::reset();
  event_status_ = event_enable_ = control_ = 0;
  gpe_status_ = gpe_enable_ = 0;
  smi_[0] = smi_[1] = 0;
  clear_events(event::kTimer);
  update_sci();
}

// "Device Activity B": APMC_EN, an SMI at each write to the command port.
void Piix4Pm::say_smm_is_set_up() { config_write(0x5b, 1, 0x02); }

std::optional<PciWindow> Piix4Pm::extra_ports() const {
  if (!(config(kPmEnableRegister, 1) & 1)) return std::nullopt;
  const std::uint32_t base = config(kPmBaseRegister, 4) & 0xffc0;
  if (base == 0) return std::nullopt;
  return PciWindow{base, kPmBytes, &pm_ports_, nullptr};
}

std::int64_t Piix4Pm::timer_ticks() const {
  // Split so that the product stays inside 64 bits however long the machine runs.
  const std::int64_t now = clock_.now_ns();
  return now / kSecond * kTimerHz + now % kSecond * kTimerHz / kSecond;
}

std::uint16_t Piix4Pm::event_status() {
  if (timer_ticks() >= next_overflow_tick_) event_status_ |= event::kTimer;
  return event_status_;
}

void Piix4Pm::clear_events(std::uint16_t bits) {
  event_status_ &= static_cast<std::uint16_t>(~bits);
  if (bits & event::kTimer) next_overflow_tick_ = (timer_ticks() / kHalfPeriod + 1) * kHalfPeriod;
}

std::uint32_t Piix4Pm::read_pm(std::uint16_t offset, unsigned size) {
  const unsigned within = offset & 3u;
  if (within + size > 4) {  // not a register of this device: byte by byte
    std::uint32_t value = 0;
    for (unsigned i = 0; i < size; ++i)
      value |= read_pm(static_cast<std::uint16_t>(offset + i), 1) << (8 * i);
    return value;
  }
  std::uint32_t word = 0;
  switch (offset & ~3u) {
    case kEventStatus:
      word = event_status() | std::uint32_t{event_enable_} << 16;
      break;
    case kControl:
      word = control_;
      break;
    case kTimer:
      word = static_cast<std::uint32_t>(timer_ticks() & ((1 << kTimerBits) - 1));
      break;
    default:
      break;
  }
  return (word >> (8 * within)) & static_cast<std::uint32_t>(all_ones(size));
}

void Piix4Pm::write_pm_byte(std::uint16_t offset, std::uint8_t value) {
  const bool high = offset & 1;
  const auto bits = static_cast<std::uint16_t>(high ? value << 8 : value);
  const std::uint16_t lane = high ? 0xff00 : 0x00ff;
  const auto merge = [&](std::uint16_t old, std::uint16_t writable) {
    const auto changed = static_cast<std::uint16_t>(lane & writable);
    return static_cast<std::uint16_t>((old & ~changed) | (bits & changed));
  };
  switch (offset & ~1u) {
    case kEventStatus:
      event_status();  // an overflow up to now belongs to what is being cleared
      clear_events(bits & event::kStatusBits);
      break;
    case kEventEnable:
      event_enable_ = merge(event_enable_, event::kEnableBits);
      break;
    case kControl:
      control_ = merge(control_, control::kStored);
      if (bits & control::kSleepEnable) request_sleep();
      break;
    default:
      return;
  }
  update_sci();
}

// Only soft-off exists; \_S1 to \_S4 are not offered, and a guest that asks anyway stays awake.
void Piix4Pm::request_sleep() {
  const unsigned type = (control_ >> control::kSleepTypeShift) & 7u;
  if (type == kPowerOffSleepType) power_.power_off();
}

std::uint8_t Piix4Pm::read_gpe(std::uint16_t offset) const {
  const std::uint16_t word = offset & 2 ? gpe_enable_ : gpe_status_;
  return static_cast<std::uint8_t>(offset & 1 ? word >> 8 : word);
}

void Piix4Pm::write_gpe(std::uint16_t offset, std::uint8_t value) {
  const unsigned shift = offset & 1 ? 8 : 0;
  const auto bits = static_cast<std::uint16_t>(value << shift);
  if (offset & 2) {
    gpe_enable_ = static_cast<std::uint16_t>((gpe_enable_ & ~(0xff << shift)) | bits);
  } else {
    gpe_status_ &= static_cast<std::uint16_t>(~bits);
  }
  update_sci();
}

void Piix4Pm::write_smi(std::uint16_t offset, std::uint8_t value) {
  smi_[offset & 1] = value;
  if (offset & 1) return;  // the data byte
  if (value == kAcpiEnable) enable_acpi(true);
  if (value == kAcpiDisable) enable_acpi(false);
}

void Piix4Pm::enable_acpi(bool on) {
  control_ = static_cast<std::uint16_t>(on ? control_ | control::kSciEnable
                                           : control_ & ~control::kSciEnable);
  update_sci();
}

void Piix4Pm::press_power_button() {
  event_status_ |= event::kPowerButton;
  update_sci();
}

void Piix4Pm::raise_gpe(unsigned event) {
  gpe_status_ |= static_cast<std::uint16_t>(1u << (event & 15));
  update_sci();
}

// Without SCI_EN the events would be system management interrupts, which this machine has not.
void Piix4Pm::update_sci() {
  const bool pending = (event_status() & event_enable_) || (gpe_status_ & gpe_enable_);
  sci_.set(pending && (control_ & control::kSciEnable));
  schedule_overflow();
}

void Piix4Pm::schedule_overflow() {
  if ((event_enable_ & event::kTimer) && !(event_status_ & event::kTimer)) {
    // Rounded up, so that the tick has passed when the timer fires.
    overflow_->arm(next_overflow_tick_ / kTimerHz * kSecond +
                   (next_overflow_tick_ % kTimerHz * kSecond + kTimerHz - 1) / kTimerHz);
  } else {
    overflow_->cancel();
  }
}

}  // namespace ringshift::devices
