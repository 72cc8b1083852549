// runtime/net/user_net.cc - libslirp on a thread of its own.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <list>
#include <thread>

#include "runtime/net/net_link.h"

namespace ringshift::runtime {
namespace {

constexpr std::uint32_t kLongestWaitMs = 1000;

std::int64_t now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

in_addr to_address(std::uint32_t host_order) { return {htonl(host_order)}; }

class UserNet final : public NetLink {
 public:
  explicit UserNet(UserNetOptions options)
      : options_(std::move(options)), wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~UserNet() override {
    ending_ = true;
    wake();
    if (thread_.joinable()) thread_.join();
    if (slirp_) slirp_cleanup(slirp_);
    ::close(wake_);
  }

  tl::expected<void, std::string> open() {
    SlirpConfig config{};
    config.version = 1;
    config.restricted = options_.restricted;
    config.in_enabled = true;
    config.vnetwork = to_address(options_.network);
    config.vnetmask = to_address(options_.mask);
    config.vhost = to_address(options_.host);
    config.vdhcp_start = to_address(options_.dhcp_start);
    config.vnameserver = to_address(options_.dns);
    const auto text = [](const std::string& s) { return s.empty() ? nullptr : s.c_str(); };
    config.vhostname = text(options_.hostname);
    config.tftp_path = text(options_.tftp_folder);
    config.bootfile = text(options_.boot_file);
    slirp_ = slirp_new(&config, &callbacks(), this);
    if (!slirp_) return tl::unexpected(std::string("libslirp refuses this network"));
    for (const auto& forward : options_.forwards) {
      const std::uint32_t guest =
          forward.guest_address ? forward.guest_address : options_.dhcp_start;
      if (slirp_add_hostfwd(slirp_, forward.udp, to_address(forward.host_address),
                            forward.host_port, to_address(guest), forward.guest_port) != 0)
        return tl::unexpected(
            fmt::format("hostfwd: port {} of the host is not free", forward.host_port));
    }
    return {};
  }

  void start() override {
    thread_ = std::thread([this] { run(); });
  }

  void send(std::span<const std::uint8_t> frame) override {
    count_sent();
    {
      std::lock_guard lock(mutex_);
      slirp_input(slirp_, frame.data(), static_cast<int>(frame.size()));
    }
    wake();
  }

  std::string describe() const override { return "user"; }

 private:
  struct TimerState {
    SlirpTimerCb callback;
    void* argument;
    std::int64_t deadline_ms = -1;
  };

  static UserNet& self(void* opaque) { return *static_cast<UserNet*>(opaque); }
  static const SlirpCb& callbacks() {
    static const SlirpCb table{
        .send_packet = [](const void* data, size_t bytes, void* opaque) -> ssize_t {
          self(opaque).arrive({static_cast<const std::uint8_t*>(data), bytes});
          return static_cast<ssize_t>(bytes);
        },
        .guest_error = [](const char*, void*) {},
        .clock_get_ns = [](void*) { return now_ns(); },
        .timer_new = [](SlirpTimerCb callback, void* argument, void* opaque) -> void* {
          return &self(opaque).timers_.emplace_back(TimerState{callback, argument});
        },
        .timer_free =
            [](void* timer, void* opaque) {
              self(opaque).timers_.remove_if(
                  [timer](const TimerState& candidate) { return &candidate == timer; });
            },
        .timer_mod =
            [](void* timer, std::int64_t deadline_ms, void* opaque) {
              static_cast<TimerState*>(timer)->deadline_ms = deadline_ms;
              self(opaque).wake();
            },
        .register_poll_fd = [](int, void*) {},
        .unregister_poll_fd = [](int, void*) {},
        .notify = [](void* opaque) { self(opaque).wake(); },
    };
    return table;
  }

  void wake() {
    if (std::this_thread::get_id() == thread_.get_id()) return;
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_, &one, sizeof one));
  }

  static int add_poll(int fd, int events, void* opaque) {
    auto& fds = self(opaque).fds_;
    short wanted = 0;
    if (events & SLIRP_POLL_IN) wanted |= POLLIN;
    if (events & SLIRP_POLL_OUT) wanted |= POLLOUT;
    if (events & SLIRP_POLL_PRI) wanted |= POLLPRI;
    fds.push_back({fd, wanted, 0});
    return static_cast<int>(fds.size() - 1);
  }
  static int get_events(int index, void* opaque) {
    const short got = self(opaque).fds_[static_cast<std::size_t>(index)].revents;
    int events = 0;
    if (got & POLLIN) events |= SLIRP_POLL_IN;
    if (got & POLLOUT) events |= SLIRP_POLL_OUT;
    if (got & POLLPRI) events |= SLIRP_POLL_PRI;
    if (got & POLLERR) events |= SLIRP_POLL_ERR;
    if (got & POLLHUP) events |= SLIRP_POLL_HUP;
    return events;
  }

  void run() {
    while (!ending_) {
      std::uint32_t wait_ms = kLongestWaitMs;
      {
        std::lock_guard lock(mutex_);
        fds_.assign(1, {wake_, POLLIN, 0});
        slirp_pollfds_fill(slirp_, &wait_ms, add_poll, this);
        for (const TimerState& timer : timers_)
          if (timer.deadline_ms >= 0)
            wait_ms = std::min(wait_ms,
                               static_cast<std::uint32_t>(std::clamp<std::int64_t>(
                                   timer.deadline_ms - now_ns() / 1'000'000, 0, kLongestWaitMs)));
      }
      const int ready = ::poll(fds_.data(), fds_.size(), static_cast<int>(wait_ms));
      if (fds_[0].revents & POLLIN) {
        std::uint64_t count;
        static_cast<void>(!::read(wake_, &count, sizeof count));
      }
      std::lock_guard lock(mutex_);
      slirp_pollfds_poll(slirp_, ready < 0, get_events, this);
      run_timers();
    }
  }

  void run_timers() {
    const std::int64_t now_ms = now_ns() / 1'000'000;
    std::vector<TimerState> due;
    for (TimerState& timer : timers_)
      if (timer.deadline_ms >= 0 && timer.deadline_ms <= now_ms) {
        timer.deadline_ms = -1;
        due.push_back(timer);
      }
    for (const TimerState& timer : due) timer.callback(timer.argument);
  }

  UserNetOptions options_;
  int wake_;
  std::atomic<bool> ending_{false};
  std::recursive_mutex mutex_;  // libslirp's
  Slirp* slirp_ = nullptr;
  std::list<TimerState> timers_;
  std::vector<pollfd> fds_;
  std::thread thread_;
};

}  // namespace

tl::expected<std::unique_ptr<NetLink>, std::string> open_user_net(const UserNetOptions& options) {
  auto net = std::make_unique<UserNet>(options);
  if (auto opened = net->open(); !opened) return tl::unexpected(opened.error());
  return net;
}

}  // namespace ringshift::runtime
