// runtime/profile/unix_socket.h - Unix stream sockets by path. The errors are one line for the
// user.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace ringshift::runtime::profile {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

tl::expected<Descriptor, std::string> listen_at(const std::string& path);
tl::expected<Descriptor, std::string> connect_to(const std::string& path);

}  // namespace ringshift::runtime::profile
