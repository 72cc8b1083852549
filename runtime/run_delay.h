// runtime/run_delay.h - how long a thread has waited for a processor of the host.
#pragma once

#include <cstdint>

namespace ringshift::runtime {

class RunDelay {
 public:
  ~RunDelay();
  // Of the thread that calls, which has to be the same each time. 0 where the host does not say.
  // Linux "Documentation/scheduler/sched-stats.rst".
  std::uint64_t nanoseconds();

 private:
  int file_ = kUnopened;
  static constexpr int kUnopened = -2;
};

}  // namespace ringshift::runtime
