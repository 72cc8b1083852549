// devices/local_apic_registers.cc - what software sees of the local APIC: MMIO, MSRs, mode changes.
#include "devices/local_apic.h"
#include "devices/local_apic_layout.h"

namespace ringshift::devices {
namespace {

using namespace lapic;

constexpr std::uint32_t kIa32ApicBase = 0x1b, kIa32TscDeadline = 0x6e0;
constexpr std::uint32_t kFirstX2apicMsr = 0x800, kLastX2apicMsr = 0x8ff;

constexpr bool in(unsigned index, unsigned first, unsigned count) {
  return index >= first && index < first + count;
}

}  // namespace

std::optional<std::uint64_t> LocalApic::msr_read(std::uint32_t index) {
  if (index == kIa32ApicBase) return base_;
  if (index == kIa32TscDeadline && config_.tsc_deadline) return timer_.deadline();
  if (index >= kFirstX2apicMsr && index <= kLastX2apicMsr && extended())
    return read_x2apic(index - kFirstX2apicMsr);
  return std::nullopt;
}

bool LocalApic::msr_write(std::uint32_t index, std::uint64_t value) {
  if (index == kIa32TscDeadline && config_.tsc_deadline) {
    timer_.set_deadline(value);
    return true;
  }
  if (index >= kFirstX2apicMsr && index <= kLastX2apicMsr && extended())
    return write_x2apic(index - kFirstX2apicMsr, value);
  return index == kIa32ApicBase && write_base(value);
}

// SDM Vol. 3 "x2APIC State Transitions":
//
//   disabled  <->  xAPIC  ->  x2APIC  ->  disabled      everything else is #GP
bool LocalApic::write_base(std::uint64_t value) {
  const std::uint64_t address =
      ((std::uint64_t{1} << config_.physical_address_bits) - 1) & ~0xfffull;
  const std::uint64_t allowed =
      address | kBaseBootstrap | kBaseEnable | (config_.x2apic ? kBaseExtended : 0);
  if (value & ~allowed) return false;
  const bool on = value & kBaseEnable, x2 = value & kBaseExtended;
  const bool was_on = enabled(), was_x2 = extended();
  if (x2 && !(on && was_on)) return false;
  if (on && !x2 && was_x2) return false;

  const std::uint64_t old = base_;
  base_ = value;
  if (on != was_on) {
    // Without its APIC the processor still has CR8; the APIC comes back as after power-up.
    const std::uint8_t priority = tpr_;
    power_up();
    if (!on) write_tpr(priority);
  }
  if (x2 && !was_x2) icr_high_ = 0;
  update_pending();
  if (old != base_ && config_.base_changed) config_.base_changed(base_);
  return true;
}

// Registers are 32 bits wide at the start of each 16 bytes; other accesses are undefined. Reads of
// part of a register give that part, other writes are dropped.
std::uint64_t LocalApic::mmio_read(std::uint64_t offset, unsigned size) {
  const std::uint64_t ones = size >= 8 ? ~0ull : (1ull << (8 * size)) - 1;
  if (!enabled() || extended()) return ones;
  const unsigned byte = offset & 15;
  if (byte >= 4) return 0;
  const auto value = read_register(static_cast<unsigned>(offset >> 4));
  if (!value) {
    report_error(kIllegalRegister);
    return 0;
  }
  return std::uint64_t{*value} >> (8 * byte) & ones;
}

void LocalApic::mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  if (!enabled() || extended() || (offset & 15) || size < 4) return;
  const auto index = static_cast<unsigned>(offset >> 4);
  if (!write_register(index, static_cast<std::uint32_t>(value))) report_error(kIllegalRegister);
}

std::uint32_t LocalApic::logical_id() const {
  if (!extended()) return ldr_;
  return (id() & ~15u) << 12 | 1u << (id() & 15);
}

std::optional<std::uint32_t> LocalApic::read_register(unsigned index) {
  if (in(index, kIsr, 8)) return isr_.register_value(index - kIsr);
  if (in(index, kTmr, 8)) return tmr_.register_value(index - kTmr);
  if (in(index, kIrr, 8)) return irr_.register_value(index - kIrr);
  if (in(index, kFirstLvt, kLvtCount)) return lvt_[index - kFirstLvt];
  switch (index) {
    case kId:
      return extended() ? id() : id() << 24;
    case kVersion:
      return kVersionValue;
    case kTaskPriority:
      return tpr_;
    case kProcessorPriority:
      return ppr_;
    case kArbitrationPriority:
    case kRemoteRead:
    case kEoi:
      return 0;
    case kLogicalDestination:
      return logical_id();
    case kDestinationFormat:
      return dfr_;
    case kSpurious:
      return svr_;
    case kErrorStatus:
      return shown_errors_;
    case kIcrLow:
      return icr_low_;
    case kIcrHigh:
      return icr_high_;
    case kInitialCount:
      return timer_.initial_count();
    case kCurrentCount:
      return timer_.current_count();
    case kDivide:
      return divide_;
    default:
      return std::nullopt;
  }
}

bool LocalApic::write_register(unsigned index, std::uint32_t value) {
  if (index == kEoi) {
    end_of_interrupt();
    return true;
  }
  if (in(index, kFirstLvt, kLvtCount)) {
    write_lvt(static_cast<Lvt>(index - kFirstLvt), value);
    return true;
  }
  switch (index) {
    case kTaskPriority:
      write_tpr(static_cast<std::uint8_t>(value));
      return true;
    case kLogicalDestination:
      ldr_ = value & 0xff000000;
      return true;
    case kDestinationFormat:
      dfr_ = value | 0x0fffffff;
      return true;
    case kSpurious:
      write_svr(value);
      return true;
    case kErrorStatus:
      shown_errors_ = errors_;
      errors_ = 0;
      return true;
    case kIcrLow:
      icr_low_ = value & 0x000ccfff;
      send_ipi();
      return true;
    case kIcrHigh:
      icr_high_ = value & 0xff000000;
      return true;
    case kInitialCount:
      timer_.set_initial_count(value);
      return true;
    case kDivide:
      divide_ = value & 0xb;
      timer_.set_divide(divide_);
      return true;
    default:
      return read_register(index).has_value();  // read-only ones ignore the write
  }
}

// SDM Vol. 3 "Local APIC State After It Has Been Software Disabled": the LVT is masked, what is
// pending or in service stays.
void LocalApic::write_svr(std::uint32_t value) {
  svr_ = value & (0xff | kSvrEnable | kSvrFocusDisable | kSvrSuppressBroadcast);
  if (!software_enabled()) {
    for (unsigned lvt = 0; lvt < kLvtCount; ++lvt)
      write_lvt(static_cast<Lvt>(lvt), lvt_[lvt] | kLvtMasked);
  }
  update_pending();
}

std::uint32_t LocalApic::lvt_writable(Lvt lvt) const {
  switch (lvt) {
    case kTimer:
      return 0xff | kLvtMasked | (config_.tsc_deadline ? kLvtTimerMode : 1u << kLvtTimerModeShift);
    case kLint0:
    case kLint1:
      return 0xff | kLvtMode | kLvtMasked | 0x2000 | kLvtLevel;
    case kError:
      return 0xff | kLvtMasked;
    default:
      return 0xff | kLvtMode | kLvtMasked;
  }
}

void LocalApic::write_lvt(Lvt lvt, std::uint32_t value) {
  value &= lvt_writable(lvt);
  if (!software_enabled()) value |= kLvtMasked;
  if (lvt == kTimer) {
    timer_.set_lvt(static_cast<LocalApicTimer::Mode>((value & kLvtTimerMode) >> kLvtTimerModeShift),
                   value & kLvtMasked);
    lvt_[lvt] = value;
    return;
  }
  // Remote IRR lives only in a fixed, level-triggered entry.
  const bool level = (value & kLvtLevel) && !(value & kLvtMode);
  lvt_[lvt] = value | (level ? lvt_[lvt] & kLvtRemoteIrr : 0);
  if (lvt == kLint0 || lvt == kLint1) sample_level_pin(lvt);
  update_pending();
}

// SDM Vol. 3 "x2APIC Register Address Space".
std::optional<std::uint64_t> LocalApic::read_x2apic(unsigned index) {
  switch (index) {
    case kArbitrationPriority:
    case kRemoteRead:
    case kEoi:
    case kDestinationFormat:
    case kIcrHigh:
      return std::nullopt;  // not there, or write-only
    case kIcrLow:
      return std::uint64_t{icr_high_} << 32 | icr_low_;
    default:
      return read_register(index);
  }
}

// Bits that software may set; 0 means that the register must be written as 0 (EOI, ESR) or not at
// all.
std::uint64_t LocalApic::x2apic_writable(unsigned index) const {
  constexpr std::uint32_t kReadOnlyStatus = kLvtStatus | kLvtRemoteIrr;
  if (in(index, kFirstLvt, kLvtCount))
    return lvt_writable(static_cast<Lvt>(index - kFirstLvt)) | kReadOnlyStatus;
  switch (index) {
    case kTaskPriority:
    case kSelfIpi:
      return 0xff;
    case kSpurious:
      return 0xff | kSvrEnable | kSvrFocusDisable | kSvrSuppressBroadcast;
    case kIcrLow:
      return 0xffffffff'000cdfff;
    case kInitialCount:
      return 0xffffffff;
    case kDivide:
      return 0xb;
    default:
      return 0;
  }
}

bool LocalApic::write_x2apic(unsigned index, std::uint64_t value) {
  const std::uint64_t writable = x2apic_writable(index);
  if (!writable && index != kEoi && index != kErrorStatus) return false;
  if (value & ~writable) return false;
  switch (index) {
    case kIcrLow:
      icr_high_ = static_cast<std::uint32_t>(value >> 32);
      break;
    case kSelfIpi: {
      const auto vector = static_cast<std::uint8_t>(value);
      if (vector < kFirstLegalVector) {
        report_error(kSendIllegalVector);
      } else {
        accept(vector, false);
      }
      return true;
    }
    default:
      break;
  }
  return write_register(index, static_cast<std::uint32_t>(value));
}

}  // namespace ringshift::devices
