// runtime/compare/report_text.cc - the comparison as a table and as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/compare/measurements.h"

namespace ringshift::runtime {
namespace {

bool has_any(const Comparison& c, std::size_t measurement) {
  return std::ranges::any_of(
      c.engines, [&](const EngineResult& e) { return e.values[measurement].median().has_value(); });
}

std::string cell(const Values& values) {
  const auto median = values.median();
  if (!median) return "-";
  const int digits = *median < 100 ? 1 : 0;
  const auto spread = values.spread();
  return spread
             ? fmt::format("{:.{}f} {:>4}", *median, digits, fmt::format("{:.0f}%", *spread * 100))
             : fmt::format("{:.{}f}", *median, digits);
}

}  // namespace

std::string to_text(const Comparison& c) {
  std::string text =
      fmt::format("{}, Linux {}, {}; counter {:.0f} MHz\nmedians of {} runs, and their spread\n\n",
                  c.processor, c.kernel, c.host, c.counter_mhz, c.repeats);
  text += fmt::format("{:<64}", "");
  for (const auto& e : c.engines) text += fmt::format("{:>16}", e.name);
  text += "\n";
  for (std::size_t i = 0; i < measurements().size(); ++i) {
    if (!has_any(c, i)) continue;
    const auto& m = measurements()[i];
    text += fmt::format("{:<64}", fmt::format("{}, {}", m.title, m.unit));
    for (const auto& e : c.engines) text += fmt::format("{:>16}", cell(e.values[i]));
    text += "\n";
  }
  text += "\n";
  for (const auto& e : c.engines)
    text += fmt::format("{:<12} {}{}\n", e.name, e.description,
                        e.problem.empty() ? "" : "; " + e.problem);
  return text;
}

std::string to_json(const Comparison& c) {
  nlohmann::ordered_json json;
  json["version"] = 1;
  json["host"] = {{"processor", c.processor}, {"kernel", c.kernel}, {"kvm", c.host}};
  json["counter_mhz"] = c.counter_mhz;
  json["repeats"] = c.repeats;
  for (const auto& m : measurements())
    json["measurements"].push_back(
        {{"name", m.name}, {"title", m.title}, {"unit", m.unit}, {"method", m.method}});
  for (const auto& e : c.engines) {
    nlohmann::ordered_json engine{{"name", e.name},
                                  {"description", e.description},
                                  {"command", e.command},
                                  {"problem", e.problem}};
    engine["results"] = nlohmann::ordered_json::object();
    for (std::size_t i = 0; i < measurements().size(); ++i) {
      const auto& values = e.values[i];
      if (!values.median()) continue;
      const auto spread = values.spread();
      engine["results"][std::string(measurements()[i].name)] = {
          {"median", *values.median()},
          {"spread", spread ? nlohmann::ordered_json(*spread) : nlohmann::ordered_json(nullptr)},
          {"runs", values.of_repeats}};
    }
    json["engines"].push_back(std::move(engine));
  }
  return json.dump(2) + "\n";
}

}  // namespace ringshift::runtime
