// runtime/signals.h - termination and job control as events of the loop, not as interruptions.
// The signals are blocked before any thread starts, so no handler ever runs for them.
#pragma once

#include <functional>
#include <memory>

#include "runtime/event_loop.h"

namespace ringshift::runtime {

class SignalSource final : public PollSource {
 public:
  struct Actions {
    std::function<void(int signal)> terminate;  // SIGINT, SIGTERM, SIGHUP, SIGQUIT
    std::function<void()> before_stop;          // SIGTSTP
    std::function<void()> after_continue;
  };
  // Before the process has a second thread.
  explicit SignalSource(Actions actions);
  ~SignalSource() override;
  SignalSource(const SignalSource&) = delete;
  SignalSource& operator=(const SignalSource&) = delete;

  Interest interest() override;
  void ready(short events) override;

 private:
  void handle(int signal);

  Actions actions_;
  int fd_;
  bool terminating_ = false;
};

}  // namespace ringshift::runtime
