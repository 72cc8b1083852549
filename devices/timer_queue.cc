// devices/timer_queue.cc - a binary heap of armed timers that know their slot.
#include "devices/timer_queue.h"

#include <time.h>

#include <algorithm>
#include <limits>
#include <tuple>

namespace ringshift::devices {

std::int64_t MonotonicTime::host_ns() const {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

class TimerQueue::QueuedTimer final : public Timer {
 public:
  QueuedTimer(TimerQueue& queue, std::function<void()> callback)
      : queue_(queue), callback_(std::move(callback)) {}
  ~QueuedTimer() override { queue_.remove(*this); }
  QueuedTimer(const QueuedTimer&) = delete;
  QueuedTimer& operator=(const QueuedTimer&) = delete;

  void arm(std::int64_t deadline_ns) override {
    const std::int64_t before = queue_.earliest();
    queue_.remove(*this);
    deadline_ = deadline_ns;
    queue_.insert(*this);
    if (deadline_ns < before && queue_.observer_) queue_.observer_();
  }
  void cancel() override { queue_.remove(*this); }

  bool before(const QueuedTimer& other) const {
    return std::tie(deadline_, sequence_) < std::tie(other.deadline_, other.sequence_);
  }

 private:
  friend class TimerQueue;
  static constexpr std::size_t kNowhere = std::numeric_limits<std::size_t>::max();

  TimerQueue& queue_;
  std::function<void()> callback_;
  std::int64_t deadline_ = 0;
  std::uint64_t sequence_ = 0;       // equal deadlines fire in the order in which they were armed
  std::size_t slot_ = kNowhere;      // in heap_
  std::size_t due_slot_ = kNowhere;  // in batch_
};

TimerQueue::TimerQueue(const TimeSource& source) : source_(source), origin_ns_(source.host_ns()) {}

std::unique_ptr<Timer> TimerQueue::create(std::function<void()> callback) {
  return std::make_unique<QueuedTimer>(*this, std::move(callback));
}

std::int64_t TimerQueue::now_ns() const {
  return paused_at_ ? *paused_at_ : source_.host_ns() - origin_ns_;
}

std::optional<std::int64_t> TimerQueue::next_deadline() const {
  if (heap_.empty() || paused_at_) return std::nullopt;
  return heap_.front()->deadline_;
}

std::optional<std::int64_t> TimerQueue::time_to_next_deadline() const {
  const auto deadline = next_deadline();
  if (!deadline) return std::nullopt;
  return std::max<std::int64_t>(0, *deadline - now_ns());
}

void TimerQueue::run_due() {
  if (paused_at_ || !batch_.empty()) return;
  const std::int64_t now = now_ns();
  while (!heap_.empty() && heap_.front()->deadline_ <= now) {
    QueuedTimer* timer = heap_.front();
    remove(*timer);
    timer->due_slot_ = batch_.size();
    batch_.push_back(timer);
  }
  for (std::size_t i = 0; i < batch_.size(); ++i) {
    QueuedTimer* timer = batch_[i];
    if (!timer) continue;
    timer->due_slot_ = QueuedTimer::kNowhere;
    timer->callback_();
  }
  batch_.clear();
}

void TimerQueue::pause() {
  if (!paused_at_) paused_at_ = now_ns();
}

void TimerQueue::resume() {
  if (!paused_at_) return;
  origin_ns_ = source_.host_ns() - *paused_at_;
  paused_at_.reset();
  if (observer_) observer_();
}

std::int64_t TimerQueue::earliest() const {
  return heap_.empty() ? std::numeric_limits<std::int64_t>::max() : heap_.front()->deadline_;
}

void TimerQueue::insert(QueuedTimer& timer) {
  timer.sequence_ = next_sequence_++;
  heap_.push_back(&timer);
  timer.slot_ = heap_.size() - 1;
  sift_up(timer.slot_);
}

void TimerQueue::remove(QueuedTimer& timer) {
  if (timer.due_slot_ != QueuedTimer::kNowhere) {
    batch_[timer.due_slot_] = nullptr;
    timer.due_slot_ = QueuedTimer::kNowhere;
  }
  if (timer.slot_ == QueuedTimer::kNowhere) return;
  const std::size_t slot = timer.slot_;
  timer.slot_ = QueuedTimer::kNowhere;
  QueuedTimer* last = heap_.back();
  heap_.pop_back();
  if (last == &timer) return;
  place(slot, last);
  sift_up(slot);
  sift_down(last->slot_);
}

void TimerQueue::place(std::size_t slot, QueuedTimer* timer) {
  heap_[slot] = timer;
  timer->slot_ = slot;
}

void TimerQueue::sift_up(std::size_t slot) {
  QueuedTimer* timer = heap_[slot];
  for (; slot > 0 && timer->before(*heap_[(slot - 1) / 2]); slot = (slot - 1) / 2)
    place(slot, heap_[(slot - 1) / 2]);
  place(slot, timer);
}

void TimerQueue::sift_down(std::size_t slot) {
  QueuedTimer* timer = heap_[slot];
  for (std::size_t child = 2 * slot + 1; child < heap_.size(); child = 2 * slot + 1) {
    if (child + 1 < heap_.size() && heap_[child + 1]->before(*heap_[child])) ++child;
    if (!heap_[child]->before(*timer)) break;
    place(slot, heap_[child]);
    slot = child;
  }
  place(slot, timer);
}

}  // namespace ringshift::devices
