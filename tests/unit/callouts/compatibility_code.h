// tests/unit/callouts/compatibility_code.h - runs 32-bit machine code in this 64-bit process.
#pragma once

#include <cstdint>
#include <span>

namespace ringshift::translator {

// A page below 4 GiB with a far call into the kernel's 32-bit user code segment.
class CompatibilityCode {
 public:
  // `code` runs with EAX and EFLAGS loaded from the arguments of run().
  explicit CompatibilityCode(std::span<const std::uint8_t> code);
  ~CompatibilityCode();
  CompatibilityCode(const CompatibilityCode&) = delete;
  CompatibilityCode& operator=(const CompatibilityCode&) = delete;

  struct Registers {
    std::uint32_t eax, eflags;
  };
  Registers run(Registers in) const;

 private:
  static constexpr std::size_t kBytes = 4 * 4096;
  std::uint8_t* page_;
};

}  // namespace ringshift::translator
