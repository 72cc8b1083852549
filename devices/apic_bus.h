// devices/apic_bus.h - the messages between local APICs, I/O APICs and message-signalled devices,
// and the bus that finds who they are for. Owned by the board; device lock held for every call.
// Knows no device but the local APICs and whoever wants to hear of an EOI.
#pragma once

#include <cstdint>
#include <vector>

namespace ringshift::devices {

class LocalApic;

// SDM Vol. 3 "Interrupt Command Register (ICR)", Delivery Mode.
enum class DeliveryMode : std::uint8_t {
  kFixed = 0,
  kLowestPriority = 1,
  kSmi = 2,
  kNmi = 4,
  kInit = 5,
  kStartup = 6,
  kExtInt = 7,
};

struct ApicMessage {
  std::uint32_t destination = 0;
  bool logical = false;
  DeliveryMode mode = DeliveryMode::kFixed;
  std::uint8_t vector = 0;
  bool level_triggered = false;
};

inline constexpr std::uint32_t kBroadcastDestination = 0xffffffff;

// The destination field of xAPIC messages, I/O APICs and MSIs: 8 bits, all ones for everybody.
constexpr std::uint32_t widen_destination(std::uint8_t destination) {
  return destination == 0xff ? kBroadcastDestination : destination;
}

// SDM Vol. 3 "Message Signalled Interrupts".
constexpr ApicMessage message_from_msi(std::uint64_t address, std::uint32_t data) {
  const bool redirect = address & 8;
  auto mode = static_cast<DeliveryMode>(data >> 8 & 7);
  if (redirect && mode == DeliveryMode::kFixed) mode = DeliveryMode::kLowestPriority;
  return {widen_destination(static_cast<std::uint8_t>(address >> 12)), (address & 4) != 0, mode,
          static_cast<std::uint8_t>(data), (data & 0x8000) != 0};
}

// Told when a processor ends a level-triggered interrupt.
class EoiListener {
 public:
  virtual ~EoiListener() = default;
  virtual void end_of_interrupt(std::uint8_t vector) = 0;
};

class ApicBus {
 public:
  void attach(LocalApic& apic) { apics_.push_back(&apic); }
  void attach(EoiListener& listener) { listeners_.push_back(&listener); }

  // True when some processor took it.
  bool deliver(const ApicMessage& message);
  // To all but `except` (which may be nullptr).
  void deliver_to_all(const ApicMessage& message, const LocalApic* except);
  void broadcast_eoi(std::uint8_t vector);

 private:
  LocalApic* lowest_priority(const ApicMessage& message);

  std::vector<LocalApic*> apics_;
  std::vector<EoiListener*> listeners_;
  std::size_t next_ = 0;  // among equals, lowest priority goes round
};

}  // namespace ringshift::devices
