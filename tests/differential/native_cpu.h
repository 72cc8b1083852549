// tests/differential/native_cpu.h - the oracle: runs a sequence on the host's processor.
//
// How this works: a signal handler sees the whole state of the interrupted program, and what it
// writes there the kernel loads when the handler returns. So INT3 in run() enters the handler,
// which saves run()'s state, puts the test's there and returns: the test runs, in 64-bit or in
// compatibility mode as CS says. The exception that ends it enters the handler again, which takes
// the result and puts run()'s state back. One object at a time; it passes on signals that are not
// its own (the translator's).
#pragma once

#include <csignal>

#include "tests/differential/case.h"

namespace ringshift::differential {

class NativeCpu {
 public:
  // Maps the fixed addresses; aborts with a message when the host refuses. Construct it after the
  // translator has installed its signal handlers.
  explicit NativeCpu(unsigned bits);
  ~NativeCpu();
  NativeCpu(const NativeCpu&) = delete;
  NativeCpu& operator=(const NativeCpu&) = delete;

  // SIGALRM is to come once a second. What the process exits with when it finds the test itself
  // running twice: an endless sequence.
  static constexpr int kEndless = 77;

  void run(Mode mode, const Registers& initial, const Memory& memory, const Bytes& code,
           Outcome& outcome);

 private:
  static void on_signal(int signal, siginfo_t* info, void* context);
  static void on_alarm(int signal);
  static void pass_on(int signal, siginfo_t* info, void* context);
  void enter(void* context);
  void capture(void* context);

  std::uint8_t* code_ = nullptr;  // writable views of the test's memory
  std::uint8_t* data_ = nullptr;
  std::uint8_t* stack_ = nullptr;
  std::uint64_t host_fs_ = 0, host_gs_ = 0;
  enum class Phase { kIdle, kEntering, kRunning } phase_ = Phase::kIdle;
  Mode mode_ = Mode::k64;
  unsigned ticks_ = 0;  // of SIGALRM since run()
  const Registers* initial_ = nullptr;
  Outcome* outcome_ = nullptr;
  struct Saved;
  Saved* saved_ = nullptr;
};

}  // namespace ringshift::differential
