// runtime/console/escape.cc - the Ctrl-A keys of a terminal that guest and monitor share.
#include "runtime/console/escape.h"

namespace ringshift::runtime {

EscapeResult EscapeParser::feed(std::uint8_t byte) {
  if (!after_escape_) {
    if (byte != kEscape) return {byte, {}};
    after_escape_ = true;
    return {};
  }
  after_escape_ = false;
  switch (byte) {
    case kEscape:
      return {kEscape, {}};
    case 'x':
      return {{}, EscapeCommand::kQuit};
    case 'h':
    case '?':
      return {{}, EscapeCommand::kHelp};
    case 'b':
      return {{}, EscapeCommand::kBreak};
    case 'c':
      return {{}, EscapeCommand::kMonitor};
    case 't':
      return {{}, EscapeCommand::kTimestamps};
    case 'p':
      return {{}, EscapeCommand::kPause};
    default:
      return {{}, EscapeCommand::kUnknown};
  }
}

std::string_view escape_help() {
  return "\r\n"
         "Ctrl-A h    this help\r\n"
         "Ctrl-A x    quit\r\n"
         "Ctrl-A b    send a break\r\n"
         "Ctrl-A p    pause, and continue\r\n"
         "Ctrl-A t    switch timestamps on and off\r\n"
         "Ctrl-A c    monitor (there is none yet)\r\n"
         "Ctrl-A Ctrl-A  send Ctrl-A\r\n";
}

}  // namespace ringshift::runtime
