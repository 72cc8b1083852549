// bench/mechanisms/code_cache.cc - the cache's books: look-up, insertion, links, invalidation.
#include <benchmark/benchmark.h>

#include "bench/mechanisms/guest_memory.h"
#include "codecache/cache.h"

namespace ringshift::bench {
namespace {

using codecache::Block;
using codecache::BlockKey;

class NoListener final : public codecache::CacheListener {
 public:
  void before_change() override {}
  void block_removed(const Block&, codecache::Removal) override {}
  void all_removed() override {}
  void page_watched(guest::PhysicalAddress) override {}
};

// Blocks of 64 guest bytes each, with host code that is only counted.
class FilledCache {
 public:
  static constexpr std::uint64_t kBlockBytes = 64;

  explicit FilledCache(std::uint64_t blocks)
      : arena_(take(codecache::Arena::create(64 << 20))),
        memory_(take(guest::PhysicalMemory::create(kRamBytes))),
        cache_(*arena_, *memory_, listener_),
        count_(blocks) {
    fill();
  }

  void fill() {
    for (std::uint64_t i = 0; i < count_; ++i) add(i);
  }
  Block* add(std::uint64_t number) {
    constexpr std::uint32_t kField = 1, kStub = 8;
    Block block;
    block.key = key(number);
    block.guest_bytes = kBlockBytes;
    block.instructions = 16;
    codecache::Exit exit;
    exit.field_offset = kField;
    exit.stub_offset = kStub;
    block.exits.push_back(exit);
    return cache_.insert(std::move(block), code_);
  }
  static BlockKey key(std::uint64_t number) { return {0x10000 + number * kBlockBytes, 1}; }
  // Visits all, and neighbours not in turn.
  std::uint64_t next(std::uint64_t number) const { return (number + 7919) % count_; }
  codecache::Cache& cache() { return cache_; }
  bool full() const { return !cache_.has_room(4 * code_.size()); }

 private:
  NoListener listener_;
  std::unique_ptr<codecache::Arena> arena_;
  std::unique_ptr<guest::PhysicalMemory> memory_;
  codecache::Cache cache_;
  std::uint64_t count_;
  std::vector<std::uint8_t> code_ = std::vector<std::uint8_t>(200, 0xcc);
};

void block_lookup(benchmark::State& run) {
  FilledCache filled(run.range(0));
  std::uint64_t number = 0;
  for (auto _ : run) {
    const Block* block = filled.cache().find(FilledCache::key(number));
    if (!block) return run.SkipWithError("not found");
    number = filled.next(number);
  }
}
BENCHMARK(block_lookup)->ArgName("blocks")->Arg(1000)->Arg(100'000);

void block_of_host_address(benchmark::State& run) {
  FilledCache filled(run.range(0));
  const auto* first = filled.cache().find(FilledCache::key(0))->host;
  const auto* last = filled.cache().find(FilledCache::key(run.range(0) - 1))->host;
  std::uint64_t offset = 0;
  for (auto _ : run) {
    benchmark::DoNotOptimize(filled.cache().find_host(first + offset));
    offset = (offset + 104'729) % static_cast<std::uint64_t>(last - first);
  }
}
BENCHMARK(block_of_host_address)->ArgName("blocks")->Arg(1000)->Arg(100'000);

// What translating again costs beside the translation.
void invalidate_and_insert(benchmark::State& run) {
  FilledCache filled(1000);
  std::uint64_t number = 0;
  for (auto _ : run) {
    filled.cache().invalidate(*filled.cache().find(FilledCache::key(number)),
                              codecache::Removal::kStore);
    filled.add(number);
    number = filled.next(number);
    if (!filled.full()) continue;
    run.PauseTiming();
    filled.cache().flush();
    filled.fill();
    run.ResumeTiming();
  }
}
BENCHMARK(invalidate_and_insert);

// With the links that lead to it, which are taken back.
void link_and_invalidate(benchmark::State& run) {
  FilledCache filled(1000);
  auto& cache = filled.cache();
  std::uint64_t number = 0;
  for (auto _ : run) {
    Block* from = cache.find(FilledCache::key(number));
    Block* to = cache.find(FilledCache::key(number ^ 1));
    cache.link(*from, from->exits[0], *to);
    cache.invalidate(*to, codecache::Removal::kStore);
    filled.add(number ^ 1);
    number = filled.next(number) & ~std::uint64_t{1};
    if (!filled.full()) continue;
    run.PauseTiming();
    cache.flush();
    filled.fill();
    run.ResumeTiming();
  }
}
BENCHMARK(link_and_invalidate);

}  // namespace
}  // namespace ringshift::bench
