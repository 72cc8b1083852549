// runtime/signals.cc - termination and job control as events of the loop, not as interruptions.
#include "runtime/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <system_error>

namespace ringshift::runtime {
namespace {

// Those whose default is to end the process, which would leave the terminal as it is.
constexpr std::array kTerminating{SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,   SIGUSR1,
                                  SIGUSR2, SIGALRM, SIGXCPU, SIGVTALRM, SIGPROF};

bool terminates(int signal) {
  return std::ranges::find(kTerminating, signal) != kTerminating.end();
}

}  // namespace

SignalSource::SignalSource(Actions actions) : actions_(std::move(actions)) {
  sigset_t set;
  sigemptyset(&set);
  const auto take = [&](int signal) {
    struct sigaction old {};
    ::sigaction(signal, nullptr, &old);
    // What nohup or a shell's background job ignores stays ignored.
    if (old.sa_handler != SIG_IGN) sigaddset(&set, signal);
  };
  for (const int signal : kTerminating) take(signal);
  take(SIGTSTP);
  take(SIGCONT);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // A reader that went away is seen by the write that fails.
  ::signal(SIGPIPE, SIG_IGN);
  fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
}

SignalSource::~SignalSource() { ::close(fd_); }

PollSource::Interest SignalSource::interest() { return {fd_, POLLIN, {}}; }

void SignalSource::ready(short) {
  signalfd_siginfo info{};
  while (::read(fd_, &info, sizeof info) == sizeof info) handle(static_cast<int>(info.ssi_signo));
}

void SignalSource::handle(int signal) {
  if (terminates(signal)) {
    // The second request does not wait for the vCPU; exit() still restores the terminal.
    if (terminating_) std::exit(128 + signal);
    terminating_ = true;
    actions_.terminate(signal);
  } else if (signal == SIGTSTP) {
    actions_.before_stop();
    ::raise(SIGSTOP);
  } else {
    actions_.after_continue();
  }
}

}  // namespace ringshift::runtime
