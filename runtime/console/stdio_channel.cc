// runtime/console/stdio_channel.cc - the process's own standard input and output, with Ctrl-A keys.
#include "runtime/console/stdio_channel.h"

#include <fmt/format.h>
#include <unistd.h>

#include <ctime>

#include "runtime/console/terminal.h"

namespace ringshift::runtime {
namespace {

std::string timestamp() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm local{};
  ::localtime_r(&now.tv_sec, &local);
  return fmt::format("[{:02}:{:02}:{:02}.{:03}] ", local.tm_hour, local.tm_min, local.tm_sec,
                     now.tv_nsec / 1'000'000);
}

}  // namespace

StdioChannel::StdioChannel(bool escape_keys, CommandHandler commands)
    : escape_keys_(escape_keys),
      is_terminal_(::isatty(STDIN_FILENO)),
      commands_(std::move(commands)) {
  set_descriptors(STDIN_FILENO, STDOUT_FILENO);
}

bool StdioChannel::may_read() { return !is_terminal_ || in_foreground(STDIN_FILENO); }

void StdioChannel::received(std::span<const std::uint8_t> bytes) {
  if (!escape_keys_) return deliver(bytes);
  for (const auto byte : bytes) {
    const auto result = parser_.feed(byte);
    if (result.byte) deliver(std::span(&*result.byte, 1));
    if (result.command) run(*result.command);
  }
}

void StdioChannel::run(EscapeCommand command) {
  switch (command) {
    case EscapeCommand::kHelp:
      return print(escape_help());
    case EscapeCommand::kBreak:
      return receiver()->send_break();
    case EscapeCommand::kMonitor:
      return print("\r\n(the monitor has a place of its own: -monitor unix:PATH,server,nowait)\r\n");
    case EscapeCommand::kTimestamps:
      timestamps_ = !timestamps_;
      return;
    case EscapeCommand::kUnknown:
      return;
    case EscapeCommand::kQuit:
    case EscapeCommand::kPause:
      break;
  }
  commands_(command);
}

void StdioChannel::append_output(std::uint8_t byte, std::string& buffer) {
  if (line_start_ && timestamps_) buffer += timestamp();
  line_start_ = byte == '\n';
  buffer.push_back(static_cast<char>(byte));
}

}  // namespace ringshift::runtime
