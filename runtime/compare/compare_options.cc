// runtime/compare/compare_options.cc - the command line of `ringshift compare`.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "runtime/compare/compare.h"

namespace ringshift::runtime {

std::string compare_help_text() {
  return R"(ringshift compare [options]     what each way to run a guest costs on this host

Runs a small built-in guest under every engine that works here (translation in several settings,
KVM, QEMU if it is installed; work of ring 3 natively too) and prints medians side by side, with
the spread of the repeats. No download is needed.

  --repeat N             runs of each engine (default 3)
  --engines A,B          only these
  --json                 everything as JSON (docs/compare.md says what is in it)
  --html FILE            a page with charts as well, for any browser
  --kernel FILE          your own guest too, timed from its start to its power-off
  --initrd FILE  --append TEXT  --memory MIB     for it
  --limit SECONDS        for one run of it (default 120)
)";
}

tl::expected<CompareOptions, std::string> parse_compare_options(
    const std::vector<std::string>& arguments) {
  CompareOptions options;
  CLI::App app;
  app.set_help_flag();
  std::int64_t limit = options.limit.count();
  app.add_flag("--json", options.json);
  app.add_option("--html", options.html);
  app.add_option("--repeat", options.repeats)->check(CLI::Range(1, 1000));
  app.add_option("--engines", options.engines)->delimiter(',');
  app.add_option("--kernel", options.kernel);
  app.add_option("--initrd", options.initrd);
  app.add_option("--append", options.append);
  app.add_option("--memory", options.memory);
  app.add_option("--limit", limit)->check(CLI::Range(1, 86400));
  std::vector<std::string> words(arguments.rbegin(), arguments.rend());
  for (auto& word : words)  // a single dash as well, as elsewhere
    if (word.size() > 2 && word[0] == '-' && word[1] != '-') word.insert(0, "-");
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(fmt::format("compare: {}", error.what()));
  }
  if (options.kernel.empty() && !(options.initrd + options.append).empty())
    return tl::unexpected(std::string("compare: --initrd and --append need --kernel"));
  options.limit = std::chrono::seconds(limit);
  return options;
}

}  // namespace ringshift::runtime
