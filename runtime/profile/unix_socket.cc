// runtime/profile/unix_socket.cc - Unix stream sockets by path.
#include "runtime/profile/unix_socket.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

namespace ringshift::runtime::profile {
namespace {

std::optional<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

template <typename Use>
tl::expected<Descriptor, std::string> open_socket(const std::string& path, Use use) {
  const auto address = address_of(path);
  if (!address)
    return tl::unexpected(fmt::format("{}: the path of a socket is at most {} bytes long", path,
                                      sizeof(sockaddr_un::sun_path) - 1));
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket || !use(socket.get(), reinterpret_cast<const sockaddr*>(&*address)))
    return tl::unexpected(fmt::format("{}: {}", path, std::strerror(errno)));
  return socket;
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

tl::expected<Descriptor, std::string> listen_at(const std::string& path) {
  struct stat info {};
  // One that an earlier process left behind.
  if (::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) ::unlink(path.c_str());
  return open_socket(path, [](int fd, const sockaddr* address) {
    return ::bind(fd, address, sizeof(sockaddr_un)) == 0 && ::listen(fd, 1) == 0;
  });
}

tl::expected<Descriptor, std::string> connect_to(const std::string& path) {
  return open_socket(path, [](int fd, const sockaddr* address) {
    return ::connect(fd, address, sizeof(sockaddr_un)) == 0;
  });
}

}  // namespace ringshift::runtime::profile
