// bench/mechanisms/running_code.cc - translated code at work: one turn of a guest loop whose body
// is the mechanism. `empty_loop` is what the loop itself costs.
#include <benchmark/benchmark.h>

#include "bench/mechanisms/running_guest.h"

namespace ringshift::bench {
namespace {

using asmjit::x86::Assembler;
namespace r = asmjit::x86;

constexpr std::int64_t kTurns = 20'000;
constexpr int kAccesses = 8;  // a turn; they share no look-up, their base registers differ

template <typename Body>
void run_turns(benchmark::State& run, Body&& body, int items = 1) {
  RunningGuest guest(std::forward<Body>(body));
  while (run.KeepRunningBatch(kTurns))
    if (!guest.run(kTurns)) return run.SkipWithError("the guest went astray");
  run.SetItemsProcessed(run.iterations() * items);
}

void empty_loop(benchmark::State& run) {
  run_turns(run, [](Assembler&) {});
}
BENCHMARK(empty_loop);

void tlb_hit_in_code(benchmark::State& run) {
  const bool write = run.range(0) != 0;
  run_turns(
      run,
      [=](Assembler& a) {
        const r::Gp bases[] = {r::rbx, r::rdx, r::rsi, r::rdi};
        for (int i = 1; i < 4; ++i) a.lea(bases[i], r::ptr(r::rbx, i * 4096));
        for (int i = 0; i < kAccesses; ++i) {
          const auto at = r::ptr(bases[i % 4], i * 8);
          if (write)
            a.mov(at, r::rax);
          else
            a.mov(r::rax, at);
        }
      },
      kAccesses);
}
BENCHMARK(tlb_hit_in_code)->ArgName("write")->Arg(0)->Arg(1);

// Twice as many pages as the table has entries, in turn: each finds another one's entry.
void tlb_miss_in_code(benchmark::State& run) {
  static_assert(kMappedBytes / guest::kPageBytes == 2 * softmmu::kTlbEntries);
  const bool write = run.range(0) != 0;
  run_turns(run, [=](Assembler& a) {
    a.add(r::edx, static_cast<int>(guest::kPageBytes));
    a.and_(r::edx, static_cast<int>(kMappedBytes - guest::kPageBytes));
    const auto at = r::ptr(r::rdx, 2048);  // away from the guest's code
    if (write)
      a.mov(at, r::rax);
    else
      a.mov(r::rax, at);
  });
}
BENCHMARK(tlb_miss_in_code)->ArgName("write")->Arg(0)->Arg(1);

// STR only reads a field: what remains is the way to C++ and back.
void call_out(benchmark::State& run) {
  run_turns(run, [](Assembler& a) { a.str(r::rax); });
}
BENCHMARK(call_out);

void port_read(benchmark::State& run) {
  run_turns(run, [](Assembler& a) { a.in(r::al, 0x80); });
}
BENCHMARK(port_read);

// Blocks of one jump each, linked directly.
void chain(benchmark::State& run) {
  constexpr int kBlocks = 16;
  run_turns(
      run,
      [](Assembler& a) {
        for (int i = 0; i < kBlocks; ++i) {
          asmjit::Label next = a.newLabel();
          a.jmp(next);
          a.align(asmjit::AlignMode::kCode, 16);
          a.bind(next);
        }
      },
      kBlocks);
}
BENCHMARK(chain);

void call_and_return(benchmark::State& run) {
  run_turns(run, [](Assembler& a) {
    asmjit::Label function = a.newLabel(), over = a.newLabel();
    a.call(function);
    a.jmp(over);
    a.bind(function);
    a.ret();
    a.bind(over);
  });
}
BENCHMARK(call_and_return);

// Four targets in turn, so that no single one is remembered.
void indirect_jump(benchmark::State& run) {
  run_turns(run, [](Assembler& a) {
    asmjit::Label targets = a.newLabel(), done = a.newLabel();
    a.lea(r::rax, r::ptr(targets));
    a.mov(r::rdx, r::rcx);
    a.and_(r::edx, 3);
    a.shl(r::edx, 4);
    a.add(r::rax, r::rdx);
    a.jmp(r::rax);
    a.align(asmjit::AlignMode::kCode, 16);
    a.bind(targets);
    for (int i = 0; i < 4; ++i) {
      a.jmp(done);
      a.align(asmjit::AlignMode::kCode, 16);
    }
    a.bind(done);
  });
}
BENCHMARK(indirect_jump);

// A store into code that has run: its block goes, and is translated again.
void write_to_code(benchmark::State& run) {
  run_turns(run, [](Assembler& a) {
    a.mov(r::eax, static_cast<std::uint32_t>(RunningGuest::kOtherCode));
    a.mov(r::byte_ptr(r::rax), 0xc3);  // RET
    a.call(r::rax);
  });
}
BENCHMARK(write_to_code);

void switch_address_space(benchmark::State& run) {
  run_turns(run, [](Assembler& a) {
    a.mov(r::rax, r::cr3);
    a.mov(r::cr3, r::rax);
  });
}
BENCHMARK(switch_address_space);

}  // namespace
}  // namespace ringshift::bench
