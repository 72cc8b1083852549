// runtime/console/byte_channel.cc - bytes between a device and a host file descriptor, both ways.
#include "runtime/console/byte_channel.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace ringshift::runtime {
namespace {

using std::chrono::steady_clock;

constexpr auto kGatherTime = std::chrono::milliseconds(1);
// POLLOUT on a pipe promises this much (PIPE_BUF), so that a blocking descriptor does not block.
constexpr std::size_t kWriteBytes = 4096;

}  // namespace

class ByteChannel::Reader final : public PollSource {
 public:
  explicit Reader(ByteChannel& channel) : channel_(channel) {}
  Interest interest() override { return channel_.read_interest(); }
  void ready(short events) override { channel_.read_ready(events); }

 private:
  ByteChannel& channel_;
};

class ByteChannel::Writer final : public PollSource {
 public:
  explicit Writer(ByteChannel& channel) : channel_(channel) {}
  Interest interest() override { return channel_.write_interest(); }
  void ready(short events) override { channel_.write_ready(events); }

 private:
  ByteChannel& channel_;
};

ByteChannel::ByteChannel()
    : reader_(std::make_unique<Reader>(*this)), writer_(std::make_unique<Writer>(*this)) {}
ByteChannel::~ByteChannel() = default;

void ByteChannel::start(EventLoop& loop, CharacterReceiver& receiver) {
  loop_ = &loop;
  receiver_ = &receiver;
  loop.add(*reader_);
  loop.add(*writer_);
  if (output_ >= 0) receiver.connected();
}

void ByteChannel::set_descriptors(int input, int output) {
  input_ = input;
  output_ = output;
}

void ByteChannel::write(std::uint8_t byte) {
  bool first = false;
  {
    std::lock_guard lock(output_mutex_);
    if (output_ < 0) return;
    first = buffer_.empty();
    append_output(byte, buffer_);
    if (first) flush_at_ = steady_clock::now() + kGatherTime;
    backlog_ = buffer_.size();
  }
  if (first && loop_) loop_->wake();
}

void ByteChannel::print(std::string_view text) {
  std::lock_guard lock(output_mutex_);
  if (output_ < 0) return;
  if (buffer_.empty()) flush_at_ = steady_clock::now();
  buffer_.append(text);
  backlog_ = buffer_.size();
}

void ByteChannel::discard_output() {
  std::lock_guard lock(output_mutex_);
  buffer_.clear();
  backlog_ = 0;
}

void ByteChannel::receiver_ready() {
  if (stalled_.load() && loop_) loop_->wake();
}

void ByteChannel::deliver(std::span<const std::uint8_t> bytes) {
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  offer_pending();
}

void ByteChannel::offer_pending() {
  // Set before the last look: room that appears after it then wakes the loop.
  stalled_ = true;
  while (!pending_.empty()) {
    std::array<std::uint8_t, 64> chunk;
    const auto count = std::min(chunk.size(), pending_.size());
    std::copy_n(pending_.begin(), count, chunk.begin());
    const auto taken = receiver_->offer(std::span(chunk).first(count));
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(taken));
    if (taken < count) return;
  }
  stalled_ = false;
}

PollSource::Interest ByteChannel::read_interest() {
  if (!pending_.empty()) offer_pending();
  if (input_ < 0) return idle_interest();
  if (pending_.size() >= kReadAhead || !may_read()) return {};
  return {input_, POLLIN, {}};
}

void ByteChannel::read_ready(short events) {
  if (input_ < 0) return idle_ready(events);
  if (events == 0) return;
  std::array<std::uint8_t, 1024> bytes;
  const auto got = ::read(input_, bytes.data(), bytes.size());
  if (got > 0) return received(std::span(bytes).first(static_cast<std::size_t>(got)));
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  input_ended();
}

PollSource::Interest ByteChannel::write_interest() {
  std::lock_guard lock(output_mutex_);
  if (buffer_.empty() || output_ < 0) return {};
  const auto left = flush_at_ - steady_clock::now();
  if (left <= left.zero() || buffer_.size() >= kWriteBytes) return {output_, POLLOUT, {}};
  return {-1, 0, std::chrono::duration_cast<std::chrono::nanoseconds>(left).count()};
}

void ByteChannel::write_ready(short events) {
  if (events != 0) write_some();
}

void ByteChannel::write_some() {
  std::unique_lock lock(output_mutex_);
  const std::string chunk = buffer_.substr(0, kWriteBytes);
  lock.unlock();
  // Only this thread takes from the front, so the buffer may grow meanwhile.
  const auto written = ::write(output_, chunk.data(), chunk.size());
  if (written < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (written < 0) {
    output_failed();
    discard_output();
    return;
  }
  lock.lock();
  buffer_.erase(0, std::min(static_cast<std::size_t>(written), buffer_.size()));
  backlog_ = buffer_.size();
}

void ByteChannel::drain(std::chrono::milliseconds patience) {
  while (backlog() > 0 && output_ >= 0) {
    pollfd fd{output_, POLLOUT, 0};
    const auto ready = ::poll(&fd, 1, static_cast<int>(patience.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return;
    write_some();
  }
}

}  // namespace ringshift::runtime
