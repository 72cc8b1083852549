// runtime/console/byte_channel.h - bytes between a device and a host file descriptor, both ways.
// write() comes from the vCPU with the device lock held and never blocks; everything else happens
// on the event loop's thread. Output is gathered for a moment, so that a boot log costs a system
// call per millisecond and not one per byte. Input waits here while the device has no room.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "devices/device.h"
#include "runtime/event_loop.h"

namespace ringshift::runtime {

// The device's end. Called on the loop's thread without locks held.
class CharacterReceiver {
 public:
  virtual ~CharacterReceiver() = default;
  // Takes the first bytes, as many as there is room for, and returns how many.
  virtual std::size_t offer(std::span<const std::uint8_t> bytes) = 0;
  virtual void send_break() = 0;
  // Somebody is there now; at start(), unless nobody is yet.
  virtual void connected() {}
};

class ByteChannel : public devices::CharacterSink {
 public:
  ByteChannel();
  ~ByteChannel() override;
  ByteChannel(const ByteChannel&) = delete;
  ByteChannel& operator=(const ByteChannel&) = delete;

  void start(EventLoop& loop, CharacterReceiver& receiver);

  void write(std::uint8_t byte) override;
  // From any thread: the device has room again.
  void receiver_ready();
  // Bytes not yet written. A vCPU that runs far ahead of a slow reader waits, without locks.
  std::size_t backlog() const { return backlog_.load(std::memory_order_relaxed); }
  static constexpr std::size_t kBacklogLimit = 256 * 1024;

  // Writes what is left; gives up when the reader takes nothing for `patience`.
  void drain(std::chrono::milliseconds patience);

 protected:
  void set_descriptors(int input, int output);  // -1: none
  int input() const { return input_; }
  int output() const { return output_; }
  void deliver(std::span<const std::uint8_t> bytes);  // to the device, in order
  CharacterReceiver* receiver() { return receiver_; }
  void print(std::string_view text);  // to the host's side, among the output
  void discard_output();

  // Bytes from the host, before the device sees them.
  virtual void received(std::span<const std::uint8_t> bytes) { deliver(bytes); }
  // A byte from the device, on its way to the buffer (the lock is held).
  virtual void append_output(std::uint8_t byte, std::string& buffer) {
    buffer.push_back(static_cast<char>(byte));
  }
  // The descriptor reached its end or failed.
  virtual void input_ended() { input_ = -1; }
  virtual void output_failed() { output_ = -1; }
  // What the reader waits for while input() is -1 (a listening socket, a timer).
  virtual PollSource::Interest idle_interest() { return {}; }
  virtual void idle_ready(short) {}
  virtual bool may_read() { return true; }

 private:
  class Reader;
  class Writer;
  static constexpr std::size_t kReadAhead = 4096;

  PollSource::Interest read_interest();
  void read_ready(short events);
  PollSource::Interest write_interest();
  void write_ready(short events);
  void offer_pending();
  void write_some();

  std::unique_ptr<Reader> reader_;
  std::unique_ptr<Writer> writer_;
  EventLoop* loop_ = nullptr;
  CharacterReceiver* receiver_ = nullptr;
  int input_ = -1;
  std::atomic<int> output_{-1};
  std::deque<std::uint8_t> pending_;  // input that the device had no room for
  std::atomic<bool> stalled_{false};

  std::mutex output_mutex_;
  std::string buffer_;
  std::atomic<std::size_t> backlog_{0};
  std::chrono::steady_clock::time_point flush_at_;
};

}  // namespace ringshift::runtime
