// devices/local_apic.cc - interrupt state of the local APIC: accept, prioritize, acknowledge, end.
#include "devices/local_apic.h"

#include "devices/local_apic_layout.h"

namespace ringshift::devices {
namespace {

constexpr DeliveryMode mode_of(std::uint32_t lvt) {
  return static_cast<DeliveryMode>((lvt & lapic::kLvtMode) >> lapic::kLvtModeShift);
}
constexpr std::uint32_t lvt_mode(DeliveryMode mode) {
  return static_cast<std::uint32_t>(mode) << lapic::kLvtModeShift;
}
constexpr std::uint8_t priority_class(std::uint8_t vector) { return vector & 0xf0; }

}  // namespace

LocalApic::LocalApic(LocalApicConfig config, ApicBus& bus, TimerService& timers,
                     const GuestTsc& tsc, CpuSignals& cpu, Line& attention)
    : config_(std::move(config)),
      bus_(bus),
      cpu_(cpu),
      attention_(attention),
      lint0_(*this, kLint0),
      lint1_(*this, kLint1),
      timer_(timers, tsc, [this] { deliver_local(kTimer, false); }) {
  bus_.attach(*this);
  reset();
}

void LocalApic::reset() {
  base_ = kDefaultBase | kBaseEnable | (config_.bootstrap_processor ? kBaseBootstrap : 0);
  power_up();
  if (config_.bootstrap_processor && config_.virtual_wire) {
    lvt_[kLint0] = lvt_mode(DeliveryMode::kExtInt);
    lvt_[kLint1] = lvt_mode(DeliveryMode::kNmi);
  }
  update_pending();
}

// SDM Vol. 3 "Local APIC State After Power-Up or Reset".
void LocalApic::power_up() {
  irr_.clear_all();
  isr_.clear_all();
  tmr_.clear_all();
  tpr_ = 0;
  svr_ = 0xff;
  ldr_ = 0;
  dfr_ = lapic::kFlatModel;
  divide_ = 0;
  icr_low_ = icr_high_ = 0;
  errors_ = shown_errors_ = 0;
  lvt_.fill(lapic::kLvtMasked);
  external_message_ = false;
  timer_.reset();
  update_priority();
}

bool LocalApic::software_enabled() const { return svr_ & lapic::kSvrEnable; }

// SDM Vol. 3 "Task and Processor Priorities".
void LocalApic::update_priority() {
  const std::uint8_t in_service = priority_class(isr_.highest());
  ppr_ = priority_class(tpr_) >= in_service ? tpr_ : in_service;
  update_pending();
}

std::uint8_t LocalApic::next_vector() const {
  const std::uint8_t vector = irr_.highest();
  return priority_class(vector) > priority_class(ppr_) ? vector : 0;
}

// SDM Vol. 3 "Local Interrupt Acceptance": ExtINT has no priority of the APIC's.
bool LocalApic::external_pending() const {
  if (!pic_) return false;
  const bool intr = pin_levels_[0];
  if (!enabled()) return intr;
  const std::uint32_t lvt = lvt_[kLint0];
  return external_message_ ||
         (intr && !(lvt & lapic::kLvtMasked) && mode_of(lvt) == DeliveryMode::kExtInt);
}

void LocalApic::update_pending() {
  const bool pending = (enabled() && next_vector() != 0) || external_pending();
  if (pending == pending_) return;
  pending_ = pending;
  hint_.store(pending, std::memory_order_release);
  attention_.set(pending);
}

std::optional<std::uint8_t> LocalApic::acknowledge() {
  if (!pending_) return std::nullopt;
  if (external_pending()) {
    external_message_ = false;
    const std::uint8_t vector = pic_->acknowledge();
    update_pending();
    return vector;
  }
  const std::uint8_t vector = next_vector();
  irr_.clear(vector);
  isr_.set(vector);
  update_priority();
  return vector;
}

// SDM Vol. 3 "Interrupt Acceptance for Fixed Interrupts".
bool LocalApic::accept(std::uint8_t vector, bool level_triggered) {
  if (!accepts_fixed()) return false;
  if (vector < lapic::kFirstLegalVector) {
    report_error(kReceiveIllegalVector);
    return false;
  }
  if (level_triggered) {
    tmr_.set(vector);
  } else {
    tmr_.clear(vector);
  }
  irr_.set(vector);
  update_pending();
  return true;
}

// SDM Vol. 3 "Signaling Interrupt Servicing Completion".
void LocalApic::end_of_interrupt() {
  const std::uint8_t vector = isr_.highest();
  if (!vector) return;
  isr_.clear(vector);
  update_priority();
  if (!tmr_.test(vector)) return;
  for (const Lvt pin : {kLint0, kLint1}) {
    if ((lvt_[pin] & lapic::kLvtRemoteIrr) && (lvt_[pin] & 0xff) == vector) {
      lvt_[pin] &= ~lapic::kLvtRemoteIrr;
      sample_level_pin(pin);
    }
  }
  if (!(svr_ & lapic::kSvrSuppressBroadcast)) bus_.broadcast_eoi(vector);
}

void LocalApic::write_tpr(std::uint8_t value) {
  tpr_ = value;
  update_priority();
}

// SDM Vol. 3 "Error Handling": bits gather until software writes the register.
void LocalApic::report_error(ErrorBit error) {
  if (errors_ & error) return;
  errors_ |= error;
  deliver_local(kError, false);
}

void LocalApic::deliver_local(Lvt lvt, bool level_triggered) {
  const std::uint32_t entry = lvt_[lvt];
  if (entry & lapic::kLvtMasked) return;
  const bool has_mode = lvt != kTimer && lvt != kError;
  switch (has_mode ? mode_of(entry) : DeliveryMode::kFixed) {
    case DeliveryMode::kFixed:
      accept(static_cast<std::uint8_t>(entry), level_triggered);
      break;
    case DeliveryMode::kNmi:
      cpu_.nmi();
      break;
    case DeliveryMode::kSmi:
      cpu_.smi();
      break;
    case DeliveryMode::kInit:
      receive({.destination = id(), .mode = DeliveryMode::kInit});
      break;
    default:  // ExtINT is a level that external_pending() looks at; the rest are not allowed here
      break;
  }
}

void LocalApic::set_pin(Lvt lvt, bool level) {
  const bool rises = level && !pin_level(lvt);
  pin_level(lvt) = level;
  if (!enabled()) {
    if (lvt == kLint1 && rises) cpu_.nmi();
  } else if (mode_of(lvt_[lvt]) == DeliveryMode::kFixed && (lvt_[lvt] & lapic::kLvtLevel)) {
    sample_level_pin(lvt);
  } else if (rises) {
    deliver_local(lvt, false);
  }
  update_pending();
}

// A level-triggered pin interrupts again after each EOI while it is high.
void LocalApic::sample_level_pin(Lvt lvt) {
  const std::uint32_t entry = lvt_[lvt];
  if (!pin_level(lvt) || (entry & (lapic::kLvtMasked | lapic::kLvtRemoteIrr))) return;
  if (mode_of(entry) != DeliveryMode::kFixed || !(entry & lapic::kLvtLevel)) return;
  if (accept(static_cast<std::uint8_t>(entry), true)) lvt_[lvt] |= lapic::kLvtRemoteIrr;
}

// SDM Vol. 3 "Determining IPI Destination".
bool LocalApic::is_destination(const ApicMessage& message) const {
  if (!enabled()) return false;
  if (message.destination == kBroadcastDestination) return true;
  if (!message.logical) return message.destination == id();
  const std::uint32_t own = logical_id();
  if (extended())
    return message.destination >> 16 == own >> 16 && (message.destination & own & 0xffff);
  if (message.destination > 0xff) return false;
  const std::uint32_t mine = own >> 24;
  if (dfr_ >> 28 == 0xf) return mine & message.destination;
  return mine >> 4 == message.destination >> 4 && (mine & message.destination & 15);
}

bool LocalApic::receive(const ApicMessage& message) {
  if (!enabled()) return false;
  switch (message.mode) {
    case DeliveryMode::kFixed:
    case DeliveryMode::kLowestPriority:
      return accept(message.vector, message.level_triggered);
    case DeliveryMode::kSmi:
      cpu_.smi();
      return true;
    case DeliveryMode::kNmi:
      cpu_.nmi();
      return true;
    case DeliveryMode::kInit:
      // SDM Vol. 3 "Local APIC State After It Receives an INIT Reset": as after power-up, but for
      // the ID and IA32_APIC_BASE.
      power_up();
      cpu_.init();
      return true;
    case DeliveryMode::kStartup:
      cpu_.startup(message.vector);
      return true;
    case DeliveryMode::kExtInt:
      external_message_ = true;
      update_pending();
      return true;
  }
  return false;
}

// SDM Vol. 3 "Interrupt Command Register (ICR)".
void LocalApic::send_ipi() {
  enum Shorthand { kNone, kSelf, kAll, kAllButSelf };
  const auto mode = static_cast<DeliveryMode>(icr_low_ >> 8 & 7);
  const bool level = icr_low_ & lapic::kIcrLevel;
  // INIT level de-assert only synchronized the arbitration IDs of old processors.
  if (mode == DeliveryMode::kInit && level && !(icr_low_ & lapic::kIcrAssert)) return;
  ApicMessage message{
      .destination =
          extended() ? icr_high_ : widen_destination(static_cast<std::uint8_t>(icr_high_ >> 24)),
      .logical = (icr_low_ & lapic::kIcrLogical) != 0,
      .mode = mode,
      .vector = static_cast<std::uint8_t>(icr_low_)};
  const bool has_vector = mode == DeliveryMode::kFixed || mode == DeliveryMode::kLowestPriority;
  if (has_vector && message.vector < lapic::kFirstLegalVector)
    return report_error(kSendIllegalVector);
  switch (icr_low_ >> lapic::kIcrShorthandShift & 3) {
    case kNone:
      bus_.deliver(message);
      break;
    case kSelf:
      receive(message);
      break;
    case kAll:
      bus_.deliver_to_all(message, nullptr);
      break;
    case kAllButSelf:
      bus_.deliver_to_all(message, this);
      break;
  }
}

}  // namespace ringshift::devices
