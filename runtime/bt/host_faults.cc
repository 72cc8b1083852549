// runtime/bt/host_faults.cc - host exceptions raised by translated code become the guest's.
#include "runtime/bt/host_faults.h"

#include <ucontext.h>

#include <csignal>
#include <mutex>

#include "runtime/bt/bt_vcpu.h"

namespace ringshift::runtime {
namespace {

thread_local BtVcpu* the_vcpu = nullptr;

void on_signal(int signal, siginfo_t*, void* context) {
  auto* uc = static_cast<ucontext_t*>(context);
  const int trap = static_cast<int>(uc->uc_mcontext.gregs[REG_TRAPNO]);
  if (the_vcpu && the_vcpu->on_host_fault(trap, context)) return;
  // Not the guest's: back to the default action, which the faulting instruction meets again.
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
}

}  // namespace

BtVcpu* current_vcpu() { return the_vcpu; }
void set_current_vcpu(BtVcpu* vcpu) { the_vcpu = vcpu; }

void install_host_fault_handlers() {
  static std::once_flag once;
  std::call_once(once, [] {
    for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}) {
      struct sigaction action = {};
      action.sa_sigaction = on_signal;
      action.sa_flags = SA_SIGINFO | SA_NODEFER;
      sigfillset(&action.sa_mask);
      sigaction(signal, &action, nullptr);
    }
  });
}

}  // namespace ringshift::runtime
