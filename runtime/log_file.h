// runtime/log_file.h - where -d writes: the file of -D, or standard error. What cannot be written
// is lost, and said once: a full disk or a closed pipe ends no guest.
#pragma once

#include <cstdio>
#include <string>
#include <tl/expected.hpp>

namespace ringshift::runtime {

class LogFile {
 public:
  LogFile() = default;
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // An empty path: standard error.
  tl::expected<void, std::string> open(const std::string& path);
  // Writes to it never fail.
  std::FILE* get() const { return stream_; }

 private:
  void write_all(const char* text, std::size_t bytes);

  std::string path_;
  std::FILE* stream_ = nullptr;
  int fd_ = -1;
  bool failed_ = false;
};

}  // namespace ringshift::runtime
