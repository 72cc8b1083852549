// runtime/profile/sample_ring.h - samples between a signal handler and the thread that it
// interrupts: one producer, one consumer, nothing allocated after construction.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/profile/sample.h"

namespace ringshift::runtime::profile {

class SampleRing {
 public:
  // `capacity`: a power of two.
  explicit SampleRing(std::size_t capacity)
      : mask_(capacity - 1), samples_(std::make_unique<Sample[]>(capacity)) {}

  // --- The producer's. Async-signal-safe. ---
  // The place of the next sample, to be filled in and pushed; null when the ring is full, which
  // loses the sample.
  Sample* next() {
    const auto head = head_.load(std::memory_order_relaxed);
    if (head - tail_.load(std::memory_order_acquire) > mask_) {
      lost_.fetch_add(1, std::memory_order_relaxed);
      return nullptr;
    }
    return &samples_[head & mask_];
  }
  void push() { head_.fetch_add(1, std::memory_order_release); }

  // --- The consumer's ---
  // The oldest sample, until pop(); null: there is none.
  const Sample* front() const {
    const auto tail = tail_.load(std::memory_order_relaxed);
    if (tail == head_.load(std::memory_order_acquire)) return nullptr;
    return &samples_[tail & mask_];
  }
  void pop() { tail_.fetch_add(1, std::memory_order_release); }

  std::size_t size() const {
    return head_.load(std::memory_order_acquire) - tail_.load(std::memory_order_acquire);
  }
  std::size_t capacity() const { return mask_ + 1; }
  std::uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  const std::size_t mask_;
  std::unique_ptr<Sample[]> samples_;
  std::atomic<std::size_t> head_{0}, tail_{0};
  std::atomic<std::uint64_t> lost_{0};
};

}  // namespace ringshift::runtime::profile
