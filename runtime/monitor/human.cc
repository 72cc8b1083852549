// runtime/monitor/human.cc - the prompt.
#include <chrono>
#include <string>

#include "runtime/machine.h"
#include "runtime/monitor/commands.h"
#include "runtime/monitor/monitor.h"

namespace ringshift::runtime::monitor {
namespace {

constexpr std::string_view kPrompt = "(ringshift) ";
constexpr std::size_t kLongestLine = 4096;
constexpr auto kDrainPatience = std::chrono::milliseconds(500);

class Human final : public RunWatcher, private CharacterReceiver {
 public:
  explicit Human(std::unique_ptr<ByteChannel> channel) : channel_(std::move(channel)) {}

  tl::expected<void, std::string> before_run(Machine& machine) override {
    machine_ = &machine;
    channel_->start(machine.loop(), *this);
    return {};
  }
  void after_run(Machine&) override { channel_->drain(kDrainPatience); }

 private:
  void connected() override {
    line_.clear();
    say("Ringshift's monitor; help lists the commands\n");
    say(kPrompt);
  }
  void send_break() override {}

  std::size_t offer(std::span<const std::uint8_t> bytes) override {
    for (const std::uint8_t byte : bytes) take(byte);
    return bytes.size();
  }

  void take(std::uint8_t byte) {
    constexpr std::uint8_t kCtrlC = 3, kBackspace = 8, kCtrlU = 21, kDelete = 127;
    switch (byte) {
      case '\r':
      case '\n':
        // A terminal's end of line may be two bytes.
        if (byte == '\n' && last_ == '\r') break;
        say("\n");
        run(std::exchange(line_, {}));
        break;
      case kBackspace:
      case kDelete:
        if (line_.empty()) break;
        line_.pop_back();
        say("\b \b");
        break;
      case kCtrlC:
      case kCtrlU:
        for (; !line_.empty(); line_.pop_back()) say("\b \b");
        break;
      default:
        if (byte < 0x20 || line_.size() >= kLongestLine) break;
        line_ += static_cast<char>(byte);
        say(std::string_view(&line_.back(), 1));
        break;
    }
    last_ = byte;
  }

  void run(std::string line) {
    machine_->post([this, line = std::move(line)] {
      say(execute(*machine_, line));
      say(kPrompt);
    });
  }

  void say(std::string_view text) {
    for (const char c : text) {
      if (c == '\n') channel_->write('\r');
      channel_->write(static_cast<std::uint8_t>(c));
    }
  }

  std::unique_ptr<ByteChannel> channel_;
  Machine* machine_ = nullptr;
  std::string line_;
  std::uint8_t last_ = 0;
};

}  // namespace

std::unique_ptr<RunWatcher> serve_people(std::unique_ptr<ByteChannel> channel) {
  return std::make_unique<Human>(std::move(channel));
}

}  // namespace ringshift::runtime::monitor
