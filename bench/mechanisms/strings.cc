// bench/mechanisms/strings.cc - string instructions, single and repeated, in a guest and on the
// host.
#include <benchmark/benchmark.h>

#include <vector>

#include "bench/mechanisms/running_guest.h"

namespace ringshift::bench {
namespace {

using asmjit::x86::Assembler;
namespace r = asmjit::x86;

// Far enough apart for the longest, and not at the same offset of a page.
constexpr std::uint64_t kFrom = RunningGuest::kData, kTo = RunningGuest::kData + 0x80100;

enum class Kind { kMovsb, kMovsd, kStraddlingMovsd, kStosq, kScasb, kCmpsb };

void repeat(Assembler& a, Kind kind) {
  switch (kind) {
    case Kind::kMovsb:
      return static_cast<void>(a.rep().movsb());
    case Kind::kMovsd:
    case Kind::kStraddlingMovsd:
      return static_cast<void>(a.rep().movsd());
    case Kind::kStosq:
      return static_cast<void>(a.rep().stosq());
    case Kind::kScasb:
      return static_cast<void>(a.repne().scasb());
    case Kind::kCmpsb:
      return static_cast<void>(a.repe().cmpsb());
  }
}

// Where elements of the source straddle pages.
std::uint64_t source_offset(Kind kind) { return kind == Kind::kStraddlingMovsd ? 0x42 : 0x40; }

unsigned element(Kind kind) {
  return kind == Kind::kMovsd || kind == Kind::kStraddlingMovsd ? 4 : kind == Kind::kStosq ? 8 : 1;
}

void guest_repeated(benchmark::State& run, Kind kind) {
  const auto bytes = static_cast<std::uint64_t>(run.range(0));
  RunningGuest guest([&](Assembler& a) {
    a.mov(r::r12, r::rcx);
    a.mov(r::esi, kFrom + source_offset(kind));
    a.mov(r::edi, kTo);
    a.mov(r::ecx, bytes / element(kind));
    a.mov(r::eax, 1);
    repeat(a, kind);
    a.mov(r::rcx, r::r12);
  });
  constexpr std::uint64_t kTimes = 1000;
  for (auto _ : run)
    if (!guest.run(kTimes)) return run.SkipWithError("the guest did not end");
  run.SetItemsProcessed(run.iterations() * static_cast<std::int64_t>(kTimes));
  run.SetBytesProcessed(run.iterations() * static_cast<std::int64_t>(kTimes * bytes));
}

void host_repeated(benchmark::State& run, Kind kind) {
  const auto bytes = static_cast<std::uint64_t>(run.range(0));
  std::vector<std::uint8_t> memory(0x200000);
  auto* base = reinterpret_cast<std::uint8_t*>(
      (reinterpret_cast<std::uint64_t>(memory.data()) + 0xfff) & ~0xfffull);
  for (auto _ : run) {
    std::uint64_t count = bytes / element(kind), rax = 1;
    std::uint8_t *from = base + source_offset(kind), *to = base + 0x80100;
    switch (kind) {
      case Kind::kMovsb:
        asm volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count)::"memory");
        break;
      case Kind::kMovsd:
      case Kind::kStraddlingMovsd:
        asm volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(count)::"memory");
        break;
      case Kind::kStosq:
        asm volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(rax) : "memory");
        break;
      case Kind::kScasb:
        asm volatile("repne scasb" : "+D"(to), "+c"(count) : "a"(rax) : "memory", "cc");
        break;
      case Kind::kCmpsb:
        asm volatile("repe cmpsb" : "+S"(from), "+D"(to), "+c"(count)::"memory", "cc");
        break;
    }
  }
  run.SetItemsProcessed(run.iterations());
  run.SetBytesProcessed(run.iterations() * static_cast<std::int64_t>(bytes));
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgName("bytes")->Arg(0)->Arg(16)->Arg(64)->Arg(1024)->Arg(4096)->Arg(65536);
}
BENCHMARK_CAPTURE(guest_repeated, movsb, Kind::kMovsb)->Apply(sizes);
BENCHMARK_CAPTURE(host_repeated, movsb, Kind::kMovsb)->Apply(sizes);
BENCHMARK_CAPTURE(guest_repeated, movsd, Kind::kMovsd)->Apply(sizes);
BENCHMARK_CAPTURE(host_repeated, movsd, Kind::kMovsd)->Apply(sizes);
BENCHMARK_CAPTURE(guest_repeated, movsd_straddling, Kind::kStraddlingMovsd)->Apply(sizes);
BENCHMARK_CAPTURE(host_repeated, movsd_straddling, Kind::kStraddlingMovsd)->Apply(sizes);
BENCHMARK_CAPTURE(guest_repeated, stosq, Kind::kStosq)->Apply(sizes);
BENCHMARK_CAPTURE(host_repeated, stosq, Kind::kStosq)->Apply(sizes);
BENCHMARK_CAPTURE(guest_repeated, scasb, Kind::kScasb)->ArgName("bytes")->Arg(16)->Arg(1024);
BENCHMARK_CAPTURE(host_repeated, scasb, Kind::kScasb)->ArgName("bytes")->Arg(16)->Arg(1024);
BENCHMARK_CAPTURE(guest_repeated, cmpsb, Kind::kCmpsb)->ArgName("bytes")->Arg(16)->Arg(1024);
BENCHMARK_CAPTURE(host_repeated, cmpsb, Kind::kCmpsb)->ArgName("bytes")->Arg(16)->Arg(1024);

template <typename Body>
void guest_single(benchmark::State& run, Body&& body) {
  RunningGuest guest([&](Assembler& a) {
    a.mov(r::esi, kFrom);
    a.mov(r::edi, kTo);
    for (int i = 0; i < 8; ++i) body(a);
  });
  constexpr std::uint64_t kTimes = 1000;
  for (auto _ : run)
    if (!guest.run(kTimes)) return run.SkipWithError("the guest did not end");
  run.SetItemsProcessed(run.iterations() * static_cast<std::int64_t>(8 * kTimes));
}
BENCHMARK_CAPTURE(guest_single, movsd, [](Assembler& a) { a.movsd(); });
BENCHMARK_CAPTURE(guest_single, stosd, [](Assembler& a) { a.stosd(); });
BENCHMARK_CAPTURE(guest_single, lodsd, [](Assembler& a) { a.lodsd(); });
BENCHMARK_CAPTURE(guest_single, cmpsd, [](Assembler& a) { a.cmpsd(); });
BENCHMARK_CAPTURE(guest_single, scasd, [](Assembler& a) { a.scasd(); });

}  // namespace
}  // namespace ringshift::bench
