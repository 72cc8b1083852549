// runtime/log_file.cc - a stream over a file descriptor that swallows errors.
#include "runtime/log_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/message.h"

namespace ringshift::runtime {

tl::expected<void, std::string> LogFile::open(const std::string& path) {
  path_ = path;
  constexpr mode_t kReadWrite = 0666;
  fd_ = path.empty() ? STDERR_FILENO
                     : ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kReadWrite);
  if (fd_ < 0) return tl::unexpected(fmt::format("-D {}: {}", path, std::strerror(errno)));
  const cookie_io_functions_t functions{
      .read = nullptr,
      .write = [](void* cookie, const char* text, std::size_t bytes) -> ssize_t {
        static_cast<LogFile*>(cookie)->write_all(text, bytes);
        return static_cast<ssize_t>(bytes);
      },
      .seek = nullptr,
      .close = nullptr};
  stream_ = ::fopencookie(this, "w", functions);
  if (!stream_) return tl::unexpected(fmt::format("-D {}: {}", path, std::strerror(errno)));
  if (path.empty()) std::setvbuf(stream_, nullptr, _IOLBF, BUFSIZ);
  return {};
}

LogFile::~LogFile() {
  if (stream_) std::fclose(stream_);
  if (fd_ > STDERR_FILENO) ::close(fd_);
}

void LogFile::write_all(const char* text, std::size_t bytes) {
  while (bytes > 0 && !failed_) {
    const ssize_t written = ::write(fd_, text, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      failed_ = true;
      if (!path_.empty()) print_message("ringshift: -D {}: {}", path_, std::strerror(errno));
      return;
    }
    text += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

}  // namespace ringshift::runtime
