// runtime/monitor/monitor.h - who talks to the monitor: a person at a prompt, or a program in QMP.
#pragma once

#include <memory>

#include "runtime/console/byte_channel.h"
#include "runtime/run_guest.h"

namespace ringshift::runtime::monitor {

// A prompt with a line to edit: backspace, Ctrl-U, Ctrl-C.
std::unique_ptr<RunWatcher> serve_people(std::unique_ptr<ByteChannel> channel);
// QEMU's machine protocol. Facts: QEMU's docs/interop/qmp-spec.
std::unique_ptr<RunWatcher> serve_programs(std::unique_ptr<ByteChannel> channel);

}  // namespace ringshift::runtime::monitor
