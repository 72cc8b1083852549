// runtime/profile/output_file.cc - whole files, written so that a full disk is an error.
#include "runtime/profile/output_file.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace ringshift::runtime::profile {
namespace {

bool is_special(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode);
}

// 0, or errno.
int write_to(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (!file) return errno;
  int problem = 0;
  if (std::fwrite(text.data(), 1, text.size(), file) != text.size()) problem = errno;
  if (std::fclose(file) != 0 && problem == 0) problem = errno;
  return problem;
}

}  // namespace

tl::expected<void, std::string> write_file(const std::string& path, const std::string& text) {
  const bool special = is_special(path);
  const std::string written = special ? path : fmt::format("{}.{}.part", path, ::getpid());
  int problem = write_to(written, text);
  if (problem == 0 && !special && std::rename(written.c_str(), path.c_str()) != 0) problem = errno;
  if (problem == 0) return {};
  if (!special) std::remove(written.c_str());
  return tl::unexpected(fmt::format("{}: {}", path, std::strerror(problem)));
}

tl::expected<void, std::string> write_standard_output(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!written || std::fflush(stdout) != 0)
    return tl::unexpected(fmt::format("standard output: {}", std::strerror(errno)));
  return {};
}

}  // namespace ringshift::runtime::profile
