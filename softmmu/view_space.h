// softmmu/view_space.h - the address space of the host around a view: a table that leads 64-bit
// linear addresses to windows, and the flat window of 16- and 32-bit ones.
//
//   kViewWindowOffset (1 GiB)                            4 GiB            2 GiB
//   +------+--------------+-----------------------+------------------+-----------+
//   | View | window_delta |        guard          |   flat window    |   guard   |
//   +------+--------------+-----------------------+------------------+-----------+
//
// Here it is only reserved: nothing is mapped in the flat window and every entry of the table is
// unused. Who fills them (shadowpt/) is told by the view's listener when to drop.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ringshift::softmmu {

inline constexpr std::uint64_t kWindowBytes = std::uint64_t{1} << 32;
inline constexpr std::size_t kWindowTableEntries = 65536;  // by linear address bits 47:32
inline constexpr std::size_t kWindowTableBytes = kWindowTableEntries * sizeof(std::uint64_t);

// From the view's first byte to the flat window's. With the GS base at the flat window, fields of
// the view are within reach of a 32-bit displacement, and huge pages of the host can be used.
inline constexpr std::uint64_t kViewWindowOffset = std::uint64_t{1} << 30;
inline constexpr std::uint64_t kViewUpperGuard = std::uint64_t{2} << 30;
inline constexpr std::uint64_t kViewSpaceBytes = kViewWindowOffset + kWindowBytes + kViewUpperGuard;
inline constexpr std::uint64_t kWindowAlignment = std::uint64_t{2} << 20;

// The guest address of the first byte that entry `index` serves.
constexpr std::uint64_t window_guest_base(std::size_t index) {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(std::uint64_t{index} << 48) >> 16);
}
constexpr std::size_t window_index(std::uint64_t linear) { return (linear >> 32) & 0xffff; }

// What an unused entry adds: the sum has bits 62 and 47 set and bit 63 clear for every canonical
// address of the index and 64 TiB around it, which no host address has. A guest address that is not
// canonical gives another such sum, or one in the kernel's half: it faults as well.
constexpr std::uint64_t unused_window_delta(std::size_t index) {
  return 0x4000'c000'0000'0000 - window_guest_base(index);
}

// A table of unused entries in a file, which views map privately: it costs memory once.
class UnusedWindows {
 public:
  UnusedWindows();
  ~UnusedWindows();
  UnusedWindows(const UnusedWindows&) = delete;
  UnusedWindows& operator=(const UnusedWindows&) = delete;

  int file() const { return file_; }  // -1: the host had none

 private:
  int file_ = -1;
};

// Zero pages for a view of `view_bytes` at the start of its space. Where the host refuses so much
// space, or `unused` is null or empty, just the pages; nullptr when not even these are to be had.
struct ViewSpace {
  void* start = nullptr;
  bool has_windows = false;
};
ViewSpace map_view_space(std::size_t view_bytes, const UnusedWindows* unused);
void unmap_view_space(const ViewSpace& space, std::size_t view_bytes);

}  // namespace ringshift::softmmu
