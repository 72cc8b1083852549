// devices/apic_bus.cc - destinations, lowest-priority arbitration, EOI broadcast.
#include "devices/apic_bus.h"

#include "devices/local_apic.h"

namespace ringshift::devices {

bool ApicBus::deliver(const ApicMessage& message) {
  if (message.mode == DeliveryMode::kLowestPriority) {
    LocalApic* target = lowest_priority(message);
    return target && target->receive(message);
  }
  bool taken = false;
  for (LocalApic* apic : apics_)
    if (apic->is_destination(message)) taken |= apic->receive(message);
  return taken;
}

void ApicBus::deliver_to_all(const ApicMessage& message, const LocalApic* except) {
  for (LocalApic* apic : apics_)
    if (apic != except) apic->receive(message);
}

void ApicBus::broadcast_eoi(std::uint8_t vector) {
  for (EoiListener* listener : listeners_) listener->end_of_interrupt(vector);
}

// SDM Vol. 3 "Lowest Priority Delivery Mode".
LocalApic* ApicBus::lowest_priority(const ApicMessage& message) {
  LocalApic* best = nullptr;
  std::size_t best_index = 0;
  for (std::size_t i = 0; i < apics_.size(); ++i) {
    const std::size_t index = (next_ + i) % apics_.size();
    LocalApic* apic = apics_[index];
    if (!apic->accepts_fixed() || !apic->is_destination(message)) continue;
    if (best && apic->processor_priority() >= best->processor_priority()) continue;
    best = apic;
    best_index = index;
  }
  if (best) next_ = (best_index + 1) % apics_.size();
  return best;
}

}  // namespace ringshift::devices
