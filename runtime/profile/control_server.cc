// runtime/profile/control_server.cc - the VM's side of the profile socket: one client at a time.
//
// Three threads meet here. The event loop's talks to the client. The vCPU's starts, reads and stops
// the recorder, which is its own. A worker puts names to what was recorded, so that neither guest
// nor devices wait for it. Answers wait in a list that the loop writes out.
#include "runtime/profile/control_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "runtime/machine.h"
#include "runtime/profile/control_protocol.h"
#include "runtime/profile/profile_builder.h"
#include "runtime/profile/profile_json.h"
#include "runtime/profile/recorder.h"
#include "runtime/profile/unix_socket.h"

namespace ringshift::runtime::profile {
namespace {

using Json = nlohmann::json;

std::string error_text(const std::string& why) {
  return Json{{"error", {{"class", "GenericError"}, {"desc", why}}}}.dump(
      -1, ' ', false, Json::error_handler_t::replace);
}

struct ReadRequest {
  BuildOptions build;
  bool stop = false;
  std::string symfs, symbols;
  unsigned client = 0;  // whose it is
};

tl::expected<SymbolSources, std::string> sources_of(const ReadRequest& request,
                                                    const Recording& recording) {
  SymbolSources sources{recording.kernel, nullptr, nullptr};
  if (!request.symfs.empty()) {
    auto programs = ProgramPages::read(request.symfs);
    if (!programs) return tl::unexpected(programs.error());
    sources.programs = std::make_shared<ProgramPages>(std::move(*programs));
  }
  if (!request.symbols.empty()) {
    auto table = read_symbol_file(request.symbols);
    if (!table) return tl::unexpected(table.error());
    sources.file = std::make_shared<SymbolTable>(std::move(*table));
  }
  return sources;
}

class ControlServer final : public RunWatcher, private PollSource {
 public:
  explicit ControlServer(std::string path) : path_(std::move(path)) {}
  ~ControlServer() override {
    if (listener_) ::unlink(path_.c_str());
  }

  tl::expected<void, std::string> before_run(Machine& machine) override {
    machine_ = &machine;
    auto listener = listen_at(path_);
    if (!listener) return tl::unexpected("-profile-socket: " + listener.error());
    listener_ = std::move(*listener);
    machine.loop().add(*this);
    return {};
  }
  void after_run(Machine& machine) override;

 private:
  // PollSource: the event loop's thread.
  Interest interest() override;
  void ready(short events) override;
  void receive();
  void serve(const std::string& line);
  void start(const Json& arguments);
  void read(const Json& arguments);
  void send();
  void disconnect();

  // The vCPU's thread.
  void read_now(const ReadRequest& request);

  // Any thread.
  void answer(const std::string& line, unsigned client);
  std::string profile_text(const ReadRequest& request, const Recording& recording) const;

  const std::string path_;
  Machine* machine_ = nullptr;
  Descriptor listener_, client_;
  std::string input_;
  std::unique_ptr<Recorder> recorder_;
  ReadRequest request_;                 // as the recording began; the loop's thread
  std::optional<ReadRequest> pending_;  // asked for, and not begun; guarded by mutex_
  std::mutex mutex_;
  std::string output_;          // guarded by mutex_
  bool busy_ = false;           // a command has no answer yet; guarded by mutex_
  unsigned client_number_ = 0;  // guarded by mutex_; answers for an earlier one are for nobody
  std::jthread worker_;
};

PollSource::Interest ControlServer::interest() {
  if (!client_) return {listener_.get(), POLLIN, {}};
  std::lock_guard lock(mutex_);
  return {client_.get(), static_cast<short>(output_.empty() ? POLLIN : POLLIN | POLLOUT), {}};
}

void ControlServer::ready(short events) {
  if (events == 0) return;
  if (!client_) {
    client_ =
        Descriptor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client_)
      answer(Json{{std::string(kGreeting), {{"version", kProtocolVersion}}}}.dump(),
             request_.client);
    return;
  }
  if (events & (POLLIN | POLLHUP | POLLERR)) receive();
  if (client_ && (events & POLLOUT)) send();
}

void ControlServer::receive() {
  std::array<char, 4096> bytes;
  const ssize_t got = ::recv(client_.get(), bytes.data(), bytes.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0 || input_.size() > kMostCommandBytes) return disconnect();
  input_.append(bytes.data(), static_cast<std::size_t>(got));
  for (std::size_t end; client_ && (end = input_.find('\n')) != std::string::npos;) {
    const std::string line = input_.substr(0, end);
    input_.erase(0, end + 1);
    serve(line);
  }
}

void ControlServer::serve(const std::string& line) {
  {
    std::lock_guard lock(mutex_);
    if (busy_) {
      output_ += error_text("the command before has no answer yet") + "\n";
      return;
    }
    busy_ = true;
  }
  const Json command = Json::parse(line, nullptr, false);
  if (!command.is_object()) return answer(error_text("not a JSON object"), request_.client);
  const Json name = command.value("execute", Json());
  const Json arguments = command.value("arguments", Json::object());
  try {
    if (name == kStartCommand) return start(arguments);
    if (name == kReadCommand) return read(arguments);
  } catch (const Json::exception& problem) {
    return answer(error_text(problem.what()), request_.client);
  }
  answer(error_text(fmt::format("there is no command {}", name.dump())), request_.client);
}

void ControlServer::start(const Json& arguments) {
  RecordOptions options;
  options.hz = arguments.value("hz", options.hz);
  options.exact = arguments.value("exact", false);
  if (options.hz < 1 || options.hz > kMostHz)
    return answer(error_text(fmt::format("hz is 1 to {}", kMostHz)), request_.client);
  request_.build.syntax = arguments.value("syntax", "intel") == "att" ? translator::Syntax::kAtt
                                                                      : translator::Syntax::kIntel;
  request_.symfs = arguments.value("symfs", "");
  request_.symbols = arguments.value("symbols", "");
  machine_->post([this, options, client = request_.client] {
    recorder_.reset();
    auto recorder =
        Recorder::start(machine_->vcpu(), options, [this] { return machine_->idle_ns(); });
    if (!recorder) return answer(error_text(recorder.error()), client);
    recorder_ = std::move(*recorder);
    answer(Json{{"return", Json::object()}}.dump(), client);
  });
}

void ControlServer::read(const Json& arguments) {
  ReadRequest request = request_;
  request.build.listings = arguments.value("listings", true);
  request.stop = arguments.value("stop", false);
  {
    std::lock_guard lock(mutex_);
    pending_ = request;
  }
  machine_->post([this, request] {
    {
      std::lock_guard lock(mutex_);
      pending_.reset();
    }
    read_now(request);
  });
}

void ControlServer::read_now(const ReadRequest& request) {
  if (!recorder_) return answer(error_text("nothing is being recorded"), request.client);
  auto recording = std::make_shared<Recording>(recorder_->take());
  if (request.stop) recorder_.reset();
  worker_ = std::jthread(
      [this, request, recording] { answer(profile_text(request, *recording), request.client); });
}

std::string ControlServer::profile_text(const ReadRequest& request,
                                        const Recording& recording) const {
  const auto sources = sources_of(request, recording);
  if (!sources) return error_text(sources.error());
  const auto profile = to_json(build_profile(recording, *sources, request.build));
  return recording.ended && !request.stop
             ? fmt::format(R"({{"event":"{}","data":{}}})", kEndedEvent, profile)
             : fmt::format(R"({{"return":{}}})", profile);
}

void ControlServer::answer(const std::string& line, unsigned client) {
  std::lock_guard lock(mutex_);
  if (client != client_number_) return;
  output_ += line + "\n";
  busy_ = false;
  machine_->loop().wake();
}

void ControlServer::send() {
  std::lock_guard lock(mutex_);
  const ssize_t sent = ::send(client_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
  if (sent > 0) output_.erase(0, static_cast<std::size_t>(sent));
}

// Whatever it asked for is for nobody.
void ControlServer::disconnect() {
  client_ = Descriptor();
  input_.clear();
  machine_->post([this] { recorder_.reset(); });
  request_ = {.client = request_.client + 1};
  std::lock_guard lock(mutex_);
  client_number_ = request_.client;
  output_.clear();
  busy_ = false;
}

// The loop has ended: what is left to say is said here.
void ControlServer::after_run(Machine&) {
  if (worker_.joinable()) worker_.join();
  if (client_ && recorder_) {
    ReadRequest request = pending_.value_or(request_);
    request.stop = pending_.has_value();
    Recording recording = recorder_->take();
    recording.ended = true;
    output_ += profile_text(request, recording) + "\n";
  }
  recorder_.reset();
  if (!client_) return;
  constexpr timeval kPatience{5, 0};
  ::setsockopt(client_.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  ::fcntl(client_.get(), F_SETFL, 0);
  while (!output_.empty()) {
    const ssize_t sent = ::send(client_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    output_.erase(0, static_cast<std::size_t>(sent));
  }
}

}  // namespace

std::unique_ptr<RunWatcher> serve_profiles(const std::string& path) {
  return std::make_unique<ControlServer>(path);
}

}  // namespace ringshift::runtime::profile
