// runtime/console/escape.h - the Ctrl-A keys of a terminal that guest and monitor share.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ringshift::runtime {

enum class EscapeCommand {
  kQuit,        // x
  kHelp,        // h, ?
  kBreak,       // b
  kMonitor,     // c
  kTimestamps,  // t
  kPause,       // p
  kUnknown,
};

struct EscapeResult {
  std::optional<std::uint8_t> byte;  // for the guest
  std::optional<EscapeCommand> command;
};

class EscapeParser {
 public:
  static constexpr std::uint8_t kEscape = 0x01;  // Ctrl-A
  EscapeResult feed(std::uint8_t byte);

 private:
  bool after_escape_ = false;
};

std::string_view escape_help();

}  // namespace ringshift::runtime
