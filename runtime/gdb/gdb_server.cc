// runtime/gdb/gdb_server.cc - packets of the remote protocol, and what each asks for.
#include "runtime/gdb/gdb_server.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <optional>

#include "runtime/gdb/gdb_registers.h"
#include "runtime/machine.h"
#include "runtime/monitor/commands.h"

namespace ringshift::runtime::gdb {
namespace {

constexpr std::size_t kLongestPacket = 32768;
constexpr const char *kOk = "OK", *kError = "E01", *kTrap = "T05thread:01;",
                     *kInterrupted = "T02thread:01;";
constexpr auto kDrainPatience = std::chrono::milliseconds(200);

std::string to_hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

std::optional<std::vector<std::uint8_t>> from_hex(std::string_view text) {
  if (text.size() % 2) return std::nullopt;
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    std::uint8_t byte = 0;
    const auto result = std::from_chars(text.data() + i, text.data() + i + 2, byte, 16);
    if (result.ec != std::errc() || result.ptr != text.data() + i + 2) return std::nullopt;
    bytes.push_back(byte);
  }
  return bytes;
}

// Hexadecimal numbers between separators; nothing when one is not a number.
std::optional<std::vector<std::uint64_t>> numbers(std::string_view text, char separator) {
  std::vector<std::uint64_t> result;
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    const std::string_view word = text.substr(0, end);
    std::uint64_t value = 0;
    const auto parsed = std::from_chars(word.data(), word.data() + word.size(), value, 16);
    if (parsed.ec != std::errc() || parsed.ptr != word.data() + word.size()) return std::nullopt;
    result.push_back(value);
    text = end == text.npos ? "" : text.substr(end + 1);
  }
  return result;
}

class Server final : public RunWatcher, private CharacterReceiver {
 public:
  explicit Server(std::unique_ptr<ByteChannel> channel) : channel_(std::move(channel)) {}

  tl::expected<void, std::string> before_run(Machine& machine) override {
    machine_ = &machine;
    registers_.emplace(machine.config().model.has(guest::feature::kLongMode));
    machine.on_debug_stop([this] { report(kTrap); });
    channel_->start(machine.loop(), *this);
    return {};
  }
  void after_run(Machine&) override {
    if (attached_) send("W00");
    channel_->drain(kDrainPatience);
  }

 private:
  // --- Packets, on the loop's thread ---

  // Attaching stops the guest.
  void connected() override {
    packet_.clear();
    state_ = Parse::kIdle;
    attached_ = true;
    acknowledges_ = true;
    running_ = false;
    machine_->pause();
  }
  void send_break() override {}

  std::size_t offer(std::span<const std::uint8_t> bytes) override {
    for (const std::uint8_t byte : bytes) take(byte);
    return bytes.size();
  }

  void take(std::uint8_t byte) {
    constexpr std::uint8_t kCtrlC = 3;
    switch (state_) {
      case Parse::kIdle:
        if (byte == '$') {
          packet_.clear();
          state_ = Parse::kPacket;
        } else if (byte == kCtrlC) {
          machine_->pause();
          machine_->post([this] { report(kInterrupted); });
        }
        return;
      case Parse::kPacket:
        if (byte == '#')
          state_ = Parse::kFirstDigit;
        else if (packet_.size() < kLongestPacket)
          packet_ += static_cast<char>(byte);
        return;
      case Parse::kFirstDigit:
        state_ = Parse::kSecondDigit;
        return;
      case Parse::kSecondDigit:
        state_ = Parse::kIdle;
        if (acknowledges_) write("+");
        machine_->post([this, packet = std::exchange(packet_, {})] { handle(packet); });
        return;
    }
  }

  void write(std::string_view text) {
    for (const char c : text) channel_->write(static_cast<std::uint8_t>(c));
  }
  void send(std::string_view body) {
    std::uint8_t sum = 0;
    for (const char c : body) sum = static_cast<std::uint8_t>(sum + static_cast<std::uint8_t>(c));
    write(fmt::format("${}#{:02x}", body, sum));
  }

  // --- Requests, on the vCPU's thread ---

  void report(const char* reason) {
    if (!running_.exchange(false)) return;
    send(reason);
  }

  void handle(const std::string& packet) {
    if (packet.empty()) return send("");
    const std::string_view rest = std::string_view(packet).substr(1);
    switch (packet[0]) {
      case '?':
        return send(kTrap);
      case 'g':
        return send(all_registers());
      case 'G':
        return send(set_all_registers(rest));
      case 'p':
        return send(one_register(rest));
      case 'P':
        return send(set_register(rest));
      case 'm':
        return send(read_memory(rest));
      case 'M':
        return send(write_memory(rest));
      case 'Z':
      case 'z':
        return send(change_point(rest, packet[0] == 'Z'));
      case 'c':
        return go_on();
      case 's':
        return step();
      case 'H':
      case 'T':
        return send(kOk);
      case 'D':
        points_ = {};
        machine_->vcpu().set_debug_points(points_);
        attached_ = false;
        send(kOk);
        return machine_->resume();
      case 'k':
        return machine_->stop(0);
      case 'v':
        return handle_verbose(packet);
      case 'q':
      case 'Q':
        return handle_query(packet);
      default:
        return send("");
    }
  }

  void handle_verbose(const std::string& packet) {
    if (packet == "vCont?") return send("vCont;c;C;s;S");
    if (packet.starts_with("vCont;s") || packet.starts_with("vCont;S")) return step();
    if (packet.starts_with("vCont;c") || packet.starts_with("vCont;C")) return go_on();
    send("");
  }

  void handle_query(const std::string& packet) {
    constexpr std::string_view kFeatures = "qXfer:features:read:target.xml:", kMonitor = "qRcmd,";
    if (packet.starts_with("qSupported"))
      return send(
          fmt::format("PacketSize={:x};qXfer:features:read+;QStartNoAckMode+;hwbreak+;"
                      "vContSupported+",
                      kLongestPacket));
    if (packet == "QStartNoAckMode") {
      send(kOk);
      acknowledges_ = false;
      return;
    }
    if (packet == "qAttached") return send("1");
    if (packet == "qC") return send("QC01");
    if (packet == "qfThreadInfo") return send("m01");
    if (packet == "qsThreadInfo") return send("l");
    if (packet.starts_with(kFeatures)) return send(part_of_xml(packet.substr(kFeatures.size())));
    if (packet.starts_with(kMonitor)) {
      const auto line = from_hex(packet.substr(kMonitor.size()));
      if (!line) return send(kError);
      const std::string answer = monitor::execute(*machine_, {line->begin(), line->end()});
      return send(answer.empty() ? kOk
                                 : to_hex({reinterpret_cast<const std::uint8_t*>(answer.data()),
                                           std::min(answer.size(), kLongestPacket / 2 - 8)}));
    }
    send("");
  }

  std::string part_of_xml(const std::string& range) const {
    const auto words = numbers(range, ',');
    if (!words || words->size() != 2) return kError;
    const std::string& xml = registers_->xml();
    if ((*words)[0] >= xml.size()) return "l";
    const std::string part = xml.substr((*words)[0], std::min<std::uint64_t>((*words)[1], 8192));
    return ((*words)[0] + part.size() == xml.size() ? "l" : "m") + part;
  }

  // --- Registers ---

  guest::CpuState& state() { return machine_->vcpu().state(); }

  std::string all_registers() {
    std::string text;
    for (std::size_t i = 0; i < registers_->count(); ++i)
      text += to_hex(registers_->read(state(), i));
    return text;
  }
  std::string set_all_registers(std::string_view text) {
    const auto bytes = from_hex(text);
    if (!bytes) return kError;
    std::size_t at = 0;
    for (std::size_t i = 0; i < registers_->count() && at < bytes->size(); ++i) {
      if (bytes->size() - at < registers_->bytes(i)) return kError;
      registers_->write(state(), i, std::span(*bytes).subspan(at, registers_->bytes(i)));
      at += registers_->bytes(i);
    }
    machine_->vcpu().state_changed();
    return kOk;
  }
  std::string one_register(std::string_view text) {
    const auto number = numbers(text, ',');
    if (!number || number->size() != 1 || number->front() >= registers_->count()) return kError;
    return to_hex(registers_->read(state(), number->front()));
  }
  std::string set_register(std::string_view text) {
    const std::size_t equals = text.find('=');
    if (equals == text.npos) return kError;
    const auto number = numbers(text.substr(0, equals), ',');
    const auto value = from_hex(text.substr(equals + 1));
    if (!number || number->size() != 1 || number->front() >= registers_->count() || !value)
      return kError;
    if (!registers_->write(state(), number->front(), *value)) return kError;
    machine_->vcpu().state_changed();
    return kOk;
  }

  // --- Memory ---

  std::optional<guest::PhysicalAddress> locate(std::uint64_t linear) {
    const auto features = softmmu::PagingFeatures::of(machine_->config().model);
    return softmmu::look_at(machine_->memory(), state(), features, {linear});
  }
  std::string read_memory(std::string_view text) {
    const auto words = numbers(text, ',');
    if (!words || words->size() != 2 || (*words)[1] > kLongestPacket / 2) return kError;
    std::vector<std::uint8_t> bytes;
    for (std::uint64_t i = 0; i < (*words)[1]; ++i) {
      const auto where = locate((*words)[0] + i);
      const std::uint8_t* page = where ? machine_->memory().readable_page(*where) : nullptr;
      if (!page) break;
      bytes.push_back(page[guest::page_offset(where->value)]);
    }
    return bytes.empty() && (*words)[1] != 0 ? kError : to_hex(bytes);
  }
  std::string write_memory(std::string_view text) {
    const std::size_t colon = text.find(':');
    if (colon == text.npos) return kError;
    const auto words = numbers(text.substr(0, colon), ',');
    const auto bytes = from_hex(text.substr(colon + 1));
    if (!words || words->size() != 2 || !bytes || bytes->size() != (*words)[1]) return kError;
    for (std::size_t i = 0; i < bytes->size(); ++i) {
      const auto where = locate((*words)[0] + i);
      if (!where || !machine_->memory().ram_page(*where)) return kError;
      machine_->memory().write(*where, 1, (*bytes)[i]);
    }
    return kOk;
  }

  // --- Running ---

  std::string change_point(std::string_view text, bool on) {
    const auto words = numbers(text, ',');
    if (!words || words->size() != 3) return kError;
    const std::uint64_t kind = (*words)[0], address = (*words)[1], bytes = (*words)[2];
    DebugPoints next = points_;
    if (kind <= 1) {
      if (on)
        next.code.insert(address);
      else
        next.code.erase(address);
    } else if (kind <= 4) {
      if (bytes == 0 || guest::page_offset(address) + bytes > guest::kPageBytes) return kError;
      const softmmu::Watchpoint point{{address}, bytes, kind != 2};
      std::erase(next.data, point);
      if (on) next.data.push_back(point);
    } else {
      return "";
    }
    if (!machine_->vcpu().set_debug_points(next)) return "";
    points_ = std::move(next);
    return kOk;
  }

  void go_on() {
    running_ = true;
    machine_->resume();
  }
  void step() {
    running_ = true;
    if (!machine_->vcpu().step_once()) {
      running_ = false;
      return send("");
    }
    report(kTrap);
  }

  enum class Parse : std::uint8_t { kIdle, kPacket, kFirstDigit, kSecondDigit };

  std::unique_ptr<ByteChannel> channel_;
  Machine* machine_ = nullptr;
  std::optional<Registers> registers_;
  DebugPoints points_;
  Parse state_ = Parse::kIdle;
  std::string packet_;
  std::atomic<bool> acknowledges_{true}, running_{false};
  bool attached_ = false;
};

}  // namespace

std::unique_ptr<RunWatcher> serve_gdb(std::unique_ptr<ByteChannel> channel) {
  return std::make_unique<Server>(std::move(channel));
}

}  // namespace ringshift::runtime::gdb
