// runtime/profile/control_client.cc - the side of `ringshift profile` at the profile socket.
#include "runtime/profile/control_client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "runtime/profile/control_protocol.h"

namespace ringshift::runtime::profile {
namespace {

using Json = nlohmann::json;

std::string absolute(const std::string& path) {
  return path.empty() ? "" : std::filesystem::absolute(path).string();
}

}  // namespace

tl::expected<ControlClient, std::string> ControlClient::connect(const std::string& path) {
  auto socket = connect_to(path);
  if (!socket) return tl::unexpected(socket.error());
  ControlClient client(std::move(*socket), path);
  const auto line = client.receive_line();
  if (!line) return tl::unexpected(line.error());
  const Json greeting = Json::parse(*line, nullptr, false);
  const auto name = std::string(kGreeting);
  if (!greeting.is_object() || !greeting.contains(name) || !greeting[name].is_object())
    return tl::unexpected(fmt::format("{}: not a profile socket", path));
  const int version = greeting[name].value("version", 0);
  if (version != kProtocolVersion)
    return tl::unexpected(fmt::format("{}: speaks version {} of the protocol, this program {}",
                                      path, version, kProtocolVersion));
  return client;
}

tl::expected<void, std::string> ControlClient::send(const std::string& line) {
  const std::string bytes = line + "\n";
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t sent = ::send(socket_.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return tl::unexpected(fmt::format("{}: {}", path_, std::strerror(errno)));
    at += static_cast<std::size_t>(sent);
  }
  return {};
}

tl::expected<std::string, std::string> ControlClient::receive_line() {
  for (std::size_t looked = 0;;) {
    if (const auto end = input_.find('\n', looked); end != std::string::npos) {
      std::string line = input_.substr(0, end);
      input_.erase(0, end + 1);
      return line;
    }
    looked = input_.size();
    std::array<char, 65536> bytes;
    const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0)
      return tl::unexpected(fmt::format("{}: the VM has gone, and its profile with it", path_));
    if (got < 0) return tl::unexpected(fmt::format("{}: {}", path_, std::strerror(errno)));
    input_.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

// What an answer or an event carries, as text: a profile need not be taken apart for it.
tl::expected<std::string, std::string> ControlClient::receive_answer() {
  auto line = receive_line();
  if (!line) return line;
  const Json answer = Json::parse(*line, nullptr, false);
  if (!answer.is_object()) return tl::unexpected(fmt::format("{}: damaged answer", path_));
  if (const auto error = answer.find("error"); error != answer.end())
    return tl::unexpected(fmt::format("{}: {}", path_, error->value("desc", "failed")));
  for (const char* key : {"return", "data"})
    if (const auto found = answer.find(key); found != answer.end()) return found->dump();
  return tl::unexpected(fmt::format("{}: damaged answer", path_));
}

tl::expected<void, std::string> ControlClient::start(const AttachOptions& options) {
  const Json command = {
      {"execute", kStartCommand},
      {"arguments",
       {{"hz", options.record.hz},
        {"exact", options.record.exact},
        {"syntax", options.names.syntax == translator::Syntax::kAtt ? "att" : "intel"},
        {"symfs", absolute(options.names.symfs)},
        {"symbols", absolute(options.names.symbols)}}}};
  if (auto sent = send(command.dump()); !sent) return sent;
  if (auto answer = receive_answer(); !answer) return tl::unexpected(answer.error());
  return {};
}

tl::expected<std::string, std::string> ControlClient::read(bool listings, bool stop) {
  const Json command = {{"execute", kReadCommand},
                        {"arguments", {{"listings", listings}, {"stop", stop}}}};
  // One that has ended has sent what there is already, and hears no more.
  static_cast<void>(send(command.dump()));
  return receive_answer();
}

bool ControlClient::wait(std::chrono::milliseconds time, int also) {
  std::array<pollfd, 2> fds{{{socket_.get(), POLLIN, 0}, {also, POLLIN, 0}}};
  ::poll(fds.data(), fds.size(), static_cast<int>(time.count()));
  return fds[0].revents == 0;
}

}  // namespace ringshift::runtime::profile
