// bench/mechanisms/translation.cc - what making a block costs: decoding alone, and all of it. The
// guest code is this program's own, which is what compilers make.
#include <benchmark/benchmark.h>

#include "bench/mechanisms/guest_memory.h"
#include "translator/translator.h"

extern "C" const char etext[];  // the linker's: end of the code

namespace ringshift::bench {
namespace {

using translator::ModeKey;

constexpr std::uint64_t kCodeBytes = 256 << 10;

// The last part of the code, which is no start-up code. From a page's start.
std::span<const std::uint8_t> sample() {
  auto start = reinterpret_cast<std::uintptr_t>(etext) - 0x1000 - kCodeBytes;
  start &= ~guest::kPageOffsetMask;
  return {reinterpret_cast<const std::uint8_t*>(start), kCodeBytes};  // NOLINT: an address is one
}

ModeKey long_mode() {
  guest::CpuState state;
  enter_long_mode(state);
  constexpr std::uint16_t kFlatCode64 = 0xa09b;
  state.segment(guest::Seg::kCs) = {16, kFlatCode64, 0xffffffff, 0};
  return ModeKey::of(state, false);
}

void translate(benchmark::State& run) {
  auto arena = take(codecache::Arena::create(16 << 20));
  const auto model = take(guest::CpuModel::create("max"));
  const auto thunks = translator::emit_thunks(*arena, {}, __builtin_cpu_supports("bmi2"));
  translator::Translator translator(*arena, thunks, model);
  const auto code = sample();
  const ModeKey mode = long_mode();
  std::uint64_t at = 0, instructions = 0, host_bytes = 0, guest_bytes = 0;
  for (auto _ : run) {
    translator::TranslateRequest request;
    request.key = {at, mode.bits()};
    request.mode = mode;
    const std::uint64_t in_page = guest::kPageBytes - guest::page_offset(at);
    request.bytes = code.subspan(at, in_page);
    if (translator.translate(request) != translator::TranslateStatus::kOk) {
      at = (at + in_page) % kCodeBytes;  // an instruction that straddles: not for this
      continue;
    }
    instructions += translator.block().instructions;
    guest_bytes += translator.block().guest_bytes;
    host_bytes += translator.code().size();
    at = (at + translator.block().guest_bytes) % kCodeBytes;
  }
  run.SetItemsProcessed(static_cast<std::int64_t>(instructions));
  const auto per = [&](double value) {
    return benchmark::Counter(value /
                              static_cast<double>(std::max<std::uint64_t>(instructions, 1)));
  };
  run.counters["s/instruction"] = benchmark::Counter(
      static_cast<double>(instructions), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  run.counters["guest bytes/instruction"] = per(static_cast<double>(guest_bytes));
  run.counters["host bytes/instruction"] = per(static_cast<double>(host_bytes));
}
BENCHMARK(translate);

}  // namespace
}  // namespace ringshift::bench
