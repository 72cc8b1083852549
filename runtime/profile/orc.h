// runtime/profile/orc.h - Linux's ORC tables: for each instruction of a 64-bit kernel, where the
// frame before it is. Linux's Documentation/x86/orc-unwinder.rst. Made once; then read only, from
// any thread and from signal handlers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ringshift::runtime::profile {

struct OrcEntry {
  enum class Register : std::uint8_t {
    kUndefined,
    kPreviousSp,
    kDx,
    kDi,
    kBp,
    kSp,
    kR10,
    kR13,
    kBpIndirect,
    kSpIndirect
  };
  enum class Kind : std::uint8_t { kCall, kRegisters, kPartialRegisters, kUnknown, kEnd };
  std::int16_t sp_offset = 0, bp_offset = 0;
  Register sp_register = Register::kUndefined, bp_register = Register::kUndefined;
  Kind kind = Kind::kUnknown;
};

// How the bits of an entry lie; they moved in Linux 6.4.
enum class OrcLayout : std::uint8_t { kBefore64, kSince64 };

class OrcTable {
 public:
  static constexpr std::size_t kEntryBytes = 6;

  // `ip_table` lies at `address` in the guest and holds a 32-bit displacement per entry, each from
  // its own place. Nothing when the tables disagree with each other.
  static std::optional<OrcTable> make(std::uint64_t address, std::span<const std::int32_t> ip_table,
                                      std::span<const std::uint8_t> entries, OrcLayout layout);

  // For the instruction at `rip`. Nothing: not of the kernel's image.
  std::optional<OrcEntry> find(std::uint64_t rip) const;
  std::size_t size() const { return starts_.size(); }

 private:
  static OrcEntry decode(const std::uint8_t* bytes, OrcLayout layout);

  std::vector<std::uint64_t> starts_;  // sorted
  std::vector<OrcEntry> entries_;
};

}  // namespace ringshift::runtime::profile
