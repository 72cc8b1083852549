// runtime/monitor/qmp.cc - commands and events as lines of JSON.
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>

#include "runtime/machine.h"
#include "runtime/monitor/commands.h"
#include "runtime/monitor/monitor.h"

namespace ringshift::runtime::monitor {
namespace {

using Json = nlohmann::json;
// What a command returns, or why it failed.
using Result = tl::expected<Json, std::string>;

constexpr std::size_t kLongestLine = 1 << 20;
constexpr auto kDrainPatience = std::chrono::milliseconds(500);
constexpr const char* kNotFound = "CommandNotFound";
constexpr const char* kGeneric = "GenericError";

Json version() {
  return {{"qemu", {{"major", 7}, {"minor", 2}, {"micro", 0}}}, {"package", "ringshift"}};
}

Result nothing(Answer answer) {
  if (!answer) return tl::unexpected(answer.error());
  return Json::object();
}

Result query_status(Machine& m, const Json&) {
  const bool paused = m.is_paused();
  return Json{
      {"status", paused ? "paused" : "running"}, {"running", !paused}, {"singlestep", false}};
}

Result query_block(Machine& m, const Json&) {
  Json list = Json::array();
  for (const DriveConfig& drive : m.config().drives) {
    Json entry{{"device", drive.disk ? drive.disk->name() : ""},
               {"removable", drive.cdrom},
               {"locked", false},
               {"type", "unknown"}};
    if (drive.disk)
      entry["inserted"] = {{"file", drive.disk->file()},
                           {"drv", std::string(drive.disk->format())},
                           {"ro", drive.disk->read_only()},
                           {"image",
                            {{"filename", drive.disk->file()},
                             {"format", std::string(drive.disk->format())},
                             {"virtual-size", drive.disk->bytes()}}}};
    list.push_back(std::move(entry));
  }
  return list;
}

Result query_cpus(Machine&, const Json&) {
  return Json::array({{{"cpu-index", 0},
                       {"qom-path", "/machine/cpu[0]"},
                       {"thread-id", 0},
                       {"target", "x86_64"}}});
}

Result human(Machine& m, const Json& arguments) {
  if (!arguments.contains("command-line") || !arguments["command-line"].is_string())
    return tl::unexpected(std::string("Parameter 'command-line' is missing"));
  return Json(execute(m, arguments["command-line"].get<std::string>()));
}

Result dump_screen(Machine& m, const Json& arguments) {
  if (!arguments.contains("filename") || !arguments["filename"].is_string())
    return tl::unexpected(std::string("Parameter 'filename' is missing"));
  return nothing(screendump(m, arguments["filename"].get<std::string>()));
}

// Keys are {"type": "qcode", "data": NAME}; the names are the monitor's.
Result send_key(Machine& m, const Json& arguments) {
  std::vector<std::string> keys;
  if (arguments.contains("keys") && arguments["keys"].is_array())
    for (const Json& key : arguments["keys"])
      if (key.is_object() && key.contains("data") && key["data"].is_string())
        keys.push_back(key["data"].get<std::string>());
  if (keys.empty()) return tl::unexpected(std::string("Parameter 'keys' is missing"));
  return nothing(send_keys(m, keys));
}

template <const char* const& kLine>
Result line(Machine& m, const Json&) {
  execute(m, kLine);
  return Json::object();
}
constexpr const char *kStop = "stop", *kCont = "cont", *kReset = "system_reset",
                     *kPowerDown = "system_powerdown", *kQuit = "quit", *kNmi = "nmi";

Result query_commands(Machine&, const Json&);

struct QmpCommand {
  std::string_view name;
  Result (*run)(Machine& machine, const Json& arguments);
};
constexpr auto kCommands = std::to_array<QmpCommand>({
    {"qmp_capabilities", [](Machine&, const Json&) -> Result { return Json::object(); }},
    {"query-version", [](Machine&, const Json&) -> Result { return version(); }},
    {"query-commands", query_commands},
    {"query-status", query_status},
    {"query-name", [](Machine&, const Json&) -> Result { return Json::object(); }},
    {"query-kvm",
     [](Machine& m, const Json&) -> Result {
       return Json{{"enabled", !m.vcpu().translating()}, {"present", true}};
     }},
    {"query-block", query_block},
    {"query-cpus-fast", query_cpus},
    {"human-monitor-command", human},
    {"screendump", dump_screen},
    {"send-key", send_key},
    {"stop", line<kStop>},
    {"cont", line<kCont>},
    {"system_reset", line<kReset>},
    {"system_powerdown", line<kPowerDown>},
    {"inject-nmi", line<kNmi>},
    {"quit", line<kQuit>},
});

Result query_commands(Machine&, const Json&) {
  Json list = Json::array();
  for (const QmpCommand& command : kCommands) list.push_back({{"name", std::string(command.name)}});
  return list;
}

const char* event_name(MachineEvent event) {
  switch (event) {
    case MachineEvent::kStop:
      return "STOP";
    case MachineEvent::kResume:
      return "RESUME";
    case MachineEvent::kReset:
      return "RESET";
    case MachineEvent::kPowerDown:
      return "POWERDOWN";
    case MachineEvent::kShutdown:
      return "SHUTDOWN";
  }
  return "";
}

class Program final : public RunWatcher, private CharacterReceiver {
 public:
  explicit Program(std::unique_ptr<ByteChannel> channel) : channel_(std::move(channel)) {}

  tl::expected<void, std::string> before_run(Machine& machine) override {
    machine_ = &machine;
    machine.on_event([this](MachineEvent event) { tell(event); });
    channel_->start(machine.loop(), *this);
    return {};
  }
  void after_run(Machine&) override { channel_->drain(kDrainPatience); }

 private:
  void connected() override {
    line_.clear();
    negotiated_ = false;
    send({{"QMP", {{"version", version()}, {"capabilities", Json::array({"oob"})}}}});
  }
  void send_break() override {}

  std::size_t offer(std::span<const std::uint8_t> bytes) override {
    for (const std::uint8_t byte : bytes) {
      if (byte != '\n' && byte != '\r') {
        if (line_.size() < kLongestLine) line_ += static_cast<char>(byte);
        // Not every client ends its commands with a line: a whole object is enough.
        if (byte != '}' || !Json::accept(line_)) continue;
      }
      if (line_.find_first_not_of(" \t") != line_.npos) take(std::exchange(line_, {}));
    }
    return bytes.size();
  }

  void take(const std::string& text) {
    const Json request = Json::parse(text, nullptr, false);
    if (!request.is_object() || !request.contains("execute") || !request["execute"].is_string())
      return refuse(request, kGeneric, "Invalid JSON syntax");
    machine_->post([this, request] { run(request); });
  }

  void run(const Json& request) {
    const auto name = request["execute"].get<std::string>();
    const QmpCommand* found = nullptr;
    for (const QmpCommand& command : kCommands)
      if (command.name == name) found = &command;
    if (!found || (!negotiated_ && name != "qmp_capabilities"))
      return refuse(request, kNotFound,
                    found ? "Expecting capabilities negotiation with 'qmp_capabilities'"
                          : fmt::format("The command {} has not been found", name));
    const Json arguments = request.value("arguments", Json::object());
    const Result result = found->run(*machine_, arguments);
    if (!result) return refuse(request, kGeneric, result.error());
    negotiated_ = true;
    Json answer{{"return", *result}};
    if (request.contains("id")) answer["id"] = request["id"];
    send(answer);
  }

  void refuse(const Json& request, const char* kind, const std::string& why) {
    Json answer{{"error", {{"class", kind}, {"desc", why}}}};
    if (request.is_object() && request.contains("id")) answer["id"] = request["id"];
    send(answer);
  }

  void tell(MachineEvent event) {
    if (!negotiated_) return;
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
    Json message{
        {"event", event_name(event)},
        {"timestamp",
         {{"seconds", microseconds / 1'000'000}, {"microseconds", microseconds % 1'000'000}}}};
    if (event == MachineEvent::kShutdown || event == MachineEvent::kReset)
      message["data"] = {
          {"guest", true},
          {"reason", event == MachineEvent::kReset ? "guest-reset" : "guest-shutdown"}};
    send(message);
  }

  void send(const Json& message) {
    const std::string text = message.dump(-1, ' ', true, Json::error_handler_t::replace) + "\r\n";
    for (const char c : text) channel_->write(static_cast<std::uint8_t>(c));
  }

  std::unique_ptr<ByteChannel> channel_;
  Machine* machine_ = nullptr;
  std::string line_;
  std::atomic<bool> negotiated_{false};
};

}  // namespace

std::unique_ptr<RunWatcher> serve_programs(std::unique_ptr<ByteChannel> channel) {
  return std::make_unique<Program>(std::move(channel));
}

}  // namespace ringshift::runtime::monitor
