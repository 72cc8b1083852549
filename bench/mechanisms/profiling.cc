// bench/mechanisms/profiling.cc - what watching costs: the same guest code with nobody looking, and
// sampled 1000 and 10000 times a second; and what the slow paths pay to say what they are at.
#include <benchmark/benchmark.h>

#include "bench/mechanisms/running_guest.h"
#include "runtime/bt/activity.h"
#include "runtime/profile/recorder.h"

namespace ringshift::bench {
namespace {

using asmjit::x86::Assembler;
namespace r = asmjit::x86;
using runtime::profile::Recorder;

constexpr std::int64_t kTurns = 100'000;

template <typename Body>
void run_sampled(benchmark::State& run, Body&& body) {
  RunningGuest guest(std::forward<Body>(body));
  std::unique_ptr<Recorder> recorder;
  if (const auto hz = static_cast<unsigned>(run.range(0)); hz != 0) {
    auto started = Recorder::start(guest.vcpu(), {.hz = hz, .exact = run.range(1) != 0},
                                   [] { return std::int64_t{0}; });
    if (!started) return run.SkipWithError(started.error().c_str());
    recorder = std::move(*started);
  }
  while (run.KeepRunningBatch(kTurns))
    if (!guest.run(kTurns)) return run.SkipWithError("the guest went astray");
  if (recorder) run.counters["samples"] = static_cast<double>(recorder->take().samples);
}

// Arithmetic, memory, a call and its return: a turn is some tens of instructions.
void sampled_code(benchmark::State& run) {
  run_sampled(run, [](Assembler& a) {
    asmjit::Label function = a.newLabel(), behind = a.newLabel();
    for (int i = 0; i < 8; ++i) {
      a.add(r::rax, r::ptr(r::rbx, i * 8));
      a.imul(r::rdx, r::rax, 3);
      a.mov(r::ptr(r::rbx, i * 8 + 256), r::rdx);
    }
    a.call(function);
    a.jmp(behind);
    a.bind(function);
    a.xor_(r::rdx, r::rax);
    a.ret();
    a.bind(behind);
  });
}
BENCHMARK(sampled_code)
    ->ArgNames({"hz", "exact"})
    ->Args({0, 0})
    ->Args({1000, 0})
    ->Args({10000, 0})
    ->Args({1000, 1});

// Each turn leaves translated code.
void sampled_call_outs(benchmark::State& run) {
  run_sampled(run, [](Assembler& a) {
    a.mov(r::dx, 0x80);
    a.out(r::dx, r::al);
  });
}
BENCHMARK(sampled_call_outs)->ArgNames({"hz", "exact"})->Args({0, 0})->Args({1000, 0});

void activity_scope(benchmark::State& run) {
  runtime::ActivityWord word;
  for (auto _ : run) {
    const runtime::Doing doing(word, runtime::Activity::kCallOut, 3);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(activity_scope);

}  // namespace
}  // namespace ringshift::bench
