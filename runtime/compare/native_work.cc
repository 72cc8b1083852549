// runtime/compare/native_work.cc - the built-in guest's work of ring 3, timed as it times it.
#include "runtime/compare/native_work.h"

#include <fmt/format.h>
#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <string>

#include "runtime/builtin/guest/user_work.h"

namespace ringshift::runtime {
namespace {

constexpr std::uint64_t kBatchCycles = 1'000'000;

template <typename Run>
std::uint64_t cycles_of(Run&& run, std::uint64_t turns) {
  _mm_lfence();
  const std::uint64_t before = __rdtsc();
  run(turns);
  _mm_lfence();
  return __rdtsc() - before;
}

// In the guest's own words, so that one parser serves both.
template <typename Run>
std::string measure(std::string_view name, Run&& run, std::uint64_t per_turn = 1) {
  std::uint64_t turns = 1;
  while (cycles_of(run, turns) < kBatchCycles) turns *= 2;
  std::array<std::uint64_t, 9> batches;
  for (auto& cycles : batches) cycles = cycles_of(run, turns);
  std::ranges::sort(batches);
  return fmt::format("measure {} {}\n", name,
                     batches[batches.size() / 2] * 100 / (turns * per_turn));
}

}  // namespace

void measure_natively(std::vector<Values>& values) {
  std::vector<std::uint32_t> words(user_work::kWords);
  std::vector<user_work::Cell> cells(user_work::kCells);
  user_work::link_cells(cells.data());
  std::string lines = measure("registers", user_work::add_registers);
  lines += measure("call", user_work::call_and_return);
  lines += measure(
      "array", [&](std::uint64_t turns) { user_work::walk_array(words.data(), turns); },
      user_work::kWords);
  lines += measure("pointers",
                   [&](std::uint64_t turns) { user_work::chase_pointers(&cells[0].next, turns); });
  add_guest_lines(lines, values);
}

}  // namespace ringshift::runtime
