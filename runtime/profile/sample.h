// runtime/profile/sample.h - one look at the running vCPU, as the signal handler leaves it: raw
// numbers, which are made sense of later.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ringshift::runtime::profile {

inline constexpr std::size_t kMaxFrames = 48;
inline constexpr std::size_t kCommBytes = 16;  // Linux's TASK_COMM_LEN

struct Sample {
  std::int64_t when_ns = 0;  // since sampling began

  std::uint64_t host_ip = 0;
  // In a block, or where a block called what runs now; 0: in none.
  std::uint64_t site = 0;
  std::uint64_t flushes = 0;   // of the code cache: older sites name blocks that are gone
  std::uint32_t activity = 0;  // ActivityWord

  std::uint64_t rip = 0;       // of the guest: exact in the dispatcher, else see rip_base
  std::uint64_t rip_base = 0;  // RIP of offset 0 of the page of `site`
  std::uint64_t cs_base = 0;   // outside 64-bit code
  std::uint64_t cr3 = 0;
  std::uint8_t cpl = 0;
  std::uint8_t code_bytes = 0;  // 2, 4 or 8
  bool paging = false;
  std::uint8_t depth = 0;                          // of frames
  std::array<char, kCommBytes> comm{};             // of the guest's current task, if known
  std::array<std::uint64_t, kMaxFrames> frames{};  // return RIPs, innermost first
};

}  // namespace ringshift::runtime::profile
