// bench/mechanisms/memory_and_cpuid.cc - physical memory accesses from C++, and a CPUID leaf
// look-up.
#include <benchmark/benchmark.h>

#include <vector>

#include "bench/mechanisms/guest_memory.h"

namespace ringshift::bench {
namespace {

void physical_read(benchmark::State& run) {
  GuestMemory guest;
  const auto size = static_cast<unsigned>(run.range(0));
  std::uint64_t address = 0x1000;
  for (auto _ : run) {
    benchmark::DoNotOptimize(guest.memory().read({address}, size));
    address = (address + 64) % kMappedBytes;
  }
}
BENCHMARK(physical_read)->ArgName("bytes")->Arg(1)->Arg(8);

void physical_write(benchmark::State& run) {
  GuestMemory guest;
  std::uint64_t address = 0x1000;
  for (auto _ : run) {
    guest.memory().write({address}, 8, address);
    address = (address + 64) % kMappedBytes;
  }
}
BENCHMARK(physical_write);

void physical_read_bytes(benchmark::State& run) {
  GuestMemory guest;
  std::vector<std::uint8_t> buffer(run.range(0));
  for (auto _ : run) {
    guest.memory().read_bytes({0x1003}, buffer);
    benchmark::ClobberMemory();
  }
  run.SetBytesProcessed(run.iterations() * run.range(0));
}
BENCHMARK(physical_read_bytes)->ArgName("bytes")->Arg(64)->Arg(4096)->Arg(1 << 20);

void unbacked_read(benchmark::State& run) {
  GuestMemory guest;
  for (auto _ : run) benchmark::DoNotOptimize(guest.memory().read({kRamBytes + 0x1000}, 4));
}
BENCHMARK(unbacked_read);

void cpuid_leaf(benchmark::State& run) {
  GuestMemory guest;
  const auto leaf = static_cast<std::uint32_t>(run.range(0));
  for (auto _ : run) benchmark::DoNotOptimize(guest.model().cpuid(leaf, 0, guest.state(), 0));
}
BENCHMARK(cpuid_leaf)->ArgName("leaf")->Arg(0)->Arg(1)->Arg(7)->Arg(0xd);

void cpuid_feature(benchmark::State& run) {
  GuestMemory guest;
  for (auto _ : run) benchmark::DoNotOptimize(guest.model().has(guest::feature::kAvx2));
}
BENCHMARK(cpuid_feature);

void cpu_model_create(benchmark::State& run) {
  for (auto _ : run) benchmark::DoNotOptimize(guest::CpuModel::create("max"));
}
BENCHMARK(cpu_model_create);

}  // namespace
}  // namespace ringshift::bench
