// runtime/kvm/kick.h - brings a vCPU's thread out of the guest, from any other thread.
// How: the flag `immediate_exit`, which the kernel reads when it enters the guest, and a signal for
// a guest that runs already. The handler does nothing; that it ran ends KVM_RUN.
#pragma once

#include <linux/kvm.h>
#include <pthread.h>

#include <atomic>
#include <mutex>

namespace ringshift::runtime {

class Kick {
 public:
  // `run` is the area shared with the kernel.
  explicit Kick(kvm_run& run);

  // From any thread: the guest is left soon, or not entered.
  void send();

  // --- The vCPU's thread ---
  // The thread can be signalled while one of these exists.
  class Target {
   public:
    explicit Target(Kick& kick);
    ~Target();
    Target(const Target&) = delete;
    Target& operator=(const Target&) = delete;

   private:
    Kick& kick_;
  };
  // What was sent is taken note of; whoever looks for its reason looks afterwards.
  void clear() { flag().store(0); }
  void set() { flag().store(1); }
  // Between these a signal is needed.
  void entering() { in_guest_.store(true); }
  void left() { in_guest_.store(false); }

 private:
  std::atomic_ref<__u8> flag() { return std::atomic_ref<__u8>(run_.immediate_exit); }

  kvm_run& run_;
  std::atomic<bool> in_guest_ = false;
  std::mutex mutex_;  // guards the two
  bool has_thread_ = false;
  pthread_t thread_{};
};

}  // namespace ringshift::runtime
