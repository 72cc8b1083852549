// runtime/options.cc - verbs, the single-dash spelling, and the defaults that follow from several
// options.
#include "runtime/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "runtime/run_option_rows.h"

namespace ringshift::runtime {
namespace {

using Words = std::vector<std::string>;

constexpr std::string_view kVersion = RINGSHIFT_VERSION;

std::string help_text() {
  return R"(Ringshift runs unmodified x86 guests (16, 32 and 64 bit) without VT-x, by binary translation.

  ringshift run [options]     start a guest; without -kernel, a small built-in one
  ringshift probe [--json]    what this host offers
  ringshift compare           what each way to run a guest costs here (compare --help)
  ringshift profile --help    where a guest's time goes, in its own words
  ringshift top               the same, live
  ringshift --version         version
  ringshift run --help        every option

Try:
  ringshift run
  ringshift run -m 512 -kernel vmlinuz -initrd initrd.gz -append "console=ttyS0" -nographic
The options are spelled as QEMU's. While a guest runs, Ctrl-A x quits and Ctrl-A h helps.
)";
}

std::string run_help_text() {
  std::string text = "ringshift run [options]\n\n";
  for (const auto& row : run_option_rows()) {
    if (row.help.empty()) continue;
    auto left = fmt::format("  -{} {}", row.name, row.argument);
    std::string help(row.help);
    const std::string indent = "\n" + std::string(28, ' ');
    for (std::size_t at = 0; (at = help.find('\n', at)) != std::string::npos; at += indent.size())
      help.replace(at, 1, indent);
    if (left.size() > 27) left += "\n" + std::string(27, ' ');
    text += fmt::format("{:<27} {}\n", left, help);
  }
  return text +
         "\nA double dash works as well. Accepted because they ask for what is so anyway:\n"
         "  -vnc none -net none -parallel none\n"
         "  -no-user-config -name TEXT\n"
         "Exit status: 0 after power-off (and after a reset with -no-reboot), (v << 1) | 1 from\n"
         "isa-debug-exit, 1 for an error, 128 + N after signal N.\n";
}

const OptionRow* find_row(std::string_view name) {
  const auto rows = run_option_rows();
  const auto row =
      std::find_if(rows.begin(), rows.end(), [&](const OptionRow& r) { return r.name == name; });
  return row == rows.end() ? nullptr : &*row;
}

// QEMU's options have one dash and long names, which no getopt-like parser takes: gives every
// option two dashes, and checks that it exists and has its argument.
tl::expected<Words, std::string> normalize(const Words& arguments) {
  Words result;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const auto& word = arguments[i];
    if (word.size() < 2 || word[0] != '-')
      return tl::unexpected(fmt::format(
          "'{}': not an option (disk images need -drive, which is not supported yet)", word));
    const auto name = word.substr(word[1] == '-' ? 2 : 1);
    const auto* row = find_row(name);
    if (!row) {
      return tl::unexpected(fmt::format(
          "{}: {}", word, is_known_elsewhere(name) ? "not supported yet" : "unknown option"));
    }
    result.push_back("--" + name);
    if (row->argument.empty()) continue;
    if (++i == arguments.size())
      return tl::unexpected(fmt::format("-{}: needs an argument ({})", name, row->argument));
    result.push_back(arguments[i]);
  }
  return result;
}

struct Given {
  const OptionRow* row;
  Words values;
};

tl::expected<std::vector<Given>, std::string> lex(const Words& arguments) {
  auto normalized = normalize(arguments);
  if (!normalized) return tl::unexpected(normalized.error());
  CLI::App app;
  app.set_help_flag();
  std::vector<Given> given;
  std::vector<std::pair<const OptionRow*, CLI::Option*>> options;
  for (const auto& row : run_option_rows()) {
    const auto name = fmt::format("--{}", row.name);
    auto* option = row.argument.empty() ? app.add_flag(name) : app.add_option(name);
    if (!row.argument.empty())
      option->expected(1)->allow_extra_args(false)->multi_option_policy(
          CLI::MultiOptionPolicy::TakeAll);
    options.emplace_back(&row, option);
  }
  std::reverse(normalized->begin(), normalized->end());
  try {
    app.parse(*normalized);
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(std::string(error.what()));
  }
  for (const auto& [row, option] : options) {
    if (option->count() > 0) given.push_back({row, option->results()});
  }
  return given;
}

// QEMU's rules, except that without a display the default console is this terminal.
void settle_defaults(RunDraft& draft) {
  auto& serial = draft.options.serial;
  if (serial.empty() && !draft.no_defaults) {
    const auto on_terminal = [](const BackendSpec& spec) { return spec.uses_stdio(); };
    const bool monitor_has_it = std::ranges::any_of(draft.options.monitors, on_terminal) ||
                                std::ranges::any_of(draft.options.qmp, on_terminal);
    const bool terminal = !monitor_has_it && (draft.nographic || !draft.display_none);
    serial.push_back({.kind = terminal ? BackendSpec::Kind::kStdio : BackendSpec::Kind::kNull,
                      .escape_keys = terminal});
  }
  // -nographic adds the Ctrl-A keys to a plain stdio as well.
  if (draft.nographic) {
    for (auto& spec : serial) spec.escape_keys |= spec.uses_stdio();
  }
}

tl::expected<void, std::string> check_stdio_users(const RunOptions& options) {
  auto users = std::count_if(options.serial.begin(), options.serial.end(),
                             [](const BackendSpec& spec) { return spec.uses_stdio(); });
  if (options.debug_console && options.debug_console->uses_stdio()) ++users;
  for (const auto* list : {&options.monitors, &options.qmp})
    users += std::ranges::count_if(*list, [](const BackendSpec& spec) { return spec.uses_stdio(); });
  if (users > 1) return tl::unexpected(std::string("-serial: two devices cannot share stdio"));
  return {};
}

}  // namespace

std::string version_text() { return fmt::format("ringshift {}\n", kVersion); }

tl::expected<RunOptions, std::string> parse_run_options(const Words& arguments) {
  const auto given = lex(arguments);
  if (!given) return tl::unexpected(given.error());
  RunDraft draft;
  for (const auto& [row, values] : *given) {
    for (const auto& value : values) {
      if (auto applied = row->apply(draft, value); !applied) {
        const auto shown = row->argument.empty() ? "" : " " + value;
        return tl::unexpected(fmt::format("-{}{}: {}", row->name, shown, applied.error()));
      }
    }
  }
  settle_defaults(draft);
  if (auto checked = check_nics(draft.options); !checked) return tl::unexpected(checked.error());
  if (auto settled = settle_drives(draft.options); !settled)
    return tl::unexpected(settled.error());
  if (auto checked = check_stdio_users(draft.options); !checked)
    return tl::unexpected(checked.error());
  if (draft.options.kernel.empty()) {
    if (!draft.options.initrd.empty()) return tl::unexpected(std::string("-initrd: needs -kernel"));
    if (!draft.options.append.empty()) return tl::unexpected(std::string("-append: needs -kernel"));
  }
  return draft.options;
}

tl::expected<Command, std::string> parse_command_line(const Words& arguments) {
  const auto is_help = [](const std::string& word) {
    return word == "--help" || word == "-help" || word == "-h";
  };
  if (arguments.empty() || is_help(arguments[0]) || arguments[0] == "help")
    return TextAnswer{help_text()};
  const auto& verb = arguments[0];
  const Words rest(arguments.begin() + 1, arguments.end());
  if (verb == "--version" || verb == "-version") return TextAnswer{version_text()};
  if (verb == "run") {
    if (!rest.empty() && is_help(rest[0])) return TextAnswer{run_help_text()};
    auto options = parse_run_options(rest);
    if (!options) return tl::unexpected(options.error());
    return *options;
  }
  if (verb == "probe") {
    if (rest.empty()) return ProbeOptions{};
    if (rest.size() == 1 && (rest[0] == "--json" || rest[0] == "-json"))
      return ProbeOptions{.json = true};
    if (is_help(rest[0])) return TextAnswer{help_text()};
    return tl::unexpected(fmt::format("probe: {}: unknown option", rest[0]));
  }
  if (verb == "compare") {
    if (!rest.empty() && is_help(rest[0])) return TextAnswer{compare_help_text()};
    auto options = parse_compare_options(rest);
    if (!options) return tl::unexpected(options.error());
    return *options;
  }
  return tl::unexpected(
      fmt::format("'{}': verbs are run, probe, compare, profile and top (ringshift --help)", verb));
}

}  // namespace ringshift::runtime
