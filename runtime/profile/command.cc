// runtime/profile/command.cc - the verbs `profile` and `top`.
#include "runtime/profile/command.h"

#include <fmt/format.h>

#include <limits>

#include "runtime/loaders/host_file.h"
#include "runtime/machine.h"
#include "runtime/message.h"
#include "runtime/profile/block_listing.h"
#include "runtime/profile/control_client.h"
#include "runtime/profile/output_file.h"
#include "runtime/profile/profile_builder.h"
#include "runtime/profile/profile_json.h"
#include "runtime/profile/profile_options.h"
#include "runtime/profile/report.h"
#include "runtime/profile/top.h"
#include "runtime/run_guest.h"

namespace ringshift::runtime::profile {
namespace {

using Result = tl::expected<int, std::string>;

// Each file by itself: one that cannot be written costs the others nothing. True: all were.
bool write_files(const Profile& profile, const ReportFiles& files) {
  bool all = true;
  const auto write = [&](const std::string& path, auto text_of) {
    if (path.empty()) return;
    if (auto written = write_file(path, text_of(profile)); !written) {
      print_message("ringshift: {}", written.error());
      all = false;
    }
  };
  write(files.json, to_json);
  write(files.folded, folded_stacks);
  write(files.html, html_page);
  return all;
}

tl::expected<SymbolSources, std::string> read_sources(const NameOptions& names,
                                                      const std::string& kernel_file) {
  SymbolSources sources;
  if (!names.symfs.empty()) {
    auto programs = ProgramPages::read(names.symfs);
    if (!programs) return tl::unexpected(programs.error());
    sources.programs = std::make_shared<ProgramPages>(std::move(*programs));
  }
  if (!names.symbols.empty()) {
    auto table = read_symbol_file(names.symbols);
    if (!table) return tl::unexpected("--symbols " + table.error());
    sources.file = std::make_shared<SymbolTable>(std::move(*table));
  } else if (!kernel_file.empty()) {
    // A kernel that is an ELF file may bring its symbols along; if not, it has none.
    if (auto table = read_symbol_file(kernel_file))
      sources.file = std::make_shared<SymbolTable>(std::move(*table));
  }
  return sources;
}

class RunRecorder final : public RunWatcher {
 public:
  explicit RunRecorder(const RecordOptions& options) : options_(options) {}
  tl::expected<void, std::string> before_run(Machine& machine) override {
    auto recorder =
        Recorder::start(machine.vcpu(), options_, [&machine] { return machine.idle_ns(); });
    if (!recorder) return tl::unexpected(recorder.error());
    recorder_ = std::move(*recorder);
    return {};
  }
  void after_run(Machine&) override {
    recording_ = recorder_->take();
    recorder_.reset();
  }
  const Recording& recording() const { return recording_; }

 private:
  const RecordOptions options_;
  std::unique_ptr<Recorder> recorder_;
  Recording recording_;
};

Result run(const ProfiledRun& command) {
  auto sources = read_sources(command.names, command.run.kernel);
  if (!sources) return tl::unexpected(sources.error());
  RunRecorder recorder(command.record);
  const auto status = run_guest(command.run, &recorder);
  if (!status) return status;
  sources->kernel = recorder.recording().kernel;
  const Profile profile =
      build_profile(recorder.recording(), *sources, {.syntax = command.names.syntax});
  const bool all = write_files(profile, command.files);
  if (auto said = write_standard_output("\n" + text_report(profile)); !said)
    return tl::unexpected(said.error());
  return all ? *status : 1;
}

tl::expected<Profile, std::string> read_profile(const std::string& path) {
  const auto bytes = read_host_file(path, std::numeric_limits<std::uint64_t>::max());
  if (!bytes) return tl::unexpected(bytes.error());
  auto profile = from_json({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  if (!profile) return tl::unexpected(fmt::format("{}: {}", path, profile.error()));
  return profile;
}

Result run(const RecordCommand& command) {
  auto client = ControlClient::connect(command.attach.socket);
  if (!client) return tl::unexpected(client.error());
  if (auto started = client->start(command.attach); !started)
    return tl::unexpected(started.error());
  const bool complete =
      client->wait(std::chrono::milliseconds(static_cast<std::int64_t>(command.seconds * 1000)));
  const auto text = client->read(true, true);
  if (!text) return tl::unexpected(text.error());
  if (auto written = write_file(command.file, *text + "\n"); !written)
    return tl::unexpected(written.error());
  if (!complete)
    return tl::unexpected(fmt::format(
        "the guest ended during the recording; {} has what was seen until then", command.file));
  return 0;
}

Result run(const ReportCommand& command) {
  auto profile = read_profile(command.file);
  if (!profile) return tl::unexpected(profile.error());
  if (!command.syntax.empty() && command.syntax != profile->run.syntax)
    list_blocks(*profile,
                command.syntax == "att" ? translator::Syntax::kAtt : translator::Syntax::kIntel);
  if (!write_files(*profile, command.files)) return 1;
  if (command.files.any()) return 0;
  if (auto said = write_standard_output(text_report(*profile)); !said)
    return tl::unexpected(said.error());
  return 0;
}

Result run(const DiffCommand& command) {
  const auto before = read_profile(command.before);
  if (!before) return tl::unexpected(before.error());
  const auto after = read_profile(command.after);
  if (!after) return tl::unexpected(after.error());
  if (auto said = write_standard_output(text_difference(*before, *after)); !said)
    return tl::unexpected(said.error());
  return 0;
}

Result run(const TopCommand& command) { return run_top(command); }

Result run(const TextAnswer& answer) {
  if (auto said = write_standard_output(answer.text); !said) return tl::unexpected(said.error());
  return 0;
}

}  // namespace

bool is_profile_verb(const std::vector<std::string>& words) {
  return !words.empty() && (words[0] == "profile" || words[0] == "top");
}

tl::expected<int, std::string> run_command(const std::vector<std::string>& words) {
  const auto command = parse_profile_command(words);
  if (!command) return tl::unexpected(command.error());
  return std::visit([](const auto& options) { return run(options); }, *command);
}

}  // namespace ringshift::runtime::profile
