// runtime/profile/control_client.h - the side of `ringshift profile` at the profile socket of a VM.
// The errors are one line for the user.
#pragma once

#include <chrono>
#include <string>
#include <tl/expected.hpp>

#include "runtime/profile/profile_options.h"
#include "runtime/profile/unix_socket.h"

namespace ringshift::runtime::profile {

class ControlClient {
 public:
  static tl::expected<ControlClient, std::string> connect(const std::string& path);

  tl::expected<void, std::string> start(const AttachOptions& options);
  // What was recorded since the start or the last read(), as JSON text; when the guest has ended,
  // to its end.
  tl::expected<std::string, std::string> read(bool listings, bool stop);
  // Waits, but not longer than the guest runs. False: it has ended, or the connection.
  bool wait(std::chrono::milliseconds time, int also = -1);
  int descriptor() const { return socket_.get(); }

 private:
  ControlClient(Descriptor socket, std::string path)
      : socket_(std::move(socket)), path_(std::move(path)) {}
  tl::expected<void, std::string> send(const std::string& line);
  tl::expected<std::string, std::string> receive_line();
  tl::expected<std::string, std::string> receive_answer();

  Descriptor socket_;
  std::string path_;
  std::string input_;
};

}  // namespace ringshift::runtime::profile
