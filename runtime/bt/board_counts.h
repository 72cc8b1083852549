// runtime/bt/board_counts.h - how often the guest reached its board: by port, and by page of
// devices' memory. General registers only: it counts while the guest's SIMD state is loaded.
#pragma once

#include <array>
#include <cstdint>

#include "shadowpt/mapped_array.h"

namespace ringshift::runtime {

class BoardCounts {
 public:
  struct Port {
    std::uint64_t reads, writes;
  };
  struct Page {
    std::uint64_t number, accesses;
  };
  static constexpr std::size_t kPorts = 0x10000;
  static constexpr std::size_t kPages = 64;  // a PC has a dozen
  static constexpr std::uint64_t kOtherPages = ~std::uint64_t{0};

  void port_read(std::uint16_t port) { ++ports_[port].reads; }
  void port_write(std::uint16_t port) { ++ports_[port].writes; }
  void device_page(std::uint64_t number) {
    for (Page& page : pages_) {
      if (page.accesses == 0) page.number = number;
      if (page.number != number) continue;
      ++page.accesses;
      return;
    }
    ++other_pages_;
  }

  const Port& port(std::size_t number) const { return ports_[number]; }
  const std::array<Page, kPages>& pages() const { return pages_; }
  std::uint64_t other_pages() const { return other_pages_; }

 private:
  shadowpt::MappedArray<Port> ports_{kPorts};
  std::array<Page, kPages> pages_{};
  std::uint64_t other_pages_ = 0;
};

}  // namespace ringshift::runtime
