// runtime/profile/perf_watcher.cc - tells the host's perf what translated code is.
#include "runtime/profile/perf_watcher.h"

#include <fmt/format.h>
#include <unistd.h>

#include <vector>

#include "runtime/bt/translating_vcpu.h"
#include "runtime/machine.h"
#include "runtime/profile/guest_kernel.h"
#include "runtime/profile/perf_files.h"
#include "runtime/profile/thunk_names.h"
#include "translator/mode_key.h"

namespace ringshift::runtime::profile {
namespace {

class PerfWatcher final : public RunWatcher, private BlockObserver {
 public:
  PerfWatcher(bool map, bool jit_dump) : wants_map_(map), wants_dump_(jit_dump) {}

  tl::expected<void, std::string> before_run(Machine& machine) override {
    translating_ = machine.vcpu().translating();
    if (!translating_)
      return tl::unexpected(std::string("-perfmap, -jitdump: this accelerator does not translate"));
    if (auto opened = open(); !opened) return opened;
    memory_ = &machine.memory();
    features_ = softmmu::PagingFeatures::of(translating_->parts().model);
    name_thunks();
    translating_->add_observer(*this);
    return {};
  }
  void after_run(Machine&) override {
    translating_->remove_observer(*this);
    files_.clear();
  }

 private:
  tl::expected<void, std::string> open() {
    if (wants_map_) {
      auto file = open_perf_map(fmt::format("/tmp/perf-{}.map", ::getpid()));
      if (!file) return tl::unexpected(file.error());
      files_.push_back(std::move(*file));
    }
    if (wants_dump_) {
      auto file = open_jit_dump(fmt::format("jit-{}.dump", ::getpid()));
      if (!file) return tl::unexpected(file.error());
      files_.push_back(std::move(*file));
    }
    return {};
  }

  void name_thunks() {
    const auto thunks = thunk_names(translating_->parts().thunks);
    for (auto at = thunks.begin(); at != thunks.end(); ++at) {
      const auto after = std::next(at);
      constexpr std::uint64_t kLast = 64;
      const std::uint64_t end = after == thunks.end() ? at->first + kLast : after->first;
      add(at->first, end - at->first, "thunk:" + at->second);
    }
  }

  void add(std::uint64_t address, std::uint64_t bytes, const std::string& name) {
    const NewCode code{address, {reinterpret_cast<const std::uint8_t*>(address), bytes}, name};
    for (const auto& file : files_) file->add(code);
  }

  // BlockObserver
  void translated(const codecache::Block& block, guest::LinearAddress linear,
                  std::span<const std::uint8_t>) override {
    const translator::ModeKey mode(block.key.mode);
    // Names come as soon as the guest's kernel is in its place; what ran before that has none.
    if (mode.cpl() != 3)
      kernel_.note(*memory_, translating_->parts().frame.state, features_, linear.value,
                   mode.code_bytes());
    const std::string name = name_of(linear.value, mode);
    add(reinterpret_cast<std::uint64_t>(block.host), block.code_bytes, name);
    if (++added_ % kFlushEvery == 0)
      for (const auto& file : files_) file->flush();
  }
  void removed(const codecache::Block&, codecache::Removal) override {}
  void before_flush() override {}
  void look() override {}

  std::string name_of(std::uint64_t linear, translator::ModeKey mode) const {
    if (kernel_.kernel() && mode.cpl() != 3)
      if (const Symbol* symbol = kernel_.kernel()->symbols().function_at(linear))
        return symbol->name;
    return fmt::format("guest:{}:{:#x}", mode.cpl() == 3 ? "user" : "kernel", linear);
  }

  static constexpr std::uint64_t kFlushEvery = 256;
  const bool wants_map_, wants_dump_;
  TranslatingVcpu* translating_ = nullptr;
  guest::PhysicalMemory* memory_ = nullptr;
  softmmu::PagingFeatures features_;
  std::vector<std::unique_ptr<PerfFile>> files_;
  KernelSearch kernel_;
  std::uint64_t added_ = 0;
};

}  // namespace

std::unique_ptr<RunWatcher> watch_for_perf(bool map, bool jit_dump) {
  return std::make_unique<PerfWatcher>(map, jit_dump);
}

}  // namespace ringshift::runtime::profile
