// runtime/run_guest.h - the verb `run`: from options to a machine, and its exit status.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "runtime/options.h"

namespace ringshift::runtime {

class Machine;

// Who watches a run. Both calls come on the thread of the vCPU.
class RunWatcher {
 public:
  virtual ~RunWatcher() = default;
  // The machine is complete and does not run yet. An error, one line for the user, ends it there.
  virtual tl::expected<void, std::string> before_run(Machine& machine) = 0;
  // The guest has ended; the machine is still there. The terminal is as it was.
  virtual void after_run(Machine& machine) = 0;
};

// The error is one line for the user.
tl::expected<int, std::string> run_guest(const RunOptions& options, RunWatcher* watcher = nullptr);

}  // namespace ringshift::runtime
