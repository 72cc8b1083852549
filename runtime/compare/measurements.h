// runtime/compare/measurements.h - what `ringshift compare` measures, and the values of it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ringshift::runtime {

struct Measurement {
  std::string_view name;   // as the built-in guest and --json call it
  std::string_view title;  // for people
  std::string_view unit;   // "cycles", "ms" or "KiB"
  std::string_view method;
};
// In the order of the report. Constant data.
std::span<const Measurement> measurements();

// One measurement under one engine: a value for each repeat that gave one.
struct Values {
  std::vector<double> of_repeats;
  std::optional<double> median() const;
  // (greatest - least) / median; nothing below two values.
  std::optional<double> spread() const;
};

struct EngineResult {
  std::string name;
  std::string description;
  std::string command;         // "" : in this process
  std::string problem;         // why there is nothing, or not everything
  std::vector<Values> values;  // in the order of measurements()
};

struct Comparison {
  std::string processor, kernel, host;  // what the numbers were taken on
  unsigned repeats = 0;
  double counter_mhz = 0;  // of the time-stamp counter
  std::vector<EngineResult> engines;
};

// "measure NAME HUNDREDTHS" lines of the built-in guest, added to the values they belong to.
void add_guest_lines(std::string_view output, std::vector<Values>& values);

std::string to_text(const Comparison& comparison);
std::string to_json(const Comparison& comparison);
// One page with everything in it, for a browser without a network.
std::string to_html(const Comparison& comparison);

}  // namespace ringshift::runtime
