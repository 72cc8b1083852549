// runtime/profile/profile_options.cc - the command lines of `ringshift profile` and `top`.
#include "runtime/profile/profile_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

namespace ringshift::runtime::profile {
namespace {

using Words = std::vector<std::string>;

constexpr std::string_view kHelp = R"(Where a guest's time goes, in the guest's own words.

  ringshift profile [options] -- <options of ringshift run>
      runs a guest; what was found comes on standard output when it has ended
  ringshift profile record --socket PATH -o FILE [--seconds N] [options]
      records a guest that was started with `ringshift run -profile-socket PATH`
  ringshift profile report FILE [--html F] [--json F] [--folded F] [--syntax S]
  ringshift profile diff BEFORE AFTER
  ringshift top --socket PATH [--interval SECONDS] [-n TIMES]     live; q quits

options
  --html FILE       one page that needs nothing else: summary, flame graph, blocks, cache, time
  --json FILE       everything, for programs (docs/profile.md)
  --folded FILE     stacks for other flame-graph tools
  --hz N            samples a second (default 1000)
  --exact           count the runs of every block
  --syntax S        intel (default) or att
  --symfs DIR       ELF files of the guest's programs, for the names of their functions
  --symbols FILE    the guest's kernel or program: ELF, or System.map; Linux brings its own
)";

// Help is one text for all of them.
struct Parser : CLI::App {
  Parser() { set_help_flag(); }
};

std::optional<std::string> parse(CLI::App& app, Words words) {
  std::reverse(words.begin(), words.end());
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    return fmt::format("profile: {}", error.what());
  }
  return std::nullopt;
}

void add_record(CLI::App& app, RecordOptions& record) {
  app.add_option("--hz", record.hz)->check(CLI::Range(1u, kMostHz));
  app.add_flag("--exact", record.exact);
}

void add_syntax(CLI::App& app, translator::Syntax& syntax) {
  app.add_option_function<std::string>("--syntax",
                                       [&syntax](const std::string& name) {
                                         syntax = name == "att" ? translator::Syntax::kAtt
                                                                : translator::Syntax::kIntel;
                                       })
      ->check(CLI::IsMember({"intel", "att"}));
}

void add_names(CLI::App& app, NameOptions& names) {
  add_syntax(app, names.syntax);
  app.add_option("--symfs", names.symfs)->check(CLI::ExistingDirectory);
  app.add_option("--symbols", names.symbols)->check(CLI::ExistingFile);
}

void add_files(CLI::App& app, ReportFiles& files) {
  app.add_option("--html", files.html);
  app.add_option("--json", files.json);
  app.add_option("--folded", files.folded);
}

void add_attach(CLI::App& app, AttachOptions& attach) {
  app.add_option("--socket", attach.socket)->required();
  add_record(app, attach.record);
  add_names(app, attach.names);
}

using Parsed = tl::expected<ProfileCommand, std::string>;

Parsed parse_record(const Words& words) {
  RecordCommand command;
  Parser app;
  add_attach(app, command.attach);
  app.add_option("--seconds", command.seconds)->check(CLI::Range(0.1, 86400.0));
  app.add_option("-o,--output", command.file)->required();
  if (auto problem = parse(app, words)) return tl::unexpected(*problem);
  return command;
}

Parsed parse_report(const Words& words) {
  ReportCommand command;
  Parser app;
  app.add_option("file", command.file)->required();
  add_files(app, command.files);
  app.add_option("--syntax", command.syntax)->check(CLI::IsMember({"intel", "att"}));
  if (auto problem = parse(app, words)) return tl::unexpected(*problem);
  return command;
}

Parsed parse_diff(const Words& words) {
  DiffCommand command;
  Parser app;
  app.add_option("before", command.before)->required();
  app.add_option("after", command.after)->required();
  if (auto problem = parse(app, words)) return tl::unexpected(*problem);
  return command;
}

Parsed parse_top(const Words& words) {
  TopCommand command;
  Parser app;
  add_attach(app, command.attach);
  app.add_option("--interval", command.interval)->check(CLI::Range(0.1, 3600.0));
  app.add_option("-n", command.times);
  if (auto problem = parse(app, words)) return tl::unexpected(*problem);
  return command;
}

// All before `--` is the profile's, all behind it the guest's.
Parsed parse_run(const Words& words) {
  ProfiledRun command;
  const auto border = std::find(words.begin(), words.end(), "--");
  if (border == words.end())
    return tl::unexpected(
        std::string("profile: -- and the options of `ringshift run` are missing"));
  Parser app;
  add_record(app, command.record);
  add_names(app, command.names);
  add_files(app, command.files);
  if (auto problem = parse(app, Words(words.begin(), border))) return tl::unexpected(*problem);
  auto run = parse_run_options(Words(border + 1, words.end()));
  if (!run) return tl::unexpected(run.error());
  command.run = std::move(*run);
  return command;
}

}  // namespace

tl::expected<ProfileCommand, std::string> parse_profile_command(const Words& words) {
  const Words rest(words.begin() + 1, words.end());
  const auto border = std::find(rest.begin(), rest.end(), "--");
  for (const char* help : {"--help", "-help", "-h"})
    if (std::find(rest.begin(), border, help) != border) return TextAnswer{std::string(kHelp)};
  if (words[0] == "top") return parse_top(rest);
  if (rest.empty()) return TextAnswer{std::string(kHelp)};
  const Words behind(rest.begin() + 1, rest.end());
  if (rest[0] == "record") return parse_record(behind);
  if (rest[0] == "report") return parse_report(behind);
  if (rest[0] == "diff") return parse_diff(behind);
  if (rest[0] == "top") return parse_top(behind);
  return parse_run(rest);
}

}  // namespace ringshift::runtime::profile
