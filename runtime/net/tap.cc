// runtime/net/tap.cc - a TAP interface of the host.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

#include "runtime/net/net_link.h"

namespace ringshift::runtime {
namespace {

class Tap final : public NetLink {
 public:
  Tap(int fd, std::string name)
      : fd_(fd), name_(std::move(name)), wake_(::eventfd(0, EFD_CLOEXEC)) {}
  ~Tap() override {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_, &one, sizeof one));
    if (thread_.joinable()) thread_.join();
    ::close(fd_);
    ::close(wake_);
  }
  void start() override {
    thread_ = std::thread([this] { run(); });
  }
  void send(std::span<const std::uint8_t> frame) override {
    count_sent();
    static_cast<void>(
        !::write(fd_, frame.data(), frame.size()));  // a full queue drops, as cables do
  }
  std::string describe() const override { return "tap " + name_; }

 private:
  void run() {
    std::array<std::uint8_t, 65536> frame;
    std::array<pollfd, 2> fds{{{wake_, POLLIN, 0}, {fd_, POLLIN, 0}}};
    for (;;) {
      if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
      if (fds[0].revents) return;
      const auto bytes = ::read(fd_, frame.data(), frame.size());
      if (bytes > 0) arrive(std::span(frame).first(static_cast<std::size_t>(bytes)));
    }
  }

  int fd_;
  std::string name_;
  int wake_;
  std::thread thread_;
};

}  // namespace

tl::expected<std::unique_ptr<NetLink>, std::string> open_tap(const std::string& name) {
  constexpr const char* kDevice = "/dev/net/tun";
  if (name.size() >= IFNAMSIZ)
    return tl::unexpected(std::string("ifname= is too long for an interface"));
  const int fd = ::open(kDevice, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return tl::unexpected(fmt::format("{}: {}", kDevice, std::strerror(errno)));
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  std::memcpy(request.ifr_name, name.data(), name.size());
  if (::ioctl(fd, TUNSETIFF, &request) != 0) {
    auto error = fmt::format("{}: {}", name.empty() ? kDevice : name, std::strerror(errno));
    ::close(fd);
    return tl::unexpected(std::move(error));
  }
  return std::make_unique<Tap>(fd, request.ifr_name);
}

}  // namespace ringshift::runtime
