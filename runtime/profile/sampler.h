// runtime/profile/sampler.h - a timer that interrupts the vCPU's thread and takes a sample.
// Start and stop it on any thread; the handler runs on the vCPU's.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "runtime/bt/translating_vcpu.h"
#include "runtime/profile/guest_kernel.h"
#include "runtime/profile/sample_ring.h"

namespace ringshift::runtime::profile {

class Sampler {
 public:
  // `hz`: 1 to 20000. The error is one line for the user.
  static tl::expected<std::unique_ptr<Sampler>, std::string> start(TranslatingVcpu& vcpu,
                                                                   pid_t vcpu_thread, unsigned hz);
  ~Sampler();
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

  SampleRing& ring() { return ring_; }
  // What one sample stands for.
  std::uint64_t period_ns() const { return period_ns_; }
  // From now on tasks have names and stacks; the kernel outlives the sampler.
  void set_kernel(const GuestKernel* kernel) { kernel_.store(kernel, std::memory_order_release); }

 private:
  explicit Sampler(TranslatingVcpu& vcpu);
  tl::expected<void, std::string> arm(pid_t vcpu_thread, unsigned hz);
  static void install_handler();
  static void on_signal(int signal, siginfo_t* info, void* context);
  void take(const void* context);
  void fill(Sample& sample, const void* context);
  void find_place(Sample& sample, const void* context) const;

  TranslatingVcpu& vcpu_;
  TranslatingVcpu::Parts parts_;
  const softmmu::PagingFeatures features_;
  SampleRing ring_;
  std::atomic<const GuestKernel*> kernel_{nullptr};
  timer_t timer_{};
  bool armed_ = false;
  std::int64_t began_ns_ = 0;
  std::uint64_t period_ns_ = 0;
  std::int64_t looked_ns_ = 0;
};

}  // namespace ringshift::runtime::profile
