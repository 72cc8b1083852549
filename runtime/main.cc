// runtime/main.cc - the program: parses the command line, runs one verb, says what went wrong.
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "runtime/options.h"
#include "runtime/probe.h"
#include "runtime/run_guest.h"

namespace {

using namespace ringshift::runtime;

tl::expected<int, std::string> run(const ProbeOptions& options) {
  auto report = probe_host();
  measure_kvm(report);
  fmt::print("{}", options.json ? to_json(report) : to_text(report));
  return 0;
}

tl::expected<int, std::string> run(const TextAnswer& answer) {
  fmt::print("{}", answer.text);
  return 0;
}

tl::expected<int, std::string> run(const RunOptions& options) { return run_guest(options); }

tl::expected<int, std::string> run_command(const std::vector<std::string>& arguments) {
  const auto command = parse_command_line(arguments);
  if (!command) return tl::unexpected(command.error());
  return std::visit([](const auto& options) { return run(options); }, *command);
}

}  // namespace

int main(int count, char** words) {
  std::string problem;
  try {
    const auto status = run_command({words + 1, words + count});
    if (status) return *status;
    problem = status.error();
  } catch (const std::bad_alloc&) {
    problem = "out of host memory";
  } catch (const std::exception& error) {
    problem = error.what();
  }
  fmt::print(stderr, "ringshift: {}\n", problem);
  return 1;
}
