// runtime/compare/compare.cc - runs the guests and collects what they and the host say.
#include "runtime/compare/compare.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "guest/cpu_model_host.h"
#include "runtime/builtin/builtin_guest.h"
#include "runtime/compare/child.h"
#include "runtime/compare/engines.h"
#include "runtime/compare/native_work.h"
#include "runtime/kvm/file_descriptor.h"

namespace ringshift::runtime {
namespace {

using Error = tl::unexpected<std::string>;
constexpr std::chrono::seconds kBuiltinLimit{60};
constexpr const char* kLastLine = "measure interrupt ";  // that the built-in guest prints

// The built-in guest as a file that other programs can open while this object lives.
class BuiltinFile {
 public:
  static tl::expected<BuiltinFile, std::string> make() {
    BuiltinFile file(FileDescriptor(::memfd_create("built-in guest", 0)));
    const auto image = builtin_guest().kernel;
    const auto bytes = static_cast<ssize_t>(image.size());
    if (!file.file_.valid() || ::write(file.file_.get(), image.data(), image.size()) != bytes)
      return Error(fmt::format("the built-in guest's file: {}", std::strerror(errno)));
    return file;
  }
  std::string path() const { return fmt::format("/proc/{}/fd/{}", ::getpid(), file_.get()); }

 private:
  explicit BuiltinFile(FileDescriptor file) : file_(std::move(file)) {}
  FileDescriptor file_;
};

std::size_t index_of(std::string_view name) {
  const auto all = measurements();
  return static_cast<std::size_t>(std::ranges::find(all, name, &Measurement::name) - all.begin());
}

class Runner {
 public:
  Runner(const CompareOptions& options, std::string builtin)
      : options_(options), builtin_(std::move(builtin)) {}

  EngineResult measure(const Engine& engine) {
    EngineResult result{engine.name, engine.description,
                        fmt::format("{}", fmt::join(engine.command, " ")), engine.problem,
                        std::vector<Values>(measurements().size())};
    bool works = engine.problem.empty();
    for (unsigned i = 0; i < options_.repeats && works; ++i) {
      fmt::print(stderr, "{}: {} of {}\n", engine.name, i + 1, options_.repeats);
      if (engine.command.empty()) {
        measure_natively(result.values);
        continue;
      }
      works = run_builtin(engine, result);
      if (works && !options_.kernel.empty()) works = run_own(engine, result);
    }
    return result;
  }

 private:
  // False: there is no point in trying again.
  bool run_builtin(const Engine& engine, EngineResult& result) {
    const std::vector<std::string> guest{"-m",         "64",      "-nographic",
                                         "-no-reboot", "-kernel", builtin_};
    const auto measured = run(engine, guest, "measure", kBuiltinLimit, result);
    if (!measured) return false;
    add_guest_lines(measured->output, result.values);
    if (result.problem.empty() && measured->output.find(kLastLine) == std::string::npos)
      result.problem = "the built-in guest stopped before its last measurement";
    const auto started = run(engine, guest, "exit", kBuiltinLimit, result);
    if (!started || started->status != 0) return false;
    add(result, "start", started->seconds * 1000);
    add(result, "memory", static_cast<double>(started->peak_memory_kib));
    return true;
  }

  bool run_own(const Engine& engine, EngineResult& result) {
    std::vector<std::string> guest{"-m",         options_.memory, "-nographic",
                                   "-no-reboot", "-kernel",       options_.kernel};
    if (!options_.initrd.empty()) guest.insert(guest.end(), {"-initrd", options_.initrd});
    const auto ran = run(engine, guest, options_.append, options_.limit, result);
    if (!ran || ran->status != 0) return false;
    add(result, "boot", ran->seconds * 1000);
    return true;
  }

  static void add(EngineResult& result, std::string_view name, double value) {
    result.values[index_of(name)].of_repeats.push_back(value);
  }

  // Nothing: it did not start, or did not end.
  std::optional<ChildRun> run(const Engine& engine, const std::vector<std::string>& guest,
                              const std::string& append, std::chrono::seconds limit,
                              EngineResult& result) {
    std::vector<std::string> words = engine.command;
    words.insert(words.end(), guest.begin(), guest.end());
    if (!append.empty()) words.insert(words.end(), {"-append", append});
    auto ran = run_child(words, limit);
    if (!ran) {
      result.problem = ran.error();
      return std::nullopt;
    }
    if (ran->timed_out) {
      result.problem = fmt::format("not done after {} s ({})", limit.count(), append);
      return std::nullopt;
    }
    if (ran->status != 0)
      result.problem = fmt::format("ended with status {} ({})", ran->status, append);
    return *ran;
  }

  const CompareOptions& options_;
  std::string builtin_;
};

std::string own_program() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "ringshift" : path.string();
}

tl::expected<std::vector<Engine>, std::string> chosen_engines(const CompareOptions& options,
                                                              const HostReport& host) {
  auto all = engines_here(own_program(), host);
  if (options.engines.empty()) return all;
  std::vector<Engine> chosen;
  for (const auto& name : options.engines) {
    const auto found = std::ranges::find(all, name, &Engine::name);
    if (found == all.end()) {
      std::string known;
      for (const auto& engine : all) known += (known.empty() ? "" : ", ") + engine.name;
      return Error(fmt::format("--engines: unknown engine '{}' (known: {})", name, known));
    }
    chosen.push_back(*found);
  }
  return chosen;
}

}  // namespace

tl::expected<Comparison, std::string> compare(const CompareOptions& options) {
  const auto host = probe_host();
  const auto engines = chosen_engines(options, host);
  if (!engines) return Error(engines.error());
  const auto builtin = BuiltinFile::make();
  if (!builtin) return Error(builtin.error());
  Comparison comparison;
  comparison.processor = host.brand + (host.hypervisor ? " (virtual)" : "");
  comparison.kernel = host.kernel;
  comparison.host = host.kvm.empty() ? "/dev/kvm opens" : host.kvm;
  comparison.repeats = options.repeats;
  comparison.counter_mhz = static_cast<double>(guest::HostCpu().tsc_hz()) / 1e6;
  Runner runner(options, builtin->path());
  for (const auto& engine : *engines) comparison.engines.push_back(runner.measure(engine));
  return comparison;
}

tl::expected<int, std::string> run_compare(const CompareOptions& options) {
  const auto comparison = compare(options);
  if (!comparison) return Error(comparison.error());
  const std::string text = options.json ? to_json(*comparison) : to_text(*comparison);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    return Error(fmt::format("standard output: {}", std::strerror(errno)));
  if (options.html.empty()) return 0;
  std::ofstream page(options.html);
  page << to_html(*comparison);
  page.close();
  if (!page) return Error(fmt::format("{}: {}", options.html, std::strerror(errno)));
  return 0;
}

}  // namespace ringshift::runtime
