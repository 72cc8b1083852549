// runtime/signals.cc - termination and job control as events of the loop, not as interruptions.
#include "runtime/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <system_error>

namespace ringshift::runtime {
namespace {

bool terminates(int signal) {
  return signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
}

}  // namespace

SignalSource::SignalSource(Actions actions) : actions_(std::move(actions)) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT}) {
    struct sigaction old {};
    ::sigaction(signal, nullptr, &old);
    // What nohup or a shell's background job ignores stays ignored.
    if (old.sa_handler != SIG_IGN) sigaddset(&set, signal);
  }
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
