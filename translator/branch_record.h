// translator/branch_record.h - what a taken branch leaves behind for the case that its target is no
// place for code: where it was, and how to undo it.
//
// SDM Vol. 2 "RET", "CALL", "JMP": #GP is raised by the branch, before anything changes. Asking
// before each branch would cost too much, so an exit that can go anywhere stores its record, and
// only the look-up that finds no code reads it.
#pragma once

#include <cstdint>

namespace ringshift::translator {

struct BranchRecord {
  std::uint16_t page_offset = 0;   // of the branch's first byte
  std::int32_t rsp_change = 0;     // RET and CALL; at most 64 KiB and a return address
  std::uint8_t counter_bytes = 0;  // LOOP: the width of the counter that went down by one

  static constexpr std::uint32_t kNone = ~0u;

  constexpr std::uint32_t pack() const {
    const std::uint32_t counter = counter_bytes == 8   ? 3
                                  : counter_bytes == 4 ? 2
                                                       : counter_bytes / 2;
    return page_offset | (static_cast<std::uint32_t>(rsp_change) & 0x3ffff) << 12 | counter << 30;
  }
  static constexpr BranchRecord unpack(std::uint32_t bits) {
    constexpr std::uint8_t kCounters[] = {0, 2, 4, 8};
    return {static_cast<std::uint16_t>(bits & 0xfff), static_cast<std::int32_t>(bits << 2) >> 14,
            kCounters[bits >> 30]};
  }
  bool operator==(const BranchRecord&) const = default;
};

}  // namespace ringshift::translator
