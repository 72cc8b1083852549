// tests/differential/main.cc - compares translated code with the processor, on random sequences.
//
// One command runs millions (up to 14000 a second on one core):
//   build/differential --bits 64 --count 5000000 --seed $RANDOM
//   build/differential --bits 32 --count 5000000 --seed $RANDOM
// A difference is printed with a case that `--one CASE` runs again. Options: see --help.
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>

#include "tests/differential/fixed_cases.h"
#include "tests/differential/session.h"

namespace ringshift::differential {
namespace {

// Shared by the worker that runs cases and the parent, which outlives a crash of the engine.
struct Progress {
  std::uint64_t next = 0, failed = 0, known = 0, faults = 0;
  char now[8192] = {};
};

int run_worker(const Settings& settings, const std::string& one, std::uint64_t max_failures,
               Progress& progress) {
  const itimerval every_second = {{1, 0}, {1, 0}};
  Session session(settings);
  setitimer(ITIMER_REAL, &every_second, nullptr);
  if (settings.verbose) fmt::print("{}\n", session.catalogue_text());
  auto check = [&](const Case& c) {
    const std::string text = c.text();
    std::snprintf(progress.now, sizeof progress.now, "%s", text.c_str());
    const std::string difference = session.check(c);
    if (difference.empty()) return;
    ++progress.failed;
    fmt::print("DIFFERENCE in sequence {}: {}\n", progress.next - 1, difference);
    std::fflush(stdout);
  };
  if (!one.empty()) {
    const auto c = Case::parse(one);
    if (!c) return 2;
    check(*c);
    return 0;
  }
  if (progress.next == settings.first)
    for (const char* text : fixed_cases())
      if (const auto c = Case::parse(text); c && bits_of(c->mode) == settings.bits) check(*c);
  const std::uint64_t end = settings.first + settings.count;
  const std::uint64_t known = progress.known, faults = progress.faults;  // of earlier workers
  while (progress.next < end && progress.failed < max_failures) {
    const Case c = session.draw(progress.next++);
    check(c);
    progress.faults = faults + session.faults();
    progress.known = known + session.known();
  }
  return 0;
}

int run(const Settings& settings, const std::string& one, std::uint64_t max_failures) {
  auto* progress = new (mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Progress;
  progress->next = settings.first;
  const auto begin = std::chrono::steady_clock::now();
  for (;;) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      const int result = run_worker(settings, one, max_failures, *progress);
      std::fflush(nullptr);
      _exit(result);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NativeCpu::kEndless) continue;
    if (WIFEXITED(status)) {
      if (WEXITSTATUS(status) != 0) return WEXITSTATUS(status);
      break;
    }
    ++progress->failed;
    fmt::print("DIFFERENCE in sequence {}: --one {}\n  the engine {} (signal {})\n",
               progress->next - 1, progress->now, WTERMSIG(status) == SIGALRM ? "hangs" : "crashes",
               WTERMSIG(status));
    if (!one.empty() || progress->failed >= max_failures) break;
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const std::uint64_t done = one.empty() ? progress->next - settings.first : 1;
  fmt::print(
      "{} sequences of {}-bit code in {:.1f} s ({:.0f} a second), {} differ, {} in known "
      "ways, {} end in a fault\n",
      done, settings.bits, seconds, static_cast<double>(done) / seconds, progress->failed,
      progress->known, progress->faults);
  return progress->failed ? 1 : 0;
}

}  // namespace
}  // namespace ringshift::differential

int main(int argc, char** argv) {
  using namespace ringshift::differential;
  Settings settings;
  settings.engine.cache_bytes = 32u << 20;
  std::string one;
  bool no_chain = false, all_hot = false, windows = false;
  std::uint64_t max_failures = 10;
  CLI::App app("Random user-mode sequences, natively and under translation");
  app.add_option("--bits", settings.bits, "64 or 32")->check(CLI::IsMember({64, 32}));
  app.add_option("--count", settings.count, "sequences to run");
  app.add_option("--seed", settings.seed, "of all random numbers");
  app.add_option("--first", settings.first, "number of the first sequence");
  app.add_option("--isa", settings.isa, "only instruction sets whose names contain one of these")
      ->delimiter(',');
  app.add_option("--length", settings.length, "most instructions in a sequence")
      ->check(CLI::Range(1, 64));
  app.add_option("--block", settings.engine.max_block_instructions, "most instructions in a block")
      ->check(CLI::Range(1, 64));
  app.add_flag("--hot", all_hot, "every block is translated for speed");
  app.add_flag("--windows", windows, "hot code accesses memory through windows");
  app.add_flag("--nochain", no_chain, "no links between blocks");
  app.add_option("--one", one, "run this case only, and list the code made for it");
  app.add_flag("--minimize,!--nominimize", settings.minimize, "reduce cases that differ");
  app.add_option("--failures", max_failures, "stop after so many");
  app.add_flag("--verbose", settings.verbose, "list the code made for each case that differs");
  CLI11_PARSE(app, argc, argv);
  settings.engine.chain = !no_chain;
  settings.engine.memory = windows ? ringshift::runtime::BtOptions::Memory::kWindows
                                   : ringshift::runtime::BtOptions::Memory::kTlb;
  if (all_hot || windows) settings.engine.tier = ringshift::runtime::BtOptions::Tier::kSecond;
  if (!one.empty()) {
    settings.verbose = true;
    settings.bits = one.rfind("64:", 0) == 0 ? 64 : 32;
  }
  return run(settings, one, max_failures);
}
