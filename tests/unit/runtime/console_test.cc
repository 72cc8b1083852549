// tests/unit/runtime/console_test.cc - Ctrl-A keys, back ends over real descriptors, the terminal's
// way back.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "runtime/console/backends.h"
#include "runtime/console/terminal.h"

namespace ringshift::runtime {
namespace {

// Takes at most `room` bytes at a time, as a UART does.
class FakeReceiver final : public CharacterReceiver {
 public:
  std::size_t offer(std::span<const std::uint8_t> bytes) override {
    const auto count = std::min(room, bytes.size());
    received.append(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    room -= count;
    return count;
  }
  void send_break() override { ++breaks; }

  std::size_t room = 1000;
  std::string received;
  int breaks = 0;
};

void turn(EventLoop& loop, int times = 10) {
  for (int i = 0; i < times; ++i) loop.run_once(2'000'000);
}

void send(ByteChannel& channel, std::string_view text) {
  for (const char c : text) channel.write(static_cast<std::uint8_t>(c));
}

TEST(Escape, CommandsAndLiterals) {
  EscapeParser parser;
  EXPECT_EQ(parser.feed('x').byte, 'x');
  EXPECT_FALSE(parser.feed(1).byte);
  EXPECT_EQ(parser.feed('x').command, EscapeCommand::kQuit);
  EXPECT_EQ(parser.feed('x').byte, 'x');
  parser.feed(1);
  EXPECT_EQ(parser.feed(1).byte, 1);
  parser.feed(1);
  EXPECT_EQ(parser.feed('z').command, EscapeCommand::kUnknown);
  EXPECT_EQ(parser.feed('z').byte, 'z');
}

TEST(FileBackend, WritesWhatTheGuestWrites) {
  const auto path = testing::TempDir() + "rs_serial";
  auto channel = open_backend(*parse_backend("file:" + path), "serial0", {});
  ASSERT_TRUE(channel);
  EventLoop loop;
  FakeReceiver receiver;
  (*channel)->start(loop, receiver);
  send(**channel, "hello\n");
  turn(loop);
  EXPECT_EQ((*channel)->backlog(), 0u);
  send(**channel, "more");
  (*channel)->drain(std::chrono::milliseconds(100));
  std::stringstream contents;
  contents << std::ifstream(path).rdbuf();
  EXPECT_EQ(contents.str(), "hello\nmore");
}

TEST(FileBackend, AnUnwritablePathIsAnError) {
  EXPECT_FALSE(open_backend(*parse_backend("file:/nonexistent/x"), "serial0", {}));
}

class UnixBackend : public testing::Test {
 protected:
  int connect_client() {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
  }
  std::string read_all(int fd) {
    char buffer[4096];
    const auto got = ::read(fd, buffer, sizeof buffer);
    return got > 0 ? std::string(buffer, static_cast<std::size_t>(got)) : "";
  }
  std::string path_ = testing::TempDir() + "rs_socket";
  EventLoop loop_;
  FakeReceiver receiver_;
};

TEST_F(UnixBackend, ServesOneClientAfterAnother) {
  ::signal(SIGPIPE, SIG_IGN);
  auto channel = open_backend(*parse_backend("unix:" + path_ + ",server,nowait"), "serial0", {});
  ASSERT_TRUE(channel) << channel.error();
  (*channel)->start(loop_, receiver_);
  send(**channel, "nobody listens");
  turn(loop_);
  for (const std::string word : {"first", "second"}) {
    const int client = connect_client();
    turn(loop_, 2);
    send(**channel, word);
    turn(loop_);
    EXPECT_EQ(read_all(client), word);
    EXPECT_EQ(::write(client, "abc", 3), 3);
    turn(loop_);
    ::close(client);
    turn(loop_);
  }
  EXPECT_EQ(receiver_.received, "abcabc");
}

TEST_F(UnixBackend, InputWaitsForRoom) {
  auto channel = open_backend(*parse_backend("unix:" + path_ + ",server,nowait"), "serial0", {});
  ASSERT_TRUE(channel);
  (*channel)->start(loop_, receiver_);
  receiver_.room = 16;
  const int client = connect_client();
  const std::string text(100, 'q');
  EXPECT_EQ(::write(client, text.data(), text.size()), 100);
  turn(loop_);
  EXPECT_EQ(receiver_.received.size(), 16u);
  receiver_.room = 1000;
  (*channel)->receiver_ready();
  turn(loop_);
  EXPECT_EQ(receiver_.received, text);
  ::close(client);
}

TEST_F(UnixBackend, AClientWithoutAServerIsAnError) {
  EXPECT_FALSE(open_backend(*parse_backend("unix:/nonexistent/s"), "serial0", {}));
}

TEST(PtyBackend, TalksToWhoeverOpensIt) {
  testing::internal::CaptureStderr();
  auto channel = open_backend(*parse_backend("pty"), "serial0", {});
  const auto said = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(channel) << channel.error();
  const auto start = said.find("/dev/");
  const auto name = said.substr(start, said.find(' ', start) - start);
  EventLoop loop;
  FakeReceiver receiver;
  (*channel)->start(loop, receiver);
  const int client = ::open(name.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK);
  ASSERT_GE(client, 0);
  turn(loop, 300);  // it looks for a client four times a second
  send(**channel, "out");
  turn(loop);
  char buffer[16] = {};
  EXPECT_EQ(::read(client, buffer, sizeof buffer), 3);
  EXPECT_EQ(::write(client, "in\r", 3), 3);
  turn(loop);
  EXPECT_EQ(receiver.received, "in\r");
  ::close(client);
}

// The terminal's settings after a child that had it in raw mode ended in some way.
class TerminalRestore : public testing::TestWithParam<int> {};

TEST_P(TerminalRestore, WhateverEndsTheProcess) {
  struct sigaction there {};
  if (GetParam() != 0 && ::sigaction(GetParam(), nullptr, &there) == 0 &&
      there.sa_handler != SIG_DFL)
    GTEST_SKIP() << "the signal has a handler already (a sanitizer's)";
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(master, 0);
  ASSERT_EQ(::unlockpt(master), 0);
  const int slave = ::open(::ptsname(master), O_RDWR | O_NOCTTY);
  ASSERT_GE(slave, 0);
  termios before{};
  ASSERT_EQ(::tcgetattr(slave, &before), 0);
  ASSERT_TRUE(before.c_lflag & ICANON);
  const auto child = ::fork();
  if (child == 0) {
    const auto raw = RawTerminal::enter(slave, false);
    termios now{};
    ::tcgetattr(slave, &now);
    if (!raw || (now.c_lflag & (ICANON | ISIG | ECHO))) ::_exit(99);
    if (GetParam() == 0) std::exit(0);
    ::raise(GetParam());
    ::_exit(98);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (GetParam() == 0) {
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  } else {
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == GetParam());
  }
  termios after{};
  ASSERT_EQ(::tcgetattr(slave, &after), 0);
  EXPECT_EQ(after.c_lflag, before.c_lflag);
  EXPECT_EQ(after.c_iflag, before.c_iflag);
  ::close(slave);
  ::close(master);
}

INSTANTIATE_TEST_SUITE_P(Endings, TerminalRestore, testing::Values(0, SIGSEGV, SIGABRT, SIGBUS));

}  // namespace
}  // namespace ringshift::runtime
