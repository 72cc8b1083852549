// runtime/event_loop.h - one thread's wait for file descriptors and deadlines.
// Owns nothing but its wake-up descriptor. Sources are asked anew before every wait what they want,
// so any thread may change a source's mind by changing its state and calling wake().
#pragma once

#include <poll.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace ringshift::runtime {

class PollSource {
 public:
  struct Interest {
    int fd = -1;  // -1: nothing to wait for
    short events = 0;
    std::optional<std::int64_t> timeout_ns;  // call ready(0) after this long
  };
  virtual ~PollSource() = default;
  // Both on the loop's thread.
  virtual Interest interest() = 0;
  virtual void ready(short events) = 0;  // 0: the timeout passed
};

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Before the first run_once(); a source outlives the loop's last turn.
  void add(PollSource& source) { sources_.push_back(&source); }
  // From any thread: the wait in progress, or the next, ends at once.
  void wake();
  // One wait, at most until the earliest timeout, and what became ready.
  void run_once(std::optional<std::int64_t> timeout_ns);

 private:
  int wake_fd_;
  std::vector<PollSource*> sources_;
};

}  // namespace ringshift::runtime
