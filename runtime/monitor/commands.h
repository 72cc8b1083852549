// runtime/monitor/commands.h - the monitor's commands, whoever asks: a person or a QMP client.
// They run on the vCPU's thread while it is outside the guest, so that its state is whole.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace ringshift::runtime {

class Machine;

namespace monitor {

using Words = std::vector<std::string>;
// What to print; the error is one line.
using Answer = tl::expected<std::string, std::string>;

struct Command {
  std::string_view name, short_name;  // "" if there is none
  std::string_view arguments, help;
  Answer (*run)(Machine& machine, const Words& words);  // words[0] is the command's name
};
std::span<const Command> commands();

// One line of input; text for the user, ending with a newline if there is any.
std::string execute(Machine& machine, const std::string& line);

// The parts that QMP uses too.
Answer screendump(Machine& machine, const std::string& file);
// Names as in "ctrl-alt-delete": down in order, up in the reverse order.
Answer send_keys(Machine& machine, std::span<const std::string> keys);
Answer info(Machine& machine, const Words& words);
Answer examine(Machine& machine, const Words& words);

}  // namespace monitor
}  // namespace ringshift::runtime
