// runtime/console/unix_channel.cc - a Unix stream socket: one client at a time, or one server.
#include "runtime/console/unix_channel.h"

#include <arpa/inet.h>
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
#include "runtime/option_values.h"

namespace ringshift::runtime {
namespace {

class SocketChannel final : public ByteChannel {
 public:
  SocketChannel(int listener, std::string path) : listener_(listener), path_(std::move(path)) {}
  ~SocketChannel() override {
    disconnect();
    if (listener_ < 0) return;
    ::close(listener_);
    if (!path_.empty()) ::unlink(path_.c_str());
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
    auto channel = std::make_unique<SocketChannel>(-1, path);
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
  auto channel = std::make_unique<SocketChannel>(fd, path);
  if (wait) {
    print_message("ringshift: waiting for a connection on {} ({})", path, label);
    const int client = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return failed();
    channel->connect(client);
  }
  return channel;
}

tl::expected<std::unique_ptr<ByteChannel>, std::string> open_tcp(const std::string& address,
                                                                 bool server, bool wait,
                                                                 const std::string& label) {
  const auto failed = [&](const char* why) {
    return tl::unexpected(fmt::format("tcp:{}: {}", address, why));
  };
  if (!server) return failed("only a server is supported (tcp:[HOST]:PORT,server,nowait)");
  const std::size_t colon = address.rfind(':');
  const auto port = colon == address.npos ? std::nullopt : parse_number(address.substr(colon + 1));
  if (!port || *port == 0 || *port > 0xffff) return failed("not [HOST]:PORT");
  const std::string host = colon == 0 ? "127.0.0.1" : address.substr(0, colon);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(*port));
  if (::inet_pton(AF_INET, host == "localhost" ? "127.0.0.1" : host.c_str(), &where.sin_addr) != 1)
    return failed("the host is an address of IPv4");
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed(std::strerror(errno));
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0 ||
      ::listen(fd, 1) != 0) {
    auto error = failed(std::strerror(errno));
    ::close(fd);
    return error;
  }
  auto channel = std::make_unique<SocketChannel>(fd, "");
  if (wait) {
    print_message("ringshift: waiting for a connection on tcp:{} ({})", address, label);
    const int client = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return failed(std::strerror(errno));
    channel->connect(client);
  }
  return channel;
}

}  // namespace ringshift::runtime
