// runtime/net/net_link.cc - frames that wait for the card.
#include "runtime/net/net_link.h"

namespace ringshift::runtime {

NetLink::Counters NetLink::counters() const {
  std::lock_guard lock(mutex_);
  return counters_;
}

void NetLink::count_sent() {
  std::lock_guard lock(mutex_);
  ++counters_.sent;
}

void NetLink::arrive(std::span<const std::uint8_t> frame) {
  {
    std::lock_guard lock(mutex_);
    if (waiting_.size() >= kMostWaiting) {
      ++counters_.dropped;
      return;
    }
    waiting_.emplace_back(frame.begin(), frame.end());
    if (std::exchange(posted_, true)) return;
  }
  if (post_) post_([this] { deliver(); });
}

void NetLink::deliver() {
  std::unique_lock lock(mutex_);
  posted_ = false;
  while (!waiting_.empty()) {
    const std::vector<std::uint8_t> frame = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    const bool taken = !receiver_ || receiver_(frame);
    lock.lock();
    if (!taken) {
      waiting_.push_front(frame);
      posted_ = true;  // receiver_ready() goes on
      return;
    }
    ++counters_.received;
  }
}

}  // namespace ringshift::runtime
