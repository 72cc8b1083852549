// runtime/console/backends.h - the host ends that -serial can name: stdio, files, ptys, sockets.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "runtime/console/byte_channel.h"
#include "runtime/console/escape.h"

namespace ringshift::runtime {

// What Ctrl-A asks of the machine; called on the loop's thread.
using CommandHandler = std::function<void(EscapeCommand)>;

// QEMU's spelling.
struct BackendSpec {
  enum class Kind { kNone, kNull, kStdio, kFile, kPty, kUnix, kTcp } kind = Kind::kNone;
  bool escape_keys = false;  // mon:stdio: Ctrl-A commands, and Ctrl-C goes to the guest
  std::string path;
  bool append = false;                // file:PATH,append=on
  bool server = false, wait = false;  // unix:PATH,server,nowait; tcp:[HOST]:PORT,server,nowait
  bool uses_stdio() const { return kind == Kind::kStdio; }
};

tl::expected<BackendSpec, std::string> parse_backend(const std::string& text);

// Opens it, which may mean waiting for a client (server without nowait). `label` names it in
// messages ("serial0"). kNone is no backend: the caller does not ask for it.
tl::expected<std::unique_ptr<ByteChannel>, std::string> open_backend(const BackendSpec& spec,
                                                                     const std::string& label,
                                                                     CommandHandler commands);

}  // namespace ringshift::runtime
