// guest/empty_board.h - a board with nothing on it: nobody at any port, no interrupts, no APIC.
// What runs a processor by itself (tests, measurements) starts from here.
#pragma once

#include "guest/platform.h"

namespace ringshift::guest {

class EmptyBoard : public Platform {
 public:
  std::uint32_t port_read(std::uint16_t, unsigned) override { return ~0u; }
  void port_write(std::uint16_t, unsigned, std::uint32_t) override {}
  bool interrupt_pending() override { return false; }
  std::optional<std::uint8_t> acknowledge_interrupt() override { return std::nullopt; }
  std::uint8_t task_priority() override { return 0; }
  void set_task_priority(std::uint8_t) override {}
  std::optional<std::uint64_t> apic_msr_read(std::uint32_t) override { return std::nullopt; }
  bool apic_msr_write(std::uint32_t, std::uint64_t) override { return false; }
  std::uint32_t apic_id() override { return 0; }
  void raise_ferr() override {}
  void triple_fault() override {}
};

}  // namespace ringshift::guest
