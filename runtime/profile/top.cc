// runtime/profile/top.cc - a live view of a running guest.
#include "runtime/profile/top.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <optional>

#include "runtime/console/terminal.h"
#include "runtime/message.h"
#include "runtime/profile/control_client.h"
#include "runtime/profile/output_file.h"
#include "runtime/profile/profile_json.h"
#include "runtime/profile/text_table.h"

namespace ringshift::runtime::profile {
namespace {

// ECMA-48 and xterm: the other screen without a cursor, and back.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l", kLeave = "\x1b[?25h\x1b[?1049l",
                           kHome = "\x1b[H", kClearLine = "\x1b[K", kClearRest = "\x1b[J";

void write_raw(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// The terminal while the view is in it. Signals that would end the process end the view.
class Screen {
 public:
  Screen() : settings_(RawTerminal::enter(STDIN_FILENO, true)) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&set, signal);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    signals_ = Descriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    write_raw(kEnter);
  }
  ~Screen() { write_raw(kLeave); }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  std::pair<std::size_t, std::size_t> size() const {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return {24, 80};
    return {size.ws_row, size.ws_col};
  }
  void draw(const std::string& text) const {
    std::string out(kHome);
    for (const char c : text) {
      if (c == '\n') out += kClearLine;
      out += c;
    }
    write_raw(out + std::string(kClearLine) + std::string(kClearRest));
  }
  // True: somebody wants the view to end.
  bool asked_to_quit() const {
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof info) > 0) return true;
    for (char key; is_readable(STDIN_FILENO) && ::read(STDIN_FILENO, &key, 1) == 1;)
      if (key == 'q' || key == 'Q' || key == 3) return true;
    return false;
  }

 private:
  static bool is_readable(int fd) {
    int waiting = 0;
    return ::ioctl(fd, FIONREAD, &waiting) == 0 && waiting > 0;
  }
  std::unique_ptr<RawTerminal> settings_;
  Descriptor signals_;
};

// In short steps, so that a key is heard soon. False: it is time to end.
bool wait_for_next(ControlClient& client, const Screen* screen, double seconds) {
  constexpr int kStepMs = 50;
  for (double waited = 0; waited < seconds * 1000; waited += kStepMs) {
    if (screen && screen->asked_to_quit()) return false;
    if (!client.wait(std::chrono::milliseconds(kStepMs))) return true;  // the last picture
  }
  return true;
}

}  // namespace

std::string top_screen(const Profile& p, std::size_t lines, std::size_t columns) {
  std::vector<std::string> rows;
  const Run& r = p.run;
  rows.push_back(fmt::format("ringshift top - {:.0f}% busy, {} samples{}{}",
                             r.wall_seconds > 0 ? 100 * r.cpu_seconds / r.wall_seconds : 0.0,
                             r.samples, r.kernel.empty() ? "" : ", ", r.kernel));
  std::string work;
  for (const Share& s : p.activities)
    if (percent(p, s.samples) >= 1)
      work += fmt::format("{}{} {:.0f}%", work.empty() ? "" : ", ", work_text(s),
                          percent(p, s.samples));
  rows.push_back(work);
  std::string processes;
  for (const ProcessShare& s : p.processes)
    if (percent(p, s.samples) >= 1)
      processes += fmt::format("{}{} {:.0f}%", processes.empty() ? "" : ", ",
                               s.comm.empty() ? fmt::format("CR3 {:#x}", s.cr3.value) : s.comm,
                               percent(p, s.samples));
  rows.push_back(processes);
  for (const Finding& f : p.summary)
    if (rows.size() < 8) rows.push_back(fmt::format("! {}: {}", f.title, f.text));
  rows.push_back("");
  rows.push_back("  self   code  total  function");
  for (const FunctionShare& f : p.functions)
    rows.push_back(fmt::format("{:5.1f}% {:5.1f}% {:5.1f}%  {}", percent(p, f.self),
                               percent(p, f.guest), percent(p, f.total), function_text(f)));
  if (rows.size() > lines) rows.resize(lines);
  std::string text;
  for (std::size_t i = 0; i < rows.size(); ++i)
    text += (i ? "\n" : "") + rows[i].substr(0, columns);
  return text;
}

tl::expected<int, std::string> run_top(const TopCommand& command) {
  auto client = ControlClient::connect(command.attach.socket);
  if (!client) return tl::unexpected(client.error());
  if (auto started = client->start(command.attach); !started)
    return tl::unexpected(started.error());
  std::optional<Screen> screen;
  if (::isatty(STDOUT_FILENO)) screen.emplace();
  for (unsigned shown = 0; command.times == 0 || shown < command.times; ++shown) {
    if (!wait_for_next(*client, screen ? &*screen : nullptr, command.interval)) return 0;
    const auto text = client->read(false, false);
    if (!text) return tl::unexpected(text.error());
    const auto profile = from_json(*text);
    if (!profile) return tl::unexpected(command.attach.socket + ": " + profile.error());
    if (screen) {
      const auto [lines, columns] = screen->size();
      screen->draw(top_screen(*profile, lines, columns));
    } else if (auto said = write_standard_output(top_screen(*profile, 40, 132) + "\n\n"); !said) {
      return tl::unexpected(said.error());
    }
    if (profile->run.ended) {
      screen.reset();
      print_message("ringshift: the guest has ended");
      return 0;
    }
  }
  return 0;
}

}  // namespace ringshift::runtime::profile
