// guest/physical_memory.h - the guest-physical address space: RAM in one memfd, ROM, and MMIO
// holes. Built before the machine runs; the region list never changes while a vCPU runs, but for
// gate_ram(). RAM itself may be touched by any thread. MMIO handlers are called with the machine's device lock held by the
// caller.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

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

// Copies without the C library, whose bulk routines would use the SIMD registers that hold guest
// state while this code runs.
inline void copy_bytes(void* to, const void* from, std::size_t bytes) {
  switch (bytes) {
    case 1:
      std::memcpy(to, from, 1);
      return;
    case 2:
      std::memcpy(to, from, 2);
      return;
    case 4:
      std::memcpy(to, from, 4);
      return;
    case 8:
      std::memcpy(to, from, 8);
      return;
    default:
      asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
  }
}

class PhysicalMemory {
 public:
  // RAM of `ram_bytes` (a multiple of 4 KiB): [0, min(ram, kLowRamLimit)) and the rest from 4 GiB
  // up. The error is one line for the user.
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

  // Adds an MMIO range (page granularity not required, ranges may overlay RAM and ROM); false when
  // it overlaps another MMIO range, is empty or wraps.
  [[nodiscard]] bool add_mmio(PhysicalAddress start, std::uint64_t bytes, MmioHandler& handler);
  // Makes [start, start + image) read-only memory with these contents; guest writes are dropped.
  // ROM is made of whole pages: the rest of a first or last page keeps what it reads as now. False
  // when it is empty, wraps or shares a page with another ROM.
  [[nodiscard]] bool add_rom(PhysicalAddress start, std::span<const std::uint8_t> image);

  // Where accesses to [start, start + bytes) of RAM go, whole pages: to the RAM or to what lies over
  // it (ROM, else nothing). For chipsets that shadow ROM in RAM. While a vCPU runs, only by what it
  // does itself; map_version() tells it.
  void gate_ram(PhysicalAddress start, std::uint64_t bytes, bool reads_ram, bool writes_ram);

  // Host pointer to the 4 KiB page that holds `address` when the whole page is plain RAM (or, for
  // reading, ROM); nullptr when any byte of it is MMIO or nothing. Never faults when dereferenced.
  std::uint8_t* ram_page(PhysicalAddress address) const;
  const std::uint8_t* readable_page(PhysicalAddress address) const;

  // Number of the RAM page under `address` (0 .. ram_bytes / 4096), whatever overlays it.
  static constexpr std::uint64_t kNoRam = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t ram_page_number(PhysicalAddress address) const {
    if (address.value < low_bytes_) return page_number(address.value);
    const std::uint64_t high = address.value - kHighRamBase;  // wraps below 4 GiB
    return high < ram_bytes_ - low_bytes_ ? page_number(low_bytes_ + high) : kNoRam;
  }

  // How far the pages of RAM from `number` on are of one kind, and of which; not more than `limit`.
  struct PageRun {
    std::uint64_t pages = 0;
    bool plain = false;  // ram_page() gives it
    bool watched = false;
  };
  PageRun uniform_pages(std::uint64_t number, std::uint64_t limit) const;

  // Everything that needs no call to be accessed, as whole pages in the order of their addresses:
  // plain RAM, and ROM, which is not writable. For who hands guest memory to the host's processor.
  struct Mapping {
    PhysicalAddress start;
    std::uint64_t bytes;
    std::uint8_t* host;
    bool writable;
    bool operator==(const Mapping&) const = default;
  };
  std::vector<Mapping> mappings() const;
  // Another value after each change of the map.
  unsigned map_version() const { return map_version_; }

  // Accesses of any length anywhere; unbacked bytes read as 0xff and drop writes. Watched pages
  // report to the observer first. A device sees one access when `size` is 1, 2, 4 or 8 and all of
  // it lies in the range; others are split into naturally aligned ones.
  std::uint64_t read(PhysicalAddress address, unsigned size);  // size 1, 2, 4, 8
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
  // Compare-and-swap on RAM (page-table A/D bits); size 4 or 8, naturally aligned; false when the
  // value differed. On anything but RAM the write is dropped and the answer is true.
  bool compare_exchange(PhysicalAddress address, unsigned size, std::uint64_t expected,
                        std::uint64_t desired);

  // Called before each device access, on the accessing thread (a vCPU puts its SIMD state away).
  using MmioPrologue = void (*)(PhysicalAddress at);
  void set_mmio_prologue(MmioPrologue prologue) { mmio_prologue_ = prologue; }

  // Watched pages: writes through this class report to the observer, and no fast path may hold a
  // writable mapping. Only RAM can be watched; nothing else changes by a guest write.
  void set_observer(WriteObserver* observer) { observer_ = observer; }
  void watch(PhysicalAddress page, bool on);
  // For who wrote to RAM by itself, through ram_page(): tells the observer, as a write would have.
  void report_transfer(PhysicalAddress start, std::uint64_t bytes);
  bool watched(PhysicalAddress page) const {
    const std::uint64_t number = ram_page_number(page);
    return number != kNoRam && (attributes(number) & kWatched);
  }

 private:
  // One byte per RAM page. kOverlaid: not all accesses go to the RAM, because MMIO or ROM lies over
  // it or its gate is not open; a gate (kGated) that is open beats ROM.
  static constexpr std::uint8_t kWatched = 1, kOverlaid = 2, kGated = 4, kRamReads = 8,
                                kRamWrites = 16;

  struct MmioRange {
    std::uint64_t start, bytes;
    MmioHandler* handler;
  };
  struct FreePages {
    void operator()(std::uint8_t* pages) const;
  };
  struct Rom {
    std::uint64_t start, bytes;  // whole pages
    std::unique_ptr<std::uint8_t[], FreePages> host;
  };
  // What answers at one address, and for how many of the following bytes. All null: nothing does.
  struct Target {
    const MmioRange* mmio = nullptr;
    const std::uint8_t* rom = nullptr;
    std::uint8_t* ram = nullptr;
    std::size_t bytes = 0;
  };
  PhysicalMemory() = default;
  std::uint8_t attributes(std::uint64_t ram_page) const {
    return __atomic_load_n(&attributes_[ram_page], __ATOMIC_RELAXED);
  }
  Target resolve(std::uint64_t address, std::size_t bytes, bool write) const;
  bool gate_leads_to_ram(std::uint64_t ram_page, bool write) const;
  const MmioRange* first_mmio_after(std::uint64_t address) const;
  const Rom* find_rom(std::uint64_t address) const;
  bool mmio_overlaps(std::uint64_t start, std::uint64_t bytes) const;
  bool rom_overlaps(std::uint64_t start, std::uint64_t bytes) const;
  void add_mappings(std::vector<Mapping>& to, std::uint64_t start, std::uint64_t bytes) const;
  void mark_overlaid(std::uint64_t start, std::uint64_t bytes);
  void report_write(std::uint64_t address, std::size_t bytes);

  int memfd_ = -1;
  std::uint8_t* host_ = nullptr;
  std::uint64_t ram_bytes_ = 0, low_bytes_ = 0;
  MmioPrologue mmio_prologue_ = nullptr;
  std::vector<MmioRange> mmio_;  // sorted by start
  std::vector<Rom> roms_;
  std::vector<std::uint8_t> attributes_;
  WriteObserver* observer_ = nullptr;
  unsigned map_version_ = 0;
};

inline std::uint8_t* PhysicalMemory::ram_page(PhysicalAddress address) const {
  const std::uint64_t number = ram_page_number(address);
  if (number == kNoRam || (attributes(number) & kOverlaid)) return nullptr;
  return host_ + number * kPageBytes;
}

}  // namespace ringshift::guest
