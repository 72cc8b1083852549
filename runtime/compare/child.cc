// runtime/compare/child.cc - posix_spawn, a pipe, and wait4.
#include "runtime/compare/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "runtime/kvm/file_descriptor.h"

namespace ringshift::runtime {
namespace {

using Clock = std::chrono::steady_clock;

class SpawnFiles {
 public:
  explicit SpawnFiles(int output) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions_, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  }
  ~SpawnFiles() { posix_spawn_file_actions_destroy(&actions_); }
  SpawnFiles(const SpawnFiles&) = delete;
  SpawnFiles& operator=(const SpawnFiles&) = delete;
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

// Until the end of the output or of the time; false: of the time.
bool read_all(int file, Clock::time_point end, std::string& text) {
  char buffer[4096];
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) return false;
    pollfd waiting{file, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 1000))) <= 0)
      continue;
    const ssize_t bytes = ::read(file, buffer, sizeof buffer);
    if (bytes <= 0) return true;
    text.append(buffer, static_cast<std::size_t>(bytes));
  }
}

}  // namespace

tl::expected<ChildRun, std::string> run_child(const std::vector<std::string>& words,
                                              std::chrono::seconds limit) {
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return tl::unexpected(std::string(std::strerror(errno)));
  const FileDescriptor output(pipe[0]);
  FileDescriptor write_end(pipe[1]);
  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const SpawnFiles files(write_end.get());
  pid_t child = -1;
  const auto start = Clock::now();
  const int error =
      ::posix_spawnp(&child, arguments[0], files.get(), nullptr, arguments.data(), environ);
  if (error != 0) return tl::unexpected(fmt::format("{}: {}", words[0], std::strerror(error)));
  write_end = FileDescriptor();
  ChildRun run;
  run.timed_out = !read_all(output.get(), start + limit, run.output);
  if (run.timed_out) ::kill(child, SIGKILL);
  int status = 0;
  rusage used{};
  while (::wait4(child, &status, 0, &used) < 0 && errno == EINTR) {
  }
  run.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  run.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  run.peak_memory_kib = static_cast<std::uint64_t>(used.ru_maxrss);
  std::erase(run.output, '\r');
  return run;
}

}  // namespace ringshift::runtime
