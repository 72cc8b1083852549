// devices/local_apic_layout.h - register numbers and bits of the local APIC.
#pragma once

#include <cstdint>

namespace ringshift::devices::lapic {

// SDM Vol. 3 "Local APIC Register Address Map": offset / 16, which is also the x2APIC MSR - 800H.
enum Register : unsigned {
  kId = 0x02,
  kVersion = 0x03,
  kTaskPriority = 0x08,
  kArbitrationPriority = 0x09,
  kProcessorPriority = 0x0a,
  kEoi = 0x0b,
  kRemoteRead = 0x0c,
  kLogicalDestination = 0x0d,
  kDestinationFormat = 0x0e,
  kSpurious = 0x0f,
  kIsr = 0x10,
  kTmr = 0x18,
  kIrr = 0x20,
  kErrorStatus = 0x28,
  kIcrLow = 0x30,
  kIcrHigh = 0x31,
  kFirstLvt = 0x32,
  kLastLvt = 0x37,
  kInitialCount = 0x38,
  kCurrentCount = 0x39,
  kDivide = 0x3e,
  kSelfIpi = 0x3f,  // x2APIC only
};

// Integrated APIC, six LVT entries, EOI broadcast can be suppressed.
inline constexpr std::uint32_t kVersionValue = 0x01050014;

inline constexpr std::uint32_t kSvrEnable = 0x100, kSvrFocusDisable = 0x200,
                               kSvrSuppressBroadcast = 0x1000;

inline constexpr std::uint32_t kLvtMasked = 0x10000, kLvtLevel = 0x8000, kLvtRemoteIrr = 0x4000,
                               kLvtStatus = 0x1000, kLvtMode = 0x700, kLvtModeShift = 8,
                               kLvtTimerMode = 0x60000, kLvtTimerModeShift = 17;

inline constexpr std::uint32_t kIcrLogical = 0x800, kIcrStatus = 0x1000, kIcrAssert = 0x4000,
                               kIcrLevel = 0x8000, kIcrShorthandShift = 18;

inline constexpr std::uint32_t kFlatModel = 0xffffffff;
inline constexpr std::uint8_t kFirstLegalVector = 16;

}  // namespace ringshift::devices::lapic
