// devices/io_apic.cc - 82093AA: redirection table, edge and level pins, remote IRR.
#include "devices/io_apic.h"

namespace ringshift::devices {
namespace {

// MMIO.
constexpr std::uint64_t kSelectOffset = 0x00, kWindowOffset = 0x10, kEoiOffset = 0x40;
// Behind the window.
constexpr std::uint8_t kId = 0x00, kVersion = 0x01, kArbitration = 0x02, kTable = 0x10;
constexpr std::uint32_t kVersionValue = 0x20 | (IoApic::kPins - 1) << 16;

namespace entry {
constexpr std::uint64_t kVector = 0xff, kModeShift = 8, kLogical = 1 << 11, kStatus = 1 << 12,
                        kRemoteIrr = 1 << 14, kLevel = 1 << 15, kMasked = 1 << 16;
constexpr std::uint64_t kReadOnly = kStatus | kRemoteIrr;
constexpr std::uint64_t kWritable = 0xff00'0000'0001'ffff & ~kReadOnly;
constexpr unsigned kDestinationShift = 56;
}  // namespace entry

}  // namespace

IoApic::IoApic(ApicBus& bus, std::uint8_t id) : bus_(bus), reset_id_(id) {
  for (unsigned pin = 0; pin < kPins; ++pin) pins_[pin].connect(this, pin);
  bus_.attach(*this);
  reset();
}

void IoApic::reset() {
  id_ = reset_id_;
  select_ = 0;
  entries_.fill(entry::kMasked);
}

std::uint64_t IoApic::mmio_read(std::uint64_t offset, unsigned) {
  if (offset == kSelectOffset) return select_;
  if (offset == kWindowOffset) return read_register(select_);
  return 0;
}

void IoApic::mmio_write(std::uint64_t offset, unsigned, std::uint64_t value) {
  if (offset == kSelectOffset) {
    select_ = static_cast<std::uint8_t>(value);
  } else if (offset == kWindowOffset) {
    write_register(select_, static_cast<std::uint32_t>(value));
  } else if (offset == kEoiOffset) {
    end_of_interrupt(static_cast<std::uint8_t>(value));
  }
}

std::uint32_t IoApic::read_register(std::uint8_t index) const {
  if (index >= kTable && index < kTable + 2 * kPins) {
    const std::uint64_t value = entries_[(index - kTable) / 2];
    return static_cast<std::uint32_t>(index & 1 ? value >> 32 : value);
  }
  switch (index) {
    case kId:
    case kArbitration:
      return std::uint32_t{id_} << 24;
    case kVersion:
      return kVersionValue;
    default:
      return 0;
  }
}

void IoApic::write_register(std::uint8_t index, std::uint32_t value) {
  if (index == kId) id_ = value >> 24 & 15;
  if (index < kTable || index >= kTable + 2 * kPins) return;
  const unsigned pin = (index - kTable) / 2;
  const std::uint64_t old = entries_[pin];
  if (index & 1) {
    write_entry(pin, (old & 0xffffffff) | std::uint64_t{value} << 32);
  } else {
    write_entry(pin, (old & ~std::uint64_t{0xffffffff}) | value);
  }
}

void IoApic::write_entry(unsigned pin, std::uint64_t value) {
  std::uint64_t& e = entries_[pin];
  e = (e & entry::kReadOnly) | (value & entry::kWritable);
  // Remote IRR means nothing for an edge. Software switches an entry to edge and back to clear it.
  if (!(e & entry::kLevel)) e &= ~entry::kRemoteIrr;
  sample_level(pin);
}

// 82093AA "Interrupt Mask": an edge on a masked pin is lost, a level is seen when the mask goes.
void IoApic::set_pin(unsigned pin, bool level) {
  const std::uint32_t bit = 1u << pin;
  const bool rises = level && !(asserted_ & bit);
  asserted_ = level ? asserted_ | bit : asserted_ & ~bit;
  if (!rises) return;
  if (entries_[pin] & entry::kLevel) {
    sample_level(pin);
  } else if (!(entries_[pin] & entry::kMasked)) {
    send(pin);
  }
}

void IoApic::sample_level(unsigned pin) {
  std::uint64_t& e = entries_[pin];
  if (!(asserted_ & 1u << pin) || !(e & entry::kLevel)) return;
  if (e & (entry::kMasked | entry::kRemoteIrr)) return;
  // Before it is sent: the processor may answer at once.
  e |= entry::kRemoteIrr;
  if (!send(pin)) e &= ~entry::kRemoteIrr;
}

bool IoApic::send(unsigned pin) {
  const std::uint64_t e = entries_[pin];
  return bus_.deliver(
      {.destination = widen_destination(static_cast<std::uint8_t>(e >> entry::kDestinationShift)),
       .logical = (e & entry::kLogical) != 0,
       .mode = static_cast<DeliveryMode>(e >> entry::kModeShift & 7),
       .vector = static_cast<std::uint8_t>(e & entry::kVector),
       .level_triggered = (e & entry::kLevel) != 0});
}

void IoApic::end_of_interrupt(std::uint8_t vector) {
  for (unsigned pin = 0; pin < kPins; ++pin) {
    std::uint64_t& e = entries_[pin];
    if (!(e & entry::kRemoteIrr) || (e & entry::kVector) != vector) continue;
    e &= ~entry::kRemoteIrr;
    sample_level(pin);
  }
}

}  // namespace ringshift::devices
