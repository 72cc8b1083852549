// devices/pic.cc - 8259A: priority resolution, command words, INTA and poll.
#include "devices/pic.h"

#include <bit>

namespace ringshift::devices {
namespace {

constexpr unsigned kPins = 8;
constexpr unsigned kSpuriousPin = 7;
constexpr unsigned kCascade = 2;

constexpr std::uint8_t bit(unsigned pin) { return static_cast<std::uint8_t>(1u << pin); }

namespace icw1 {
constexpr std::uint8_t kNeedsIcw4 = 0x01, kSingle = 0x02, kLevel = 0x08, kMarker = 0x10;
}
namespace icw4 {
constexpr std::uint8_t kAutoEoi = 0x02, kSpecialFullyNested = 0x10;
}
namespace ocw2 {
constexpr std::uint8_t kEoi = 0x20, kSpecific = 0x40, kRotate = 0x80;
}
namespace ocw3 {
constexpr std::uint8_t kReadIsr = 0x01, kReadRegister = 0x02, kPoll = 0x04, kMarker = 0x08,
                       kSpecialMask = 0x20, kEnableSpecialMask = 0x40;
}

// ELCR: IRQ 0, 1, 2, 8 and 13 are edge-triggered for good.
constexpr std::uint8_t kMasterElcrMask = 0xf8, kSlaveElcrMask = 0xde;

}  // namespace

Pic8259::Pic8259(Role role, std::uint8_t elcr_mask, Line& intr)
    : role_(role), elcr_mask_(elcr_mask), intr_(intr) {}

// DEVIATION: an edge that was latched stays latched when the line falls before INTA; the chip
// forgets it and answers INTA as spurious. When the host runs late, PIT and HPET pulses would be
// lost so.
void Pic8259::set_input(unsigned pin, bool level) {
  const std::uint8_t mask = bit(pin);
  const bool rises = level && !(inputs_ & mask);
  inputs_ = static_cast<std::uint8_t>(level ? inputs_ | mask : inputs_ & ~mask);
  if (rises) irr_ |= mask;
  follow_levels();
  update_intr();
}

// The request of a level-triggered input is the input itself.
void Pic8259::follow_levels() {
  const std::uint8_t level = level_inputs();
  irr_ = static_cast<std::uint8_t>((irr_ & ~level) | (inputs_ & level));
}

void Pic8259::set_elcr(std::uint8_t value) {
  elcr_ = value & elcr_mask_;
  follow_levels();
  update_intr();
}

unsigned Pic8259::first_in_priority(std::uint8_t set) const {
  const unsigned highest = (lowest_ + 1) % kPins;
  const std::uint8_t ranked = std::rotr(set, static_cast<int>(highest));
  return (static_cast<unsigned>(std::countr_zero(ranked)) + highest) % kPins;
}

std::optional<unsigned> Pic8259::requested() const {
  const std::uint8_t requests = static_cast<std::uint8_t>(irr_ & ~imr_);
  if (!requests) return std::nullopt;
  std::uint8_t blocking = isr_;
  // Special mask mode: an input that is masked no longer blocks those below it.
  if (special_mask_) blocking = static_cast<std::uint8_t>(blocking & ~imr_);
  const unsigned pin = first_in_priority(requests);
  if (!blocking) return pin;
  const unsigned in_service = first_in_priority(blocking);
  // Special fully nested mode: the slave may interrupt its own service with a higher input.
  if (special_fully_nested_ && role_ == Role::kMaster && pin == kCascade && in_service == kCascade)
    return pin;
  const auto rank = [&](unsigned p) { return (p + kPins - lowest_ - 1) % kPins; };
  if (rank(pin) >= rank(in_service)) return std::nullopt;
  return pin;
}

void Pic8259::update_intr() { intr_.set(requested().has_value()); }

std::optional<unsigned> Pic8259::begin_service() {
  const auto pin = requested();
  // INT falls with INTA, so that a request that remains is a new edge for whoever listens.
  intr_.set(false);
  if (pin) {
    if (!(level_inputs() & bit(*pin))) irr_ = static_cast<std::uint8_t>(irr_ & ~bit(*pin));
    if (!auto_eoi_) {
      isr_ |= bit(*pin);
    } else if (rotate_in_auto_eoi_) {
      lowest_ = static_cast<std::uint8_t>(*pin);
    }
  }
  update_intr();
  return pin;
}

std::uint8_t Pic8259::read_byte(std::uint16_t offset) {
  if (poll_) {
    poll_ = false;
    const auto pin = begin_service();
    return static_cast<std::uint8_t>(pin ? 0x80 | *pin : 0);
  }
  if (offset & 1) return imr_;
  return read_isr_ ? isr_ : irr_;
}

void Pic8259::write_byte(std::uint16_t offset, std::uint8_t value) {
  if (!(offset & 1)) {
    if (value & icw1::kMarker) {
      write_icw1(value);
    } else if (value & ocw3::kMarker) {
      write_ocw3(value);
    } else {
      write_ocw2(value);
    }
  } else if (expects_ == Expects::kOperation) {
    imr_ = value;  // OCW1
  } else {
    write_next_icw(value);
  }
  update_intr();
}

void Pic8259::write_icw1(std::uint8_t value) {
  // The edge sense circuit is reset: an input that is high must fall before it can ask again.
  irr_ = 0;
  isr_ = 0;
  imr_ = 0;
  lowest_ = 7;
  special_mask_ = false;
  read_isr_ = false;
  poll_ = false;
  auto_eoi_ = false;
  rotate_in_auto_eoi_ = false;
  special_fully_nested_ = false;
  level_triggered_ = value & icw1::kLevel;
  needs_icw3_ = !(value & icw1::kSingle);
  needs_icw4_ = value & icw1::kNeedsIcw4;
  expects_ = Expects::kIcw2;
  follow_levels();
}

void Pic8259::write_next_icw(std::uint8_t value) {
  switch (expects_) {
    case Expects::kIcw2:
      vector_base_ = value & 0xf8;
      expects_ = needs_icw3_ ? Expects::kIcw3 : needs_icw4_ ? Expects::kIcw4 : Expects::kOperation;
      break;
    case Expects::kIcw3:  // the cascade is wired to IR2, whatever is written here
      expects_ = needs_icw4_ ? Expects::kIcw4 : Expects::kOperation;
      break;
    case Expects::kIcw4:
      auto_eoi_ = value & icw4::kAutoEoi;
      special_fully_nested_ = value & icw4::kSpecialFullyNested;
      expects_ = Expects::kOperation;
      break;
    case Expects::kOperation:
      break;
  }
}

void Pic8259::write_ocw2(std::uint8_t value) {
  const bool rotate = value & ocw2::kRotate;
  const unsigned named = value & 7;
  switch (value & (ocw2::kEoi | ocw2::kSpecific)) {
    case ocw2::kEoi: {
      // A service whose input is masked in special mask mode is not the one that ends here.
      const auto candidates = static_cast<std::uint8_t>(special_mask_ ? isr_ & ~imr_ : isr_);
      if (candidates) end_of_interrupt(first_in_priority(candidates), rotate);
      break;
    }
    case ocw2::kEoi | ocw2::kSpecific:
      end_of_interrupt(named, rotate);
      break;
    case ocw2::kSpecific:
      if (rotate) lowest_ = static_cast<std::uint8_t>(named);
      break;
    default:
      rotate_in_auto_eoi_ = rotate;
      break;
  }
}

void Pic8259::end_of_interrupt(unsigned pin, bool rotate) {
  isr_ = static_cast<std::uint8_t>(isr_ & ~bit(pin));
  if (rotate) lowest_ = static_cast<std::uint8_t>(pin);
}

void Pic8259::write_ocw3(std::uint8_t value) {
  if (value & ocw3::kEnableSpecialMask) special_mask_ = value & ocw3::kSpecialMask;
  if (value & ocw3::kPoll) {
    poll_ = true;
  } else if (value & ocw3::kReadRegister) {
    read_isr_ = value & ocw3::kReadIsr;
  }
}

PicPair::PicPair(Line& intr)
    : master_(Pic8259::Role::kMaster, kMasterElcrMask, intr),
      slave_(Pic8259::Role::kSlave, kSlaveElcrMask, cascade_),
      elcr_(master_, slave_) {
  static_assert(kCascade == kCascadePin);
  cascade_.connect(&master_, kCascadePin);
  for (unsigned irq = 0; irq < 16; ++irq) {
    if (irq == kCascadePin) continue;
    inputs_[irq].connect(irq < kPins ? &master_ : &slave_, irq % kPins);
  }
}

// The master first: the slave's INT then falls and, with another request waiting, rises again into
// a request that the master has already forgotten.
std::uint8_t PicPair::acknowledge() {
  const unsigned pin = master_.begin_service().value_or(kSpuriousPin);
  if (pin != kCascadePin) return static_cast<std::uint8_t>(master_.vector_base() | pin);
  const unsigned slave_pin = slave_.begin_service().value_or(kSpuriousPin);
  return static_cast<std::uint8_t>(slave_.vector_base() | slave_pin);
}

std::uint8_t PicPair::ElcrPorts::read_byte(std::uint16_t offset) {
  return offset & 1 ? slave_.elcr() : master_.elcr();
}

void PicPair::ElcrPorts::write_byte(std::uint16_t offset, std::uint8_t value) {
  (offset & 1 ? slave_ : master_).set_elcr(value);
}

}  // namespace ringshift::devices
