// runtime/profile/work_names.cc - what the vCPU was at, in words.
#include "runtime/profile/work_names.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <string_view>

#include "runtime/profile/board_names.h"
#include "translator/listing.h"

namespace ringshift::runtime::profile {
namespace {

WorkName code_name(const Work& work, const std::map<std::uint64_t, std::string>& thunks) {
  switch (work.code) {
    case Work::Code::kHot:
      return {"hot code", "", true};
    case Work::Code::kCold:
      return {"cold code", "", true};
    case Work::Code::kThunk: {
      const auto number = ActivityWord::detail(work.activity);
      if (number >= thunks.size()) return {"thunk", "", true};
      return {"thunk", std::next(thunks.begin(), number)->second, true};
    }
    default:
      return {"between blocks", "", false};
  }
}

}  // namespace

// SDM Vol. 3 "Exceptions and Interrupts Vectors".
std::string vector_name(unsigned vector) {
  static constexpr auto kNames = std::to_array<std::string_view>(
      {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "",
       "#TS", "#NP", "#SS", "#GP", "#PF", "",    "#MF", "#AC", "#MC", "#XM"});
  if (vector < kNames.size() && !kNames[vector].empty()) return std::string(kNames[vector]);
  return fmt::format("{:#x}", vector);
}

std::string WorkName::frame() const {
  if (is_guest_code && detail.empty()) return "";
  return detail.empty() ? fmt::format("[{}]", kind) : fmt::format("[{}: {}]", kind, detail);
}

WorkName work_name(const Work& work, const std::map<std::uint64_t, std::string>& thunks) {
  const std::uint32_t detail = ActivityWord::detail(work.activity);
  switch (ActivityWord::what(work.activity)) {
    case Activity::kGuestCode:
      return code_name(work, thunks);
    case Activity::kOutside:
      return {"outside", ""};
    case Activity::kDispatch:
      return {"dispatch", ""};
    case Activity::kTranslate:
      return {"translation", ""};
    case Activity::kFlush:
      return {"cache flush", ""};
    case Activity::kPromote:
      return {"promotion", ""};
    case Activity::kLink:
      return {"linking", ""};
    case Activity::kMiss:
      return {"page walk", ""};
    case Activity::kStore:
      return {"slow store", ""};
    case Activity::kSegment:
      return {"segment check", ""};
    case Activity::kCallOut:
      return {"call-out", std::string(translator::row_name(detail))};
    case Activity::kQuick:
      return {"quick call-out", std::string(translator::row_name(detail))};
    case Activity::kException:
      return {"exception", vector_name(detail)};
    case Activity::kInterrupt:
      return {"interrupt", fmt::format("{:#x}", detail)};
    case Activity::kPort:
      return {"port", fmt::format("{} {:#x}", port_device(detail), detail)};
    case Activity::kDevice:
      return {"device", page_device(detail)};
    case Activity::kWindow:
      return {"window fault", ""};
    case Activity::kObserve:
      return {"profiling", ""};
  }
  return {"unknown", ""};
}

}  // namespace ringshift::runtime::profile
