// runtime/loaders/host_file.cc - reads a whole host file, with errors fit for the user.
#include "runtime/loaders/host_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ringshift::runtime {
namespace {

class OpenFile {
 public:
  explicit OpenFile(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

tl::expected<std::vector<std::uint8_t>, std::string> read_host_file(const std::string& path,
                                                                    std::uint64_t limit, std::string_view whose) {
  const auto system_error = [&] {
    return tl::unexpected(fmt::format("{}: {}", path, std::strerror(errno)));
  };
  const auto too_large = [&] {
    return tl::unexpected(fmt::format("{}: larger than {} ({} MiB)", path, whose, limit >> 20));
  };
  const OpenFile file(path);
  if (file.fd() < 0) return system_error();
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) return system_error();
  if (S_ISREG(info.st_mode) && static_cast<std::uint64_t>(info.st_size) > limit) return too_large();

  // Pipes are read to their end; the size of a regular file is only the first guess.
  std::vector<std::uint8_t> bytes;
  std::size_t used = 0;
  const std::size_t guess = S_ISREG(info.st_mode) ? static_cast<std::size_t>(info.st_size) : 0;
  for (;;) {
    if (used == bytes.size())
      bytes.resize(used == 0 && guess > 0 ? guess + 1 : std::max<std::size_t>(used * 2, 65536));
    const auto got = ::read(file.fd(), bytes.data() + used, bytes.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error();
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
    if (used > limit) return too_large();
  }
  if (used == 0) return tl::unexpected(fmt::format("{}: the file is empty", path));
  bytes.resize(used);
  return bytes;
}

}  // namespace ringshift::runtime
