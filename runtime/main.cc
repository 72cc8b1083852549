// runtime/main.cc - the program: parses the command line, runs one verb, says what went wrong.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "runtime/message.h"
#include "runtime/options.h"
#include "runtime/probe.h"
#include "runtime/profile/command.h"
#include "runtime/run_guest.h"

namespace {

using namespace ringshift::runtime;

// A file that is opened later must not become standard output by its number.
void open_missing_standard_files() {
  int fd = 0;
  while (fd >= 0 && fd <= STDERR_FILENO) fd = ::open("/dev/null", O_RDWR);
  if (fd >= 0) ::close(fd);
}

tl::expected<int, std::string> print(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!written || std::fflush(stdout) != 0)
    return tl::unexpected(fmt::format("standard output: {}", std::strerror(errno)));
  return 0;
}

tl::expected<int, std::string> run(const ProbeOptions& options) {
  auto report = probe_host();
  measure_kvm(report);
  return print(options.json ? to_json(report) : to_text(report));
}

tl::expected<int, std::string> run(const TextAnswer& answer) { return print(answer.text); }

tl::expected<int, std::string> run(const RunOptions& options) { return run_guest(options); }

tl::expected<int, std::string> run(const CompareOptions& options) { return run_compare(options); }

tl::expected<int, std::string> run_command(const std::vector<std::string>& arguments) {
  if (profile::is_profile_verb(arguments)) return profile::run_command(arguments);
  const auto command = parse_command_line(arguments);
  if (!command) return tl::unexpected(command.error());
  return std::visit([](const auto& options) { return run(options); }, *command);
}

}  // namespace

int main(int count, char** words) {
  open_missing_standard_files();
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
  print_message("ringshift: {}", problem);
  return 1;
}
