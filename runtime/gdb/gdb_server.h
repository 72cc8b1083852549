// runtime/gdb/gdb_server.h - the remote end of gdb, on a socket.
// GDB manual, "GDB Remote Serial Protocol".
#pragma once

#include <memory>

#include "runtime/console/byte_channel.h"
#include "runtime/run_guest.h"

namespace ringshift::runtime::gdb {

std::unique_ptr<RunWatcher> serve_gdb(std::unique_ptr<ByteChannel> channel);

}  // namespace ringshift::runtime::gdb
