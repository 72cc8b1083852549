// runtime/console/unix_channel.cc - a Unix stream socket: one client at a time, or one server.
#include "runtime/console/unix_channel.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "runtime/message.h"

namespace ringshift::runtime {
namespace {

class UnixChannel final : public ByteChannel {
 public:
  UnixChannel(int listener, std::string path) : listener_(listener), path_(std::move(path)) {}
  ~UnixChannel() override {
    disconnect();
    if (listener_ < 0) return;
    ::close(listener_);
    ::unlink(path_.c_str());
  }

  void connect(int client) {
    client_ = client;
    ::fcntl(client, F_SETFL, ::fcntl(client, F_GETFL) | O_NONBLOCK);
    set_descriptors(client, client);
  }

 private:
  void input_ended() override { disconnect(); }
  void output_failed() override { disconnect(); }
  void disconnect() {
    set_descriptors(-1, -1);
    discard_output();
    if (client_ >= 0) ::close(client_);
    client_ = -1;
  }
  PollSource::Interest idle_interest() override { return {listener_, POLLIN, {}}; }
  void idle_ready(short events) override {
    if (events == 0) return;
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    connect(client);
    receiver()->connected();
  }

  int listener_;
  int client_ = -1;
  std::string path_;
};

bool is_socket(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

}  // namespace

tl::expected<std::unique_ptr<ByteChannel>, std::string> open_unix(const std::string& path,
                                                                  bool server, bool wait,
                                                                  const std::string& label) {
  const auto failed = [&] {
    return tl::unexpected(fmt::format("{}: {}", path, std::strerror(errno)));
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return tl::unexpected(fmt::format("{}: the path of a socket is at most {} bytes long", path,
                                      sizeof address.sun_path - 1));
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed();
  if (!server) {
    auto channel = std::make_unique<UnixChannel>(-1, path);
    if (::connect(fd, generic, sizeof address) != 0) {
      auto error = failed();
      ::close(fd);
      return error;
    }
    channel->connect(fd);
    return channel;
  }
  if (is_socket(path)) ::unlink(path.c_str());
  if (::bind(fd, generic, sizeof address) != 0 || ::listen(fd, 1) != 0) {
    auto error = failed();
    ::close(fd);
    return error;
  }
  auto channel = std::make_unique<UnixChannel>(fd, path);
  if (wait) {
    print_message("ringshift: waiting for a connection on {} ({})", path, label);
    const int client = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return failed();
    channel->connect(client);
  }
  return channel;
}

}  // namespace ringshift::runtime
