// runtime/console/backends.cc - parses -serial's argument and opens what it names.
#include "runtime/console/backends.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "runtime/console/pty_channel.h"
#include "runtime/console/stdio_channel.h"
#include "runtime/console/unix_channel.h"

namespace ringshift::runtime {
namespace {

using Kind = BackendSpec::Kind;

class FileChannel final : public ByteChannel {
 public:
  explicit FileChannel(int fd) : fd_(fd) { set_descriptors(-1, fd); }
  ~FileChannel() override { ::close(fd_); }

 private:
  int fd_;
};

class NullChannel final : public ByteChannel {};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

std::optional<bool> parse_switch(const std::string& word, const std::string& name) {
  if (word == name || word == name + "=on") return true;
  if (word == "no" + name || word == name + "=off") return false;
  return std::nullopt;
}

tl::expected<BackendSpec, std::string> parse_path_backend(Kind kind, const std::string& text) {
  const auto unknown = [&](const std::string& word) {
    return tl::unexpected(fmt::format("unknown word '{}'", word));
  };
  const auto words = split(text, ',');
  BackendSpec spec{.kind = kind, .path = words.front()};
  if (spec.path.empty()) return tl::unexpected(std::string("the path is missing"));
  std::optional<bool> wait;
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (kind == Kind::kFile) {
      const auto append = parse_switch(words[i], "append");
      if (!append) return unknown(words[i]);
      spec.append = *append;
    } else if (const auto server = parse_switch(words[i], "server")) {
      spec.server = *server;
    } else if (const auto waits = parse_switch(words[i], "wait")) {
      wait = *waits;
    } else {
      return unknown(words[i]);
    }
  }
  if (wait && !spec.server) return tl::unexpected(std::string("'wait' is for servers only"));
  spec.wait = spec.server && wait.value_or(true);
  return spec;
}

tl::expected<std::unique_ptr<ByteChannel>, std::string> open_file(const BackendSpec& spec) {
  const int fd = ::open(spec.path.c_str(),
                        O_WRONLY | O_CREAT | O_CLOEXEC | (spec.append ? O_APPEND : O_TRUNC), 0644);
  if (fd < 0) return tl::unexpected(fmt::format("{}: {}", spec.path, std::strerror(errno)));
  return std::make_unique<FileChannel>(fd);
}

}  // namespace

tl::expected<BackendSpec, std::string> parse_backend(const std::string& text) {
  if (text == "none") return BackendSpec{.kind = Kind::kNone};
  if (text == "null") return BackendSpec{.kind = Kind::kNull};
  if (text == "stdio") return BackendSpec{.kind = Kind::kStdio};
  if (text == "mon:stdio") return BackendSpec{.kind = Kind::kStdio, .escape_keys = true};
  if (text == "pty") return BackendSpec{.kind = Kind::kPty};
  if (text.starts_with("file:")) return parse_path_backend(Kind::kFile, text.substr(5));
  if (text.starts_with("tcp:")) return parse_path_backend(Kind::kTcp, text.substr(4));
  if (text.starts_with("unix:")) return parse_path_backend(Kind::kUnix, text.substr(5));
  return tl::unexpected(std::string(
      "not one of stdio, mon:stdio, file:PATH, pty, unix:PATH[,server][,nowait], "
      "tcp:[HOST]:PORT,server[,nowait], null, none"));
}

tl::expected<std::unique_ptr<ByteChannel>, std::string> open_backend(const BackendSpec& spec,
                                                                     const std::string& label,
                                                                     CommandHandler commands) {
  switch (spec.kind) {
    case Kind::kStdio:
      return std::make_unique<StdioChannel>(spec.escape_keys, std::move(commands));
    case Kind::kFile:
      return open_file(spec);
    case Kind::kPty:
      return open_pty(label);
    case Kind::kUnix:
      return open_unix(spec.path, spec.server, spec.wait, label);
    case Kind::kTcp:
      return open_tcp(spec.path, spec.server, spec.wait, label);
    case Kind::kNone:
    case Kind::kNull:
      break;
  }
  return std::make_unique<NullChannel>();
}

}  // namespace ringshift::runtime
