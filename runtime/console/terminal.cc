// runtime/console/terminal.cc - the host terminal in raw mode, and its way back, whatever happens.
//
// How this works: the settings to restore lie in one process-wide record, because a signal handler
// and atexit() have no object to look at. Handlers for fatal signals are installed before the
// accelerator installs its own; those pass on what they do not recognize.
#include "runtime/console/terminal.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>

namespace ringshift::runtime {
namespace {

struct Restore {
  std::atomic<bool> armed{false};
  int fd = -1;
  termios saved{};
};

Restore& restore_record() {
  static Restore record;
  return record;
}

// Async-signal-safe: tcsetattr() is, and so is the atomic.
void restore_now() {
  auto& record = restore_record();
  if (record.armed.exchange(false)) ::tcsetattr(record.fd, TCSANOW, &record.saved);
}

void on_fatal_signal(int signal) {
  restore_now();
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void install_handlers() {
  static const bool once = [] {
    restore_record();
    std::atexit(restore_now);
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP}) {
      struct sigaction action {};
      action.sa_handler = on_fatal_signal;
      action.sa_flags = SA_ONSTACK | SA_NODEFER;
      struct sigaction old {};
      ::sigaction(signal, nullptr, &old);
      const bool free = !(old.sa_flags & SA_SIGINFO) && old.sa_handler == SIG_DFL;
      if (free) ::sigaction(signal, &action, nullptr);
    }
    return true;
  }();
  static_cast<void>(once);
}

termios raw_settings(const termios& saved, bool signals) {
  termios raw = saved;
  raw.c_iflag &=
      ~static_cast<tcflag_t>(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  raw.c_oflag |= OPOST;
  raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | IEXTEN);
  if (!signals) raw.c_lflag &= ~static_cast<tcflag_t>(ISIG);
  raw.c_cflag &= ~static_cast<tcflag_t>(CSIZE | PARENB);
  raw.c_cflag |= CS8;
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  return raw;
}

}  // namespace

bool in_foreground(int terminal) {
  const auto group = ::tcgetpgrp(terminal);
  // -1: not this session's terminal, so there is no job control to obey.
  return group == -1 || group == ::getpgrp();
}

std::unique_ptr<RawTerminal> RawTerminal::enter(int fd, bool signals) {
  termios saved{};
  if (!::isatty(fd) || ::tcgetattr(fd, &saved) != 0) return nullptr;
  install_handlers();
  std::unique_ptr<RawTerminal> terminal(new RawTerminal(fd, signals, saved));
  terminal->resume();
  return terminal;
}

RawTerminal::RawTerminal(int fd, bool signals, const termios& saved)
    : fd_(fd), signals_(signals), saved_(saved) {}

RawTerminal::~RawTerminal() { suspend(); }

void RawTerminal::suspend() { restore_now(); }

void RawTerminal::resume() {
  // Changing it from the background would stop the process (SIGTTOU).
  if (!in_foreground(fd_)) return;
  auto& record = restore_record();
  record.fd = fd_;
  record.saved = saved_;
  record.armed = true;
  const auto raw = raw_settings(saved_, signals_);
  ::tcsetattr(fd_, TCSANOW, &raw);
}

}  // namespace ringshift::runtime
