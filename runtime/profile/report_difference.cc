// runtime/profile/report_difference.cc - two profiles compared: shares of the time, not samples, as
// their lengths need not be the same.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "runtime/profile/report.h"
#include "runtime/profile/text_table.h"

namespace ringshift::runtime::profile {
namespace {

constexpr std::size_t kShown = 25;
constexpr double kNoticed = 0.05;  // percent

struct Change {
  double before = 0, after = 0;
};
using Changes = std::map<std::string, Change>;

std::string table(const std::string& title, const Changes& changes) {
  std::vector<std::pair<std::string, Change>> list(changes.begin(), changes.end());
  std::erase_if(
      list, [](const auto& c) { return std::abs(c.second.after - c.second.before) < kNoticed; });
  std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
    return std::abs(a.second.after - a.second.before) > std::abs(b.second.after - b.second.before);
  });
  std::string text = fmt::format("\n{:<26} before   after  change\n", title);
  for (std::size_t i = 0; i < std::min(kShown, list.size()); ++i) {
    const auto& [name, c] = list[i];
    text += fmt::format("  {:<24} {:6.1f}% {:6.1f}% {:+6.1f}\n", name, c.before, c.after,
                        c.after - c.before);
  }
  return list.empty() ? text + "  nothing changed\n" : text;
}

std::string counters(const Profile& before, const Profile& after) {
  std::map<std::string, std::pair<double, double>> rates;
  for (const Count& c : before.counters)
    rates[c.name].first = static_cast<double>(c.value) / std::max(before.run.cpu_seconds, 1e-3);
  for (const Count& c : after.counters)
    rates[c.name].second = static_cast<double>(c.value) / std::max(after.run.cpu_seconds, 1e-3);
  std::string text = "\nCounters a second of processor time\n";
  for (const auto& [name, rate] : rates)
    if (rate.first >= 1 || rate.second >= 1)
      text += fmt::format("  {:<24} {:12.0f} {:12.0f}\n", name, rate.first, rate.second);
  return text;
}

}  // namespace

std::string text_difference(const Profile& before, const Profile& after) {
  Changes functions, work;
  for (const FunctionShare& f : before.functions)
    functions[function_text(f)].before += percent(before, f.self);
  for (const FunctionShare& f : after.functions)
    functions[function_text(f)].after += percent(after, f.self);
  for (const Share& s : before.activities) work[work_text(s)].before += percent(before, s.samples);
  for (const Share& s : after.activities) work[work_text(s)].after += percent(after, s.samples);
  return fmt::format("before: {} samples, {:.2f} s of processor time; after: {}, {:.2f} s\n",
                     before.run.samples, before.run.cpu_seconds, after.run.samples,
                     after.run.cpu_seconds) +
         table("Functions (self)", functions) + table("What the processor was at", work) +
         counters(before, after);
}

}  // namespace ringshift::runtime::profile
