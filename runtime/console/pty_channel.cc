// runtime/console/pty_channel.cc - a pseudo-terminal of our own, for another program to open.
#include "runtime/console/pty_channel.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "runtime/message.h"

namespace ringshift::runtime {
namespace {

// While no program has the other side open, the descriptor only ever reports POLLHUP: look now and
// then whether that is over.
constexpr std::int64_t kLookAgainNs = 250'000'000;

class PtyChannel final : public ByteChannel {
 public:
  explicit PtyChannel(int master) : master_(master) {}
  ~PtyChannel() override { ::close(master_); }

 private:
  void input_ended() override { disconnect(); }
  void output_failed() override { disconnect(); }
  void disconnect() { set_descriptors(-1, -1); }
  PollSource::Interest idle_interest() override { return {-1, 0, kLookAgainNs}; }
  void idle_ready(short) override {
    pollfd fd{master_, POLLOUT, 0};
    if (::poll(&fd, 1, 0) == 1 && !(fd.revents & POLLHUP)) set_descriptors(master_, master_);
  }

  int master_;
};

}  // namespace

tl::expected<std::unique_ptr<ByteChannel>, std::string> open_pty(const std::string& label) {
  const auto failed = [](const char* what) {
    return tl::unexpected(fmt::format("{}: {}", what, std::strerror(errno)));
  };
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (master < 0) return failed("posix_openpt");
  auto channel = std::make_unique<PtyChannel>(master);
  if (::grantpt(master) != 0 || ::unlockpt(master) != 0) return failed("unlockpt");
  std::array<char, 128> name{};
  if (::ptsname_r(master, name.data(), name.size()) != 0) return failed("ptsname");
  termios settings{};
  if (::tcgetattr(master, &settings) == 0) {
    ::cfmakeraw(&settings);
    ::tcsetattr(master, TCSANOW, &settings);
  }
  print_message("char device redirected to {} (label {})", name.data(), label);
  return channel;
}

}  // namespace ringshift::runtime
