// runtime/compare/child.h - runs a program to its end and says what it cost.
#pragma once

#include <chrono>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace ringshift::runtime {

struct ChildRun {
  std::string output;  // standard output, without carriage returns
  int status = 0;      // exit status; 128 + N after signal N
  bool timed_out = false;
  double seconds = 0;                 // from start to end
  std::uint64_t peak_memory_kib = 0;  // resident
};

// Standard input is empty, standard error goes nowhere. The error is one line for the user: the
// program cannot be started.
tl::expected<ChildRun, std::string> run_child(const std::vector<std::string>& words,
                                              std::chrono::seconds limit);

}  // namespace ringshift::runtime
