// codecache/arena.h - the memory that translated code lives in, mapped twice: written here, run
// there. W^X: one view is writable and never executable, the other executable and never writable.
// Space is handed out in order and comes back only all at once (reset). vCPU thread, code-cache
// lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <tl/expected.hpp>

namespace ringshift::codecache {

class Arena {
 public:
  // The error is one line for the user.
  static tl::expected<std::unique_ptr<Arena>, std::string> create(std::size_t bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::size_t free_bytes() const { return bytes_ - used_; }
  std::size_t used_bytes() const { return used_; }
  // Executable address that the next append() will return.
  std::uint8_t* next() const { return run_ + used_; }
  // Copies code to the end and returns its executable address; needs free_bytes() >= size.
  std::uint8_t* append(std::span<const std::uint8_t> code);
  // Overwrites a 32-bit field of code that already runs (a jump displacement). x86 executes either
  // the old or the new value when the field does not cross a cache line; align_link() sees to that.
  void patch32(std::uint8_t* executable, std::uint32_t value);
  bool contains(const void* executable) const {
    auto p = static_cast<const std::uint8_t*>(executable);
    return p >= run_ && p < run_ + bytes_;
  }
  // From now on reset() goes back to here: what was appended so far (the thunks) stays.
  void seal() { sealed_ = used_; }
  void reset() { used_ = sealed_; }

 private:
  Arena() = default;
  std::uint8_t* write_ = nullptr;
  std::uint8_t* run_ = nullptr;
  std::size_t bytes_ = 0, used_ = 0, sealed_ = 0;
};

}  // namespace ringshift::codecache
