// guest/physical_memory.h - the guest-physical address space: RAM in one memfd, ROM, and MMIO holes.
// Built before the machine runs; the region list never changes while a vCPU runs. RAM itself may be
// touched by any thread. MMIO handlers are called with the machine's device lock held by the caller.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "guest/address.h"

namespace ringshift::guest {

// What stands behind an MMIO range. `offset` counts from the start of the range; `size` is 1, 2, 4
// or 8 bytes; the access lies inside the range.
class MmioHandler {
 public:
  virtual ~MmioHandler() = default;
  virtual std::uint64_t mmio_read(std::uint64_t offset, unsigned size) = 0;
  virtual void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) = 0;
};

// Told of every write to a page that it watches (translated code, later shadowed page tables).
class WriteObserver {
 public:
  virtual ~WriteObserver() = default;
  // Called before the bytes change. Must not touch guest memory.
  virtual void on_watched_write(PhysicalAddress start, std::size_t bytes) = 0;
};

class PhysicalMemory {
 public:
  // RAM of `ram_bytes` (a multiple of 4 KiB): [0, min(ram, kLowRamLimit)) and the rest from 4 GiB up.
  // The error is one line for the user.
  static tl::expected<std::unique_ptr<PhysicalMemory>, std::string> create(std::uint64_t ram_bytes);
  ~PhysicalMemory();
  PhysicalMemory(const PhysicalMemory&) = delete;
  PhysicalMemory& operator=(const PhysicalMemory&) = delete;

  static constexpr std::uint64_t kLowRamLimit = 0xc0000000;  // PCI hole above, as on QEMU's pc
  static constexpr std::uint64_t kHighRamBase = 0x100000000;

  std::uint64_t ram_bytes() const { return ram_bytes_; }
  std::uint64_t low_ram_bytes() const { return low_bytes_; }
  std::uint64_t high_ram_bytes() const { return ram_bytes_ - low_bytes_; }
  int memfd() const { return memfd_; }

  // Adds an MMIO range (page granularity not required, ranges may overlay RAM); false when it
  // overlaps another MMIO range or is empty.
  [[nodiscard]] bool add_mmio(PhysicalAddress start, std::uint64_t bytes, MmioHandler& handler);
  // Makes [start, start + image) read-only memory with these contents; guest writes are dropped.
  [[nodiscard]] bool add_rom(PhysicalAddress start, std::span<const std::uint8_t> image);

  // Host pointer to the 4 KiB page that holds `address` when the whole page is plain RAM (or, for
  // reading, ROM); nullptr when any byte of it is MMIO or nothing. Never faults when dereferenced.
  std::uint8_t* ram_page(PhysicalAddress address) const;
  const std::uint8_t* readable_page(PhysicalAddress address) const;

  // Accesses of any length anywhere; unbacked bytes read as 0xff and drop writes. Watched pages
  // report to the observer first.
  std::uint64_t read(PhysicalAddress address, unsigned size);         // size 1, 2, 4, 8
  void write(PhysicalAddress address, unsigned size, std::uint64_t value);
  void read_bytes(PhysicalAddress address, std::span<std::uint8_t> out);
  void write_bytes(PhysicalAddress address, std::span<const std::uint8_t> in);
  template <typename T>
  T load(PhysicalAddress address) {
    T v{};
    read_bytes(address, {reinterpret_cast<std::uint8_t*>(&v), sizeof v});
    return v;
  }
  template <typename T>
  void store(PhysicalAddress address, const T& v) {
    write_bytes(address, {reinterpret_cast<const std::uint8_t*>(&v), sizeof v});
  }
  // Compare-and-swap on RAM (page-table A/D bits); size 4 or 8; false when the value differed.
  bool compare_exchange(PhysicalAddress address, unsigned size, std::uint64_t expected,
                        std::uint64_t desired);

  // Watched pages: writes through this class report to the observer, and no fast path may hold a
  // writable mapping. One byte per RAM page so that generated code could test it.
  void set_observer(WriteObserver* observer) { observer_ = observer; }
  void watch(PhysicalAddress page, bool on);
  bool watched(PhysicalAddress page) const;

 private:
  struct MmioRange {
    std::uint64_t start, bytes;
    MmioHandler* handler;
  };
  struct Rom {
    std::uint64_t start;
    std::vector<std::uint8_t> bytes;  // whole pages
  };
  PhysicalMemory() = default;
  const MmioRange* find_mmio(std::uint64_t address) const;
  const Rom* find_rom(std::uint64_t address) const;
  std::uint8_t* ram_at(std::uint64_t address) const;  // RAM under the address, whatever overlays it

  int memfd_ = -1;
  std::uint8_t* host_ = nullptr;
  std::uint64_t ram_bytes_ = 0, low_bytes_ = 0;
  std::vector<MmioRange> mmio_;  // sorted by start
  std::vector<Rom> roms_;
  std::vector<std::uint8_t> watched_;  // one per RAM page
  WriteObserver* observer_ = nullptr;
};

}  // namespace ringshift::guest
