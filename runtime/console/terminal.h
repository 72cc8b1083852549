// runtime/console/terminal.h - the host terminal in raw mode, and its way back, whatever happens.
// One per process (a terminal is the process's, not a machine's). The old settings return when the
// object goes, at exit(), and before a fatal signal kills the process.
#pragma once

#include <termios.h>

#include <memory>

namespace ringshift::runtime {

class RawTerminal {
 public:
  // Null when `fd` is no terminal. `signals`: Ctrl-C and Ctrl-Z keep their meaning for this
  // process.
  static std::unique_ptr<RawTerminal> enter(int fd, bool signals);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

  // Around a stop of the process (Ctrl-Z).
  void suspend();
  void resume();

 private:
  RawTerminal(int fd, bool signals, const termios& saved);
  int fd_;
  bool signals_;
  termios saved_;
};

// This process may read the terminal now (it is not in the background).
bool in_foreground(int terminal);

}  // namespace ringshift::runtime
