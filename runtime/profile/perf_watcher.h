// runtime/profile/perf_watcher.h - tells the host's perf what translated code is: perf-PID.map and
// jitdump files, which name guest functions.
#pragma once

#include <memory>

#include "runtime/run_guest.h"

namespace ringshift::runtime::profile {

std::unique_ptr<RunWatcher> watch_for_perf(bool map, bool jit_dump);

}  // namespace ringshift::runtime::profile
