// runtime/profile/profile_options.h - the command lines of `ringshift profile` and `top` as data.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "runtime/options.h"
#include "runtime/profile/recorder.h"
#include "translator/disassembly.h"

namespace ringshift::runtime::profile {

struct NameOptions {
  translator::Syntax syntax = translator::Syntax::kIntel;
  std::string symfs, symbols;  // empty: none
};
// Files to write; empty: none.
struct ReportFiles {
  std::string html, json, folded;
  bool any() const { return !html.empty() || !json.empty() || !folded.empty(); }
};

struct ProfiledRun {
  RunOptions run;
  RecordOptions record;
  NameOptions names;
  ReportFiles files;
};
struct AttachOptions {
  std::string socket;
  RecordOptions record;
  NameOptions names;
};
struct RecordCommand {
  AttachOptions attach;
  double seconds = 10;
  std::string file;
};
struct ReportCommand {
  std::string file;
  ReportFiles files;
  std::string syntax;  // empty: as in the file
};
struct DiffCommand {
  std::string before, after;
};
struct TopCommand {
  AttachOptions attach;
  double interval = 1;
  unsigned times = 0;  // 0: until q
};
using ProfileCommand =
    std::variant<ProfiledRun, RecordCommand, ReportCommand, DiffCommand, TopCommand, TextAnswer>;

// The words behind `ringshift`; the first is `profile` or `top`. The error is one line.
tl::expected<ProfileCommand, std::string> parse_profile_command(
    const std::vector<std::string>& words);

}  // namespace ringshift::runtime::profile
