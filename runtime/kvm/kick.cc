// runtime/kvm/kick.cc - brings a vCPU's thread out of the guest, from any other thread.
#include "runtime/kvm/kick.h"

#include <csignal>

namespace ringshift::runtime {
namespace {

int kick_signal() { return SIGRTMIN; }

// One handler for the whole process, as signals are. Other calls of the thread are restarted;
// KVM_RUN never is.
void install_handler() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  ::sigaction(kick_signal(), &action, nullptr);
}

}  // namespace

Kick::Kick(kvm_run& run) : run_(run) { install_handler(); }

void Kick::send() {
  set();
  if (!in_guest_) return;
  std::lock_guard lock(mutex_);
  if (has_thread_) ::pthread_kill(thread_, kick_signal());
}

Kick::Target::Target(Kick& kick) : kick_(kick) {
  std::lock_guard lock(kick_.mutex_);
  kick_.thread_ = ::pthread_self();
  kick_.has_thread_ = true;
}

Kick::Target::~Target() {
  std::lock_guard lock(kick_.mutex_);
  kick_.has_thread_ = false;
}

}  // namespace ringshift::runtime
