// runtime/run_delay.cc - reads the second number of the thread's schedstat.
#include "runtime/run_delay.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <string_view>

namespace ringshift::runtime {

RunDelay::~RunDelay() {
  if (file_ >= 0) close(file_);
}

std::uint64_t RunDelay::nanoseconds() {
  if (file_ == kUnopened) file_ = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  char text[96];
  const ssize_t bytes = file_ < 0 ? 0 : pread(file_, text, sizeof text, 0);
  const std::string_view line(text, bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
  const std::size_t space = line.find(' ');
  std::uint64_t waited = 0;
  if (space != line.npos)
    std::from_chars(line.data() + space + 1, line.data() + line.size(), waited);
  return waited;
}

}  // namespace ringshift::runtime
