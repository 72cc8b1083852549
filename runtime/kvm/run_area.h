// runtime/kvm/run_area.h - the memory that a vCPU shares with the kernel: why the guest was left,
// and what the kernel is to know when it goes on.
#pragma once

#include <linux/kvm.h>
#include <sys/mman.h>

#include <cstddef>
#include <utility>

namespace ringshift::runtime {

class RunArea {
 public:
  // Check valid().
  RunArea(int vcpu, std::size_t bytes)
      : memory_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0)),
        bytes_(bytes) {}
  ~RunArea() {
    if (valid()) ::munmap(memory_, bytes_);
  }
  RunArea(RunArea&& other) noexcept
      : memory_(std::exchange(other.memory_, MAP_FAILED)), bytes_(other.bytes_) {}
  RunArea& operator=(RunArea&&) = delete;

  bool valid() const { return memory_ != MAP_FAILED; }
  kvm_run& operator*() const { return *static_cast<kvm_run*>(memory_); }
  kvm_run* operator->() const { return static_cast<kvm_run*>(memory_); }

 private:
  void* memory_;
  std::size_t bytes_;
};

}  // namespace ringshift::runtime
