// runtime/run_option_rows.h - the table of `ringshift run`'s options: one row says all about one.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "runtime/options.h"

namespace ringshift::runtime {

// What the rows fill in before the defaults that depend on several options are settled.
struct RunDraft {
  RunOptions options;
  bool nographic = false, display_none = false, no_defaults = false;
};

using OptionStatus = tl::expected<void, std::string>;

struct OptionRow {
  std::string_view name;      // without the dash
  std::string_view argument;  // what to call it in the help; empty: a switch
  std::string_view help;      // empty: accepted, since it asks for what is the case anyway
  OptionStatus (*apply)(RunDraft& draft, const std::string& value);
};

std::span<const OptionRow> run_option_rows();
// Options of QEMU that this program knows of and does not have; for a better message.
bool is_known_elsewhere(std::string_view name);

}  // namespace ringshift::runtime
