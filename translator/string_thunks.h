// translator/string_thunks.h - repeated string instructions done by the host's own, page by page,
// for blocks to call.
#pragma once

#include <array>
#include <cstdint>

#include "codecache/arena.h"

namespace ringshift::translator {

enum class RepeatedString : std::uint8_t {
  kMovs,
  kStos,
  kRepeCmps,
  kRepneCmps,
  kRepeScas,
  kRepneScas,
};
inline constexpr unsigned kRepeatedStrings = 6;

// Called with R11 = the Operation. What the current view's TLBs do not serve goes on as if the
// call-out had been called at once.
struct StringThunks {
  // By kind and by the logarithm of the element's size.
  using Table = std::array<std::array<const std::uint8_t*, 4>, kRepeatedStrings>;
  Table long_mode{}, protected_mode{};
};

// `call_out`: Thunks::call_out.
StringThunks emit_string_thunks(codecache::Arena& arena, const std::uint8_t* call_out);

}  // namespace ringshift::translator
