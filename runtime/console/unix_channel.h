// runtime/console/unix_channel.h - a stream socket: one client at a time, or one server.
#pragma once

#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "runtime/console/byte_channel.h"

namespace ringshift::runtime {

// As a server it replaces a stale socket file, waits for the first client if `wait`, and takes the
// next when one leaves. What the guest prints while nobody is connected is lost.
tl::expected<std::unique_ptr<ByteChannel>, std::string> open_unix(const std::string& path,
                                                                  bool server, bool wait,
                                                                  const std::string& label);

// The same over TCP: "HOST:PORT", a server only; without a host, on the loopback.
tl::expected<std::unique_ptr<ByteChannel>, std::string> open_tcp(const std::string& address,
                                                                 bool server, bool wait,
                                                                 const std::string& label);

}  // namespace ringshift::runtime
