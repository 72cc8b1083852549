// devices/pc_testdev.cc - the ports and memory that x86 conformance suites written for QEMU expect.
#include "devices/pc_testdev.h"

#include <utility>

namespace ringshift::devices {

PcTestdev::PcTestdev(const std::array<Line*, kLines>& lines, Flush flush)
    : lines_(lines),
      echo_ports_([this](std::uint16_t at) { return echo_[at % kPortBytes]; },
                  [this](std::uint16_t at, std::uint8_t v) { echo_[at % kPortBytes] = v; }),
      byte_echo_ports_([this](std::uint16_t at) { return echo_[at % kPortBytes]; },
                       [this](std::uint16_t at, std::uint8_t v) { echo_[at % kPortBytes] = v; }),
      flush_ports_([](std::uint16_t, unsigned) { return std::uint32_t{0}; },
                   [flush = std::move(flush)](std::uint16_t, unsigned, std::uint32_t address) {
                     constexpr std::uint64_t kPage = guest::kPageOffsetMask;
                     if (flush) flush(guest::PhysicalAddress{address & ~kPage});
                   }),
      line_ports_([](std::uint16_t, unsigned) { return std::uint32_t{0}; },
                  [this](std::uint16_t line, unsigned, std::uint32_t level) {
                    if (line < kLines && lines_[line]) lines_[line]->set(level != 0);
                  }) {}

std::uint64_t PcTestdev::Memory::mmio_read(std::uint64_t offset, unsigned size) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i)
    value |= std::uint64_t{bytes_[(offset + i) % kMemoryBytes]} << (8 * i);
  return value;
}

void PcTestdev::Memory::mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  for (unsigned i = 0; i < size; ++i)
    bytes_[(offset + i) % kMemoryBytes] = static_cast<std::uint8_t>(value >> (8 * i));
}

}  // namespace ringshift::devices
