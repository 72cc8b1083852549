// runtime/event_loop.cc - one thread's wait for file descriptors and deadlines.
#include "runtime/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

namespace ringshift::runtime {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

void wait(std::vector<pollfd>& fds, std::optional<std::int64_t> timeout_ns) {
  const auto ns = std::max<std::int64_t>(timeout_ns.value_or(0), 0);
  const timespec limit{static_cast<time_t>(ns / kNsPerSecond),
                       static_cast<long>(ns % kNsPerSecond)};
  if (::ppoll(fds.data(), fds.size(), timeout_ns ? &limit : nullptr, nullptr) < 0) {
    for (auto& fd : fds) fd.revents = 0;  // EINTR: nothing is known
  }
}

}  // namespace

EventLoop::EventLoop() : wake_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (wake_fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

EventLoop::~EventLoop() { ::close(wake_fd_); }

void EventLoop::wake() {
  const std::uint64_t one = 1;
  // The counter being full means that a wake-up is already on its way.
  [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);
}

void EventLoop::run_once(std::optional<std::int64_t> timeout_ns) {
  std::vector<pollfd> fds{{wake_fd_, POLLIN, 0}};
  std::vector<bool> timed(sources_.size());
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const auto interest = sources_[i]->interest();
    fds.push_back({interest.fd, interest.events, 0});
    if (!interest.timeout_ns) continue;
    timed[i] = true;
    timeout_ns = timeout_ns ? std::min(*timeout_ns, *interest.timeout_ns) : interest.timeout_ns;
  }
  wait(fds, timeout_ns);
  if (fds[0].revents != 0) {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(wake_fd_, &count, sizeof count);
  }
  // A source with a timeout is asked again even when something else ended the wait: it knows the
  // time, the loop does not.
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    if (fds[i + 1].revents != 0 || timed[i]) sources_[i]->ready(fds[i + 1].revents);
  }
}

}  // namespace ringshift::runtime
