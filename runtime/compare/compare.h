// runtime/compare/compare.h - `ringshift compare`: the same guests under every engine of this host.
#pragma once

#include <chrono>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "runtime/compare/measurements.h"

namespace ringshift::runtime {

struct CompareOptions {
  bool json = false;
  std::string html;  // a file to write the page to
  unsigned repeats = 3;
  std::vector<std::string> engines;  // names; empty: all
  // A guest of the user's, which has to end by itself.
  std::string kernel, initrd, append, memory = "512";
  std::chrono::seconds limit{120};  // for one run of it
};

tl::expected<CompareOptions, std::string> parse_compare_options(
    const std::vector<std::string>& arguments);
std::string compare_help_text();

// Progress goes to standard error. The error is one line for the user.
tl::expected<Comparison, std::string> compare(const CompareOptions& options);

// The verb: measures, prints, writes the page. The exit status.
tl::expected<int, std::string> run_compare(const CompareOptions& options);

}  // namespace ringshift::runtime
