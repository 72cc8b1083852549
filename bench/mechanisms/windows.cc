// bench/mechanisms/windows.cc - what covering pages with host-MMU windows costs, and dropping them.
#include "shadowpt/windows.h"

#include <benchmark/benchmark.h>

#include <memory>

#include "bench/mechanisms/guest_memory.h"

namespace ringshift::bench {
namespace {

using guest::kPageBytes;

// Pages lie one to one, so that neighbours are a run.
class WindowedMemory : public GuestMemory {
 public:
  WindowedMemory() {
    state().segment(guest::Seg::kCs).attributes = 0xa09b;  // 64-bit code
    shadowpt::WindowOptions options;
    // A clock that gives credit for everything.
    options.clock = [] { return time_ += 1u << 30; };
    windows_ = std::make_unique<shadowpt::Windows>(mmu(), options);
  }
  shadowpt::Windows& windows() { return *windows_; }
  bool cover(std::uint64_t linear) { return windows_->cover(mmu().current(), {linear}, true); }
  // Frames in an order in which no page continues another.
  void scatter(std::uint64_t pages) {
    for (std::uint64_t page = 0; page < pages; ++page)
      memory().write({kTables + (3 + page / 512) * kPageBytes + page % 512 * 8}, 8,
                     (page ^ 1) * kPageBytes | 0x67);
  }

 private:
  static inline thread_local std::uint64_t time_ = 0;
  std::unique_ptr<shadowpt::Windows> windows_;
};

void window_covered(benchmark::State& run) {
  WindowedMemory guest;
  guest.cover(0x5000);
  for (auto _ : run)
    if (!guest.cover(0x5000)) return run.SkipWithError("not covered");
}
BENCHMARK(window_covered);

void window_cover_one_page(benchmark::State& run) {
  WindowedMemory guest;
  guest.scatter(512);
  std::uint64_t page = 0;
  for (auto _ : run) {
    if (!guest.cover(page * kPageBytes)) return run.SkipWithError("not covered");
    page = (page + 1) % 512;
    if (page == 0) {
      run.PauseTiming();
      guest.mmu().flush_all(false);
      run.ResumeTiming();
    }
  }
}
BENCHMARK(window_cover_one_page)->Iterations(20000);

void window_cover_run(benchmark::State& run) {
  WindowedMemory guest;
  for (auto _ : run) {
    if (!guest.cover(0x5000)) return run.SkipWithError("not covered");
    run.PauseTiming();
    guest.mmu().flush_all(false);
    run.ResumeTiming();
  }
  run.counters["pages"] = static_cast<double>(guest.windows().counters().pages) /
                          static_cast<double>(guest.windows().counters().maps);
}
BENCHMARK(window_cover_run)->Iterations(20000);

void window_flush(benchmark::State& run) {
  WindowedMemory guest;
  guest.scatter(4096);
  for (auto _ : run) {
    run.PauseTiming();
    for (std::int64_t i = 0; i < run.range(0); ++i)
      if (!guest.cover(i * kPageBytes)) return run.SkipWithError("not covered");
    run.ResumeTiming();
    guest.mmu().flush_all(true);
  }
}
BENCHMARK(window_flush)
    ->ArgName("pages")
    ->Arg(0)
    ->Arg(1)
    ->Arg(16)
    ->Arg(256)
    ->Arg(4096)
    ->Iterations(100);

void window_flush_page(benchmark::State& run) {
  WindowedMemory guest;
  for (auto _ : run) {
    run.PauseTiming();
    if (!guest.cover(0x5000)) return run.SkipWithError("not covered");
    run.ResumeTiming();
    guest.mmu().flush_page({0x5000});
  }
}
BENCHMARK(window_flush_page)->Iterations(20000);

// What a call costs that finds nothing mapped there.
void window_flush_other_page(benchmark::State& run) {
  WindowedMemory guest;
  guest.cover(0x5000);
  for (auto _ : run) guest.mmu().flush_page({kMappedBytes});
}
BENCHMARK(window_flush_other_page);

// A frame in the middle of a run becomes watched, and is written again when it no longer is.
void window_watch_page(benchmark::State& run) {
  WindowedMemory guest;
  guest.cover(0x5000);
  std::uint64_t page = 0;
  for (auto _ : run) {
    guest.memory().watch({page * kPageBytes}, true);
    guest.mmu().drop_writable({page * kPageBytes});
    guest.memory().watch({page * kPageBytes}, false);
    if (!guest.cover(page * kPageBytes)) return run.SkipWithError("not covered");
    page = (page + 3) % 512;
  }
}
BENCHMARK(window_watch_page)->Iterations(20000);

}  // namespace
}  // namespace ringshift::bench
