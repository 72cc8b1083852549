// translator/callouts/interrupt_delivery.h - one delivery of an exception or interrupt to its
// handler. deliver_fault(), deliver_interrupt() and software_interrupt() of core.h stand on
// dispatch().
#pragma once

#include <cstdint>

#include "translator/core.h"

namespace ringshift::translator {

struct Event {
  std::uint8_t vector = 0;
  EventKind kind = EventKind::kException;
  bool has_error_code = false;
  std::uint32_t error_code = 0;
  std::uint64_t return_rip = 0;
  std::uint64_t flags_image = 0;  // EFLAGS as pushed

  // Raised by INT n, INT3 or INTO: the gate's DPL is checked, and EXT stays clear.
  bool software() const { return kind == EventKind::kSoftware || kind == EventKind::kInt3; }
  std::uint32_t ext() const { return software() ? 0 : 1; }
  // Error code of a fault that the IDT entry itself causes.
  std::uint32_t idt_error_code() const { return vector * 8u + 2u + ext(); }
};

// Delivers once; a fault on the way is returned, and the state is as before (unless a task switch
// had already committed).
guest::Status dispatch(Core& core, const Event& event);

// Protected and long mode: through the gate in the IDT. (gate_delivery.cc)
guest::Status deliver_through_gate(Core& core, const Event& event);

// The 8086 way: FLAGS (as `image`), CS and IP on the current stack, CS:IP from the vector table at
// linear `table`; clears `cleared` in EFLAGS.
guest::Status deliver_through_vector_table(Core& core, std::uint64_t table, std::uint8_t vector,
                                           std::uint64_t return_rip, std::uint64_t image,
                                           std::uint64_t cleared);

}  // namespace ringshift::translator
