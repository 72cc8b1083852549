// runtime/machine_platform.cc - what the processor and the devices ask of the machine around them.
#include <algorithm>
#include <chrono>
#include <thread>

#include "runtime/machine.h"

namespace ringshift::runtime {

std::uint32_t Machine::port_read(std::uint16_t port, unsigned size) {
  std::lock_guard lock(mutex_);
  return board_->ports().read(port, size);
}

void Machine::port_write(std::uint16_t port, unsigned size, std::uint32_t value) {
  {
    std::lock_guard lock(mutex_);
    board_->ports().write(port, size, value);
  }
  wait_for_output();
}

// A guest that prints faster than its reader reads is slowed down here, where no lock is held.
void Machine::wait_for_output() {
  const auto is_full = [](const std::unique_ptr<ByteChannel>& channel) {
    return channel && channel->backlog() > ByteChannel::kBacklogLimit;
  };
  const auto any_full = [&] {
    return is_full(config_.debug_console) ||
           std::any_of(config_.serial.begin(), config_.serial.end(), is_full);
  };
  while (any_full() && !stopping_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

bool Machine::interrupt_pending() { return board_->local_apic().interrupt_hint(); }

std::optional<std::uint8_t> Machine::acknowledge_interrupt() {
  std::lock_guard lock(mutex_);
  return board_->local_apic().acknowledge();
}

std::uint8_t Machine::task_priority() {
  std::lock_guard lock(mutex_);
  return board_->local_apic().task_priority();
}

void Machine::set_task_priority(std::uint8_t cr8) {
  std::lock_guard lock(mutex_);
  board_->local_apic().set_task_priority(cr8);
}

std::optional<std::uint64_t> Machine::apic_msr_read(std::uint32_t index) {
  std::lock_guard lock(mutex_);
  return board_->local_apic().msr_read(index);
}

bool Machine::apic_msr_write(std::uint32_t index, std::uint64_t value) {
  std::lock_guard lock(mutex_);
  return board_->local_apic().msr_write(index, value);
}

void Machine::tsc_changed() {
  std::lock_guard lock(mutex_);
  board_->local_apic().tsc_changed();
}

guest::Platform::Time Machine::time() {
  const std::int64_t now = timers_.clock().now_ns();
  const auto unix_now = std::chrono::system_clock::now().time_since_epoch();
  return {now, std::chrono::nanoseconds(unix_now).count() - now};
}

std::uint64_t Machine::stolen_ns() { return run_delay_.nanoseconds(); }

std::uint32_t Machine::apic_id() { return board_->local_apic().id(); }

bool Machine::a20_open() const { return board_->a20_open(); }

void Machine::raise_ferr() {
  std::lock_guard lock(mutex_);
  board_->ferr().set(true);
}

void Machine::triple_fault() { request(Request::kTripleFault); }

void Machine::reset() { request(Request::kReset); }

void Machine::power_off() { request(Request::kPowerOff); }

void Machine::exit(int status) { stop(status); }

void Machine::nmi() {
  vcpu_->inject_nmi();
  wake();
}

// INIT leaves this processor at its reset vector, where without firmware only a restart helps.
void Machine::init() { request(Request::kReset); }

}  // namespace ringshift::runtime
