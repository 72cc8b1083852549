// devices/pc_testdev.h - QEMU's pc-testdev: echo ports, a port per interrupt line, page flush,
// scratch MMIO.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "devices/byte_ports.h"
#include "guest/address.h"

namespace ringshift::devices {

class PcTestdev {
 public:
  static constexpr std::uint16_t kEchoBase = 0xe0, kFlushBase = 0xe4, kByteEchoBase = 0xe8,
                                 kPortBytes = 4;
  static constexpr std::uint16_t kLineBase = 0x2000, kLines = 24;
  static constexpr std::uint64_t kMemoryBase = 0xff000000, kMemoryBytes = 0x10000;
  using Flush = std::function<void(guest::PhysicalAddress page)>;

  // `lines` are the interrupt lines by number, null where there is none. `flush` drops what the
  // machine caches about a page of guest memory.
  PcTestdev(const std::array<Line*, kLines>& lines, Flush flush);
  PcTestdev(const PcTestdev&) = delete;
  PcTestdev& operator=(const PcTestdev&) = delete;

  PortHandler& echo_ports() { return echo_ports_; }            // kEchoBase, kPortBytes
  PortHandler& flush_ports() { return flush_ports_; }          // kFlushBase, kPortBytes
  PortHandler& byte_echo_ports() { return byte_echo_ports_; }  // kByteEchoBase, kPortBytes
  PortHandler& line_ports() { return line_ports_; }            // kLineBase, kLines
  MmioHandler& memory() { return memory_; }                    // kMemoryBase, kMemoryBytes

 private:
  // Plain bytes behind an MMIO range: every access is a trap, unlike RAM.
  class Memory final : public MmioHandler {
   public:
    Memory() : bytes_(kMemoryBytes) {}
    std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override;
    void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override;

   private:
    std::vector<std::uint8_t> bytes_;
  };

  std::array<Line*, kLines> lines_;
  std::array<std::uint8_t, kPortBytes> echo_{};  // one register behind both echo ranges
  FunctionBytePorts echo_ports_, byte_echo_ports_;
  FunctionPorts flush_ports_, line_ports_;
  Memory memory_;
};

}  // namespace ringshift::devices
