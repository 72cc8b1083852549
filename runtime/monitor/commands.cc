// runtime/monitor/commands.cc - the table of commands, and those that act.
#include "runtime/monitor/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include "runtime/display/png.h"
#include "runtime/machine.h"
#include "runtime/option_values.h"

namespace ringshift::runtime::monitor {
namespace {

tl::unexpected<std::string> failed(std::string why) { return tl::unexpected(std::move(why)); }

Answer help(Machine&, const Words&) {
  std::string text;
  for (const Command& command : commands()) {
    std::string usage(command.name);
    if (!command.short_name.empty()) usage += fmt::format("|{}", command.short_name);
    if (!command.arguments.empty()) usage += fmt::format(" {}", command.arguments);
    text += fmt::format("{:<34} {}\n", usage, command.help);
  }
  return text;
}

Answer quit(Machine& machine, const Words&) {
  machine.stop(0);
  return "";
}

Answer stop(Machine& machine, const Words&) {
  machine.pause();
  return "";
}

Answer cont(Machine& machine, const Words&) {
  machine.resume();
  return "";
}

Answer system_reset(Machine& machine, const Words&) {
  machine.request_reset();
  return "";
}

Answer system_powerdown(Machine& machine, const Words&) {
  const auto lock = machine.lock_devices();
  machine.board().power_management().press_power_button();
  return "";
}

Answer nmi(Machine& machine, const Words&) {
  machine.vcpu().inject_nmi();
  return "";
}

Answer screendump_command(Machine& machine, const Words& words) {
  if (words.size() != 2) return failed("usage: screendump FILE");
  return screendump(machine, words[1]);
}

// What the screen says, for scripts and for people without a display.
Answer screen(Machine& machine, const Words&) {
  const auto lock = machine.lock_devices();
  const devices::Vga* vga = machine.board().vga();
  if (!vga) return failed("there is no display adapter (-vga std)");
  const auto rows = devices::screen_text(*vga);
  if (rows.empty()) return failed("the screen shows graphics, not text");
  std::string text;
  for (const auto& row : rows) text += row + "\n";
  return text;
}

Answer sendkey(Machine& machine, const Words& words) {
  if (words.size() < 2 || words.size() > 3) return failed("usage: sendkey KEY[-KEY...]");
  std::vector<std::string> keys;
  std::istringstream names(words[1]);
  for (std::string key; std::getline(names, key, '-');) keys.push_back(key);
  return send_keys(machine, keys);
}

std::optional<int> to_int(const std::string& text) {
  int value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

Answer mouse_move(Machine& machine, const Words& words) {
  if (words.size() < 3 || words.size() > 4) return failed("usage: mouse_move DX DY [DZ]");
  const auto dx = to_int(words[1]), dy = to_int(words[2]);
  const auto dz = words.size() == 4 ? to_int(words[3]) : 0;
  if (!dx || !dy || !dz) return failed("mouse_move takes numbers");
  const auto lock = machine.lock_devices();
  machine.board().keyboard_controller().mouse().move(*dx, -*dy, *dz, {});
  return "";
}

Answer mouse_button(Machine& machine, const Words& words) {
  const auto state = words.size() == 2 ? to_int(words[1]) : std::nullopt;
  if (!state) return failed("usage: mouse_button STATE (1 left, 2 right, 4 middle)");
  const auto lock = machine.lock_devices();
  machine.board().keyboard_controller().mouse().move(
      0, 0, 0, {(*state & 1) != 0, (*state & 2) != 0, (*state & 4) != 0});
  return "";
}

// Ports, as outb and inb would.
Answer port_in(Machine& machine, const Words& words) {
  const auto port = words.size() == 2 ? parse_number(words[1]) : std::nullopt;
  if (!port || *port > 0xffff) return failed("usage: i/FMT PORT");
  const auto slash = words[0].find('/');
  const char size = slash == std::string::npos ? 'b' : words[0].back();
  const unsigned bytes = size == 'w' ? 4 : size == 'h' ? 2 : 1;
  const auto lock = machine.lock_devices();
  return fmt::format("portl[0x{:04x}] = {:#x}\n", *port,
                     machine.board().ports().read(static_cast<std::uint16_t>(*port), bytes));
}

constexpr auto kCommands = std::to_array<Command>({
    {"help", "?", "", "this list", help},
    {"info", "", "WHAT", "show something; info alone lists what", info},
    {"x", "", "/FMT ADDR", "memory at a linear address: /16xb, /8xw, /4xg, /10i", examine},
    {"xp", "", "/FMT ADDR", "the same at a physical address", examine},
    {"i", "", "/FMT PORT", "read a port", port_in},
    {"screendump", "", "FILE", "the screen as a PNG (or .ppm) file", screendump_command},
    {"screen", "", "", "the screen's text", screen},
    {"sendkey", "", "KEYS", "press keys: a, ret, ctrl-alt-delete", sendkey},
    {"mouse_move", "", "DX DY [DZ]", "move the mouse", mouse_move},
    {"mouse_button", "", "STATE", "press buttons: 1 left, 2 right, 4 middle", mouse_button},
    {"stop", "s", "", "pause the guest", stop},
    {"cont", "c", "", "let it run again", cont},
    {"system_reset", "", "", "as the reset button", system_reset},
    {"system_powerdown", "", "", "as the power button", system_powerdown},
    {"nmi", "", "", "a non-maskable interrupt", nmi},
    {"quit", "q", "", "end Ringshift", quit},
});

}  // namespace

std::span<const Command> commands() { return kCommands; }

Answer screendump(Machine& machine, const std::string& file) {
  devices::Picture picture;
  {
    const auto lock = machine.lock_devices();
    const devices::Vga* vga = machine.board().vga();
    if (!vga) return failed("there is no display adapter (-vga std)");
    picture = devices::draw_screen(*vga);
  }
  if (auto written = write_picture(picture, file); !written) return failed(written.error());
  return "";
}

Answer send_keys(Machine& machine, std::span<const std::string> keys) {
  const auto lock = machine.lock_devices();
  auto& keyboard = machine.board().keyboard_controller().keyboard();
  for (const auto& key : keys)
    if (!devices::find_key(key)) return failed(fmt::format("there is no key '{}'", key));
  for (const auto& key : keys) keyboard.key(key, true);
  for (std::size_t i = keys.size(); i-- > 0;) keyboard.key(keys[i], false);
  return "";
}

std::string execute(Machine& machine, const std::string& line) {
  Words words;
  std::istringstream input(line);
  for (std::string word; input >> word;) words.push_back(word);
  if (words.empty()) return "";
  const std::string name = words[0].substr(0, words[0].find('/'));
  const auto found = std::ranges::find_if(commands(), [&](const Command& command) {
    return command.name == name || (!command.short_name.empty() && command.short_name == name);
  });
  if (found == commands().end())
    return fmt::format("there is no command '{}'; help lists them\n", name);
  const auto answer = found->run(machine, words);
  return answer ? *answer : "Error: " + answer.error() + "\n";
}

}  // namespace ringshift::runtime::monitor
