// runtime/console/stdio_channel.h - the process's own standard input and output, with Ctrl-A keys.
// Whoever creates it puts the terminal in raw mode: see terminal.h.
#pragma once

#include "runtime/console/backends.h"

namespace ringshift::runtime {

class StdioChannel final : public ByteChannel {
 public:
  StdioChannel(bool escape_keys, CommandHandler commands);

 private:
  void received(std::span<const std::uint8_t> bytes) override;
  void append_output(std::uint8_t byte, std::string& buffer) override;
  bool may_read() override;
  void run(EscapeCommand command);

  bool escape_keys_;
  bool is_terminal_;
  CommandHandler commands_;
  EscapeParser parser_;
  std::atomic<bool> timestamps_{false};
  bool line_start_ = true;  // guarded by the output lock
};

}  // namespace ringshift::runtime
