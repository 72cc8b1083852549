// devices/device.h - what every device is built from: ports and MMIO by offset, lines, clock, timers.
// Devices are single-threaded: every call into one, and every timer callback, holds the machine's
// device lock. A device never knows its address, its bus, or who listens to its line.
#pragma once

#include <cstdint>
#include <functional>

#include "guest/physical_memory.h"

namespace ringshift::devices {

// An I/O-port range. `offset` counts from the start of the range; size 1, 2 or 4. The bus splits an
// access that leaves the range and, for devices with byte-wide registers, may split wide accesses.
class PortHandler {
 public:
  virtual ~PortHandler() = default;
  virtual std::uint32_t port_read(std::uint16_t offset, unsigned size) = 0;
  virtual void port_write(std::uint16_t offset, unsigned size, std::uint32_t value) = 0;
};

using guest::MmioHandler;

// An interrupt or other level line. Idempotent.
class Line {
 public:
  virtual ~Line() = default;
  virtual void set(bool level) = 0;
};

// Guest time in nanoseconds since the machine was created. Stops while the machine is paused.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t now_ns() const = 0;
};

// One-shot timers of the machine, in guest time. Callbacks run with the device lock held.
class Timer {
 public:
  virtual ~Timer() = default;
  virtual void arm(std::int64_t deadline_ns) = 0;  // replaces an earlier deadline
  virtual void cancel() = 0;
};
class TimerService {
 public:
  virtual ~TimerService() = default;
  virtual Clock& clock() = 0;
  virtual std::unique_ptr<Timer> create(std::function<void()> callback) = 0;
};

// Where a character device's bytes go (console, file, pty, socket). write() never blocks the vCPU.
class CharacterSink {
 public:
  virtual ~CharacterSink() = default;
  virtual void write(std::uint8_t byte) = 0;
};

}  // namespace ringshift::devices
