// bench/mechanisms/paging.cc - what a page walk, a software TLB hit and a miss cost.
#include <benchmark/benchmark.h>

#include "bench/mechanisms/guest_memory.h"
#include "softmmu/page_walk.h"

namespace ringshift::bench {
namespace {

using softmmu::Access;
using softmmu::AccessKind;

// Steps over pages so that neighbours share no cache line of the page table.
constexpr std::uint64_t next_page(std::uint64_t linear) {
  return (linear + 9 * guest::kPageBytes) % kMappedBytes;
}

void page_walk(benchmark::State& run) {
  GuestMemory guest;
  const softmmu::PagingFeatures features = softmmu::PagingFeatures::of(guest.model());
  std::uint64_t linear = 0;
  for (auto _ : run) {
    auto t = softmmu::walk(guest.memory(), guest.state(), features, {linear}, {AccessKind::kRead});
    if (!t || t->address.value != linear) return run.SkipWithError("wrong translation");
    linear = next_page(linear);
  }
}
BENCHMARK(page_walk);

void page_walk_fault(benchmark::State& run) {
  GuestMemory guest;
  const softmmu::PagingFeatures features = softmmu::PagingFeatures::of(guest.model());
  for (auto _ : run) {
    auto t = softmmu::walk(guest.memory(), guest.state(), features, {kMappedBytes + 0x200000},
                           {AccessKind::kRead});
    if (t) return run.SkipWithError("no fault");
  }
}
BENCHMARK(page_walk_fault);

// What C++ call-outs pay; translated code has the compare inline.
void tlb_hit(benchmark::State& run) {
  GuestMemory guest;
  const bool write = run.range(0) != 0;
  if (!guest.mmu().host_address({0x5000}, 8, write)) return run.SkipWithError("not mapped");
  for (auto _ : run) {
    auto& view = guest.mmu().current();
    benchmark::DoNotOptimize(write ? view.find_write({0x5008}) : view.find_read({0x5008}));
  }
}
BENCHMARK(tlb_hit)->ArgName("write")->Arg(0)->Arg(1);

// Walk and fill: every page is new to the table, whose entries two pages never share here.
void tlb_miss(benchmark::State& run) {
  GuestMemory guest;
  const bool write = run.range(0) != 0;
  std::uint64_t linear = 0;
  for (auto _ : run) {
    auto host = guest.mmu().host_address({linear}, 8, write);
    if (!host || *host == nullptr) return run.SkipWithError("not mapped");
    linear = (linear + guest::kPageBytes) % kMappedBytes;
    if (linear == 0) {
      run.PauseTiming();
      guest.mmu().flush_all(false);
      run.ResumeTiming();
    }
  }
}
BENCHMARK(tlb_miss)->ArgName("write")->Arg(0)->Arg(1);

void slow_path_read(benchmark::State& run) {
  GuestMemory guest;
  for (auto _ : run) {
    auto v = guest.mmu().load<std::uint64_t>({0x5008}, Access{AccessKind::kRead});
    if (!v) return run.SkipWithError("fault");
    benchmark::DoNotOptimize(*v);
  }
}
BENCHMARK(slow_path_read);

// A flush costs what was filled since the last one.
void flush(benchmark::State& run) {
  GuestMemory guest;
  for (auto _ : run) {
    run.PauseTiming();
    for (std::int64_t i = 0; i < run.range(0); ++i)
      if (!guest.mmu().host_address({i * guest::kPageBytes}, 8, false))
        return run.SkipWithError("not mapped");
    run.ResumeTiming();
    guest.mmu().flush_all(false);
  }
}
BENCHMARK(flush)->ArgName("pages")->Arg(16)->Arg(256)->Arg(4096)->Iterations(2000);

void flush_page(benchmark::State& run) {
  GuestMemory guest;
  for (auto _ : run) guest.mmu().flush_page({0x5000});
}
BENCHMARK(flush_page);

}  // namespace
}  // namespace ringshift::bench
