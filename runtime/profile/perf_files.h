// runtime/profile/perf_files.h - the two files by which a host's perf learns of code that was made
// while a process ran. What cannot be written is lost, and said once.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <tl/expected.hpp>

namespace ringshift::runtime::profile {

// Code that can be run from now on.
struct NewCode {
  std::uint64_t address = 0;
  std::span<const std::uint8_t> bytes;
  std::string name;
};

class PerfFile {
 public:
  virtual ~PerfFile() = default;
  virtual void add(const NewCode& code) = 0;
  // What was added is where perf can read it.
  virtual void flush() = 0;
};

// /tmp/perf-PID.map: "address size name", one line each; of two for an address the later one
// counts. The errors are one line for the user.
tl::expected<std::unique_ptr<PerfFile>, std::string> open_perf_map(const std::string& path);
// Linux's tools/perf/Documentation/jitdump-specification.txt. perf finds the file by a mapping.
tl::expected<std::unique_ptr<PerfFile>, std::string> open_jit_dump(const std::string& path);

}  // namespace ringshift::runtime::profile
