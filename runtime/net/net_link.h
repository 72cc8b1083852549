// runtime/net/net_link.h - a cable between a network card and a thread that brings frames.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "devices/net_backend.h"

namespace ringshift::runtime {

class NetLink : public devices::NetBackend {
 public:
  using Post = std::function<void(std::function<void()>)>;

  // How frames get to the vCPU's thread, with the device lock held there. Before the machine runs.
  void connect(Post post) { post_ = std::move(post); }
  // After connect().
  virtual void start() = 0;

  void set_receiver(Receiver receiver) override { receiver_ = std::move(receiver); }
  void receiver_ready() override { deliver(); }

  struct Counters {
    std::uint64_t sent = 0, received = 0, dropped = 0;
  };
  Counters counters() const;
  virtual std::string describe() const = 0;

 protected:
  // From any thread. Dropped when the guest takes none for long.
  void arrive(std::span<const std::uint8_t> frame);
  void count_sent();

 private:
  static constexpr std::size_t kMostWaiting = 512;
  void deliver();

  Post post_;
  Receiver receiver_;
  mutable std::mutex mutex_;
  std::deque<std::vector<std::uint8_t>> waiting_;
  bool posted_ = false;
  Counters counters_;
};

// User-mode networking by libslirp: the guest's connections are the host's sockets.
struct UserNetOptions {
  struct Forward {
    bool udp = false;
    std::uint32_t host_address = 0, guest_address = 0;  // host byte order; 0: any, the DHCP one
    std::uint16_t host_port = 0, guest_port = 0;
  };
  std::vector<Forward> forwards;
  std::uint32_t network = 0x0a000200, mask = 0xffffff00, host = 0x0a000202, dns = 0x0a000203,
                dhcp_start = 0x0a00020f;
  bool restricted = false;
  std::string hostname, tftp_folder, boot_file;
};
tl::expected<std::unique_ptr<NetLink>, std::string> open_user_net(const UserNetOptions& options);

// A TAP interface of the host; an empty name lets the host choose.
tl::expected<std::unique_ptr<NetLink>, std::string> open_tap(const std::string& name);

}  // namespace ringshift::runtime
