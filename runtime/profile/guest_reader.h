// runtime/profile/guest_reader.h - reads a guest's linear memory from outside: no rights, no side
// effects, no device. Async-signal-safe on the vCPU's thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>

#include "guest/cpu_state.h"
#include "softmmu/page_walk.h"

namespace ringshift::runtime::profile {

class GuestReader {
 public:
  GuestReader(guest::PhysicalMemory& memory, const guest::CpuState& state,
              const softmmu::PagingFeatures& features)
      : memory_(memory), state_(state), features_(features) {}

  // False, with `to` partly written: some of it is not mapped to RAM.
  bool read(std::uint64_t linear, void* to, std::size_t bytes);
  template <typename T>
  std::optional<T> load(std::uint64_t linear) {
    T value;
    if (!read(linear, &value, sizeof value)) return std::nullopt;
    return value;
  }
  // A pointer of the guest's width; outside 64-bit code 4 bytes.
  std::optional<std::uint64_t> load_word(std::uint64_t linear, unsigned bytes);
  // The RAM of the 4 KiB page that holds `linear`; null: not mapped, or not RAM.
  const std::uint8_t* page(std::uint64_t linear);

 private:
  guest::PhysicalMemory& memory_;
  const guest::CpuState& state_;
  const softmmu::PagingFeatures& features_;
  std::uint64_t known_page_ = ~std::uint64_t{0};
  const std::uint8_t* known_host_ = nullptr;
};

}  // namespace ringshift::runtime::profile
