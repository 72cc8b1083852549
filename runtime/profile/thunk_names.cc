// runtime/profile/thunk_names.cc - what blocks call, by host address.
#include "runtime/profile/thunk_names.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace ringshift::runtime::profile {
namespace {

class Names {
 public:
  void add(const std::uint8_t* at, std::string name) {
    if (at) names_.emplace(reinterpret_cast<std::uint64_t>(at), std::move(name));
  }
  template <typename Addresses, typename Sizes>
  void add_each(const Addresses& addresses, const Sizes& sizes, std::string_view what) {
    for (std::size_t i = 0; i < addresses.size(); ++i)
      add(addresses[i], fmt::format("{}_{}", what, sizes[i]));
  }
  std::map<std::uint64_t, std::string> take() { return std::move(names_); }

 private:
  std::map<std::uint64_t, std::string> names_;
};

void add_misses(Names& names, const translator::Thunks::Misses& misses, std::string_view what) {
  names.add_each(misses.host, translator::kSizeClassBytes, fmt::format("{}_miss", what));
  names.add_each(misses.delta, translator::kSizeClassBytes, fmt::format("{}_delta_miss", what));
  names.add_each(misses.group, translator::kGroupSpans, fmt::format("{}_group_miss", what));
}

void add_strings(Names& names, const translator::StringThunks::Table& table,
                 std::string_view what) {
  static constexpr std::array<std::string_view, translator::kRepeatedStrings> kKinds = {
      "movs", "stos", "repe_cmps", "repne_cmps", "repe_scas", "repne_scas"};
  static constexpr std::array kBytes = {1, 2, 4, 8};
  for (std::size_t i = 0; i < table.size(); ++i)
    names.add_each(table[i], kBytes, fmt::format("{}{}", kKinds[i], what));
}

}  // namespace

std::map<std::uint64_t, std::string> thunk_names(const translator::Thunks& t) {
  Names names;
  names.add_each(t.read, translator::kSizeClassBytes, "read");
  names.add_each(t.write, translator::kSizeClassBytes, "write");
  names.add_each(t.group_read, translator::kGroupSpans, "group_read");
  names.add_each(t.group_write, translator::kGroupSpans, "group_write");
  add_misses(names, t.read_miss, "read");
  add_misses(names, t.write_miss, "write");
  add_strings(names, t.strings.long_mode, "");
  add_strings(names, t.strings.protected_mode, "_32");
  for (const auto& [at, name] : {std::pair{t.leave, "leave"},
                                 {t.inline_segment_check, "inline_segment_check"},
                                 {t.commit_store, "commit_store"},
                                 {t.inline_commit_store, "inline_commit_store"},
                                 {t.call_out, "call_out"},
                                 {t.quick, "quick"},
                                 {t.direct_exit, "direct_exit"},
                                 {t.indirect_exit, "indirect_exit"},
                                 {t.sequential_exit, "sequential_exit"},
                                 {t.indirect_slow, "indirect_slow"},
                                 {t.link_miss, "link_miss"},
                                 {t.segment_check, "segment_check"},
                                 {t.count_run, "count_run"},
                                 {t.attention, "attention"},
                                 {t.transfers.system_call, "syscall"},
                                 {t.transfers.compatible_call, "syscall_32"},
                                 {t.transfers.system_return, "sysret"},
                                 {t.transfers.stac, "stac"},
                                 {t.transfers.clac, "clac"},
                                 {t.transfers.verw, "verw"}})
    names.add(at, name);
  return names.take();
}

}  // namespace ringshift::runtime::profile
