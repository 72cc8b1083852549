// translator/callouts/string_move.cc - MOVS, STOS and LODS, a page run at a time.
#include "translator/callouts/string_move.h"

#include "translator/callouts/guest_block.h"
#include "translator/callouts/string_run.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;
using guest::Seg;

// `to` and `from` are the first elements in walking order.
void move_forward(std::uint8_t* to, const std::uint8_t* from, std::uint64_t n, unsigned element) {
  switch (element) {
    case 1:
      asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
      break;
    case 2:
      asm volatile("rep movsw" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
      break;
    case 4:
      asm volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
      break;
    default:
      asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  }
}

void move_backward(std::uint8_t* to, const std::uint8_t* from, std::uint64_t n, unsigned element) {
  switch (element) {
    case 1:
      asm volatile("std; rep movsb; cld" : "+D"(to), "+S"(from), "+c"(n) : : "memory", "cc");
      break;
    case 2:
      asm volatile("std; rep movsw; cld" : "+D"(to), "+S"(from), "+c"(n) : : "memory", "cc");
      break;
    case 4:
      asm volatile("std; rep movsl; cld" : "+D"(to), "+S"(from), "+c"(n) : : "memory", "cc");
      break;
    default:
      asm volatile("std; rep movsq; cld" : "+D"(to), "+S"(from), "+c"(n) : : "memory", "cc");
  }
}

// `to` is the lowest byte of the run: direction does not matter to equal elements.
void store_elements(std::uint8_t* to, std::uint64_t value, std::uint64_t n, unsigned element) {
  switch (element) {
    case 1:
      asm volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
      break;
    case 2:
      asm volatile("rep stosw" : "+D"(to), "+c"(n) : "a"(value) : "memory");
      break;
    case 4:
      asm volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(value) : "memory");
      break;
    default:
      asm volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(value) : "memory");
  }
}

// The source comes first, also where it is not plain memory; a device is not read for that.
guest::Status probe_source(Core& core, const Operation& op, const StringRun& run) {
  RS_ASSIGN(linear,
            linear_address(core, op.memory.segment, run.offset(Gpr::kRsi), run.element(), false));
  RS_CHECK(check_alignment(core, linear, run.element()));
  return core.mmu.probe(linear, run.element(), core.mmu.data_access(softmmu::AccessKind::kRead));
}

guest::Status move_slowly(Core& core, const Operation& op, StringRun& run, std::uint64_t n) {
  for (; n != 0; --n) {
    RS_ASSIGN(value, read_data(core, op.memory.segment, run.offset(Gpr::kRsi), run.element()));
    RS_CHECK(write_data(core, Seg::kEs, run.offset(Gpr::kRdi), run.element(), value));
    run.advance(Gpr::kRsi, 1);
    run.advance(Gpr::kRdi, 1);
    run.take_slow(1);
  }
  return {};
}

guest::Status store_slowly(Core& core, StringRun& run, std::uint64_t n) {
  const std::uint64_t value = core.state.reg(Gpr::kRax);
  for (; n != 0; --n) {
    RS_CHECK(write_data(core, Seg::kEs, run.offset(Gpr::kRdi), run.element(), value));
    run.advance(Gpr::kRdi, 1);
    run.take_slow(1);
  }
  return {};
}

std::uint64_t load_element(const std::uint8_t* from, unsigned element) {
  switch (element) {
    case 1:
      return load_host<std::uint8_t>(from);
    case 2:
      return load_host<std::uint16_t>(from);
    case 4:
      return load_host<std::uint32_t>(from);
    default:
      return load_host<std::uint64_t>(from);
  }
}

void write_accumulator(Core& core, unsigned bytes, std::uint64_t value) {
  std::uint64_t& rax = core.state.reg(Gpr::kRax);
  switch (bytes) {
    case 1:
      rax = (rax & ~std::uint64_t{0xff}) | (value & 0xff);
      break;
    case 2:
      rax = (rax & ~std::uint64_t{0xffff}) | (value & 0xffff);
      break;
    case 4:
      rax = static_cast<std::uint32_t>(value);
      break;
    default:
      rax = value;
  }
}

}  // namespace

Result move_string(Core& core, const Operation& op) {
  StringRun run(core, op);
  while (run.working()) {
    std::uint64_t n = run.left();
    RS_ASSIGN(from, run.resolve(op.memory.segment, Gpr::kRsi, n, false));
    if (!from) RS_CHECK(probe_source(core, op, run));
    RS_ASSIGN(to, run.resolve(Seg::kEs, Gpr::kRdi, n, true));
    if (!from || !to) {
      RS_CHECK(move_slowly(core, op, run, run.slow_batch(n)));
      continue;
    }
    (run.backward() ? move_backward : move_forward)(to, from, n, run.element());
    run.advance(Gpr::kRsi, n);
    run.advance(Gpr::kRdi, n);
    run.take_fast(n);
  }
  return run.outcome();
}

Result store_string(Core& core, const Operation& op) {
  StringRun run(core, op);
  while (run.working()) {
    std::uint64_t n = run.left();
    RS_ASSIGN(to, run.resolve(Seg::kEs, Gpr::kRdi, n, true));
    if (!to) {
      RS_CHECK(store_slowly(core, run, run.slow_batch(n)));
      continue;
    }
    const std::uint64_t span_below = run.backward() ? (n - 1) * run.element() : 0;
    store_elements(to - span_below, core.state.reg(Gpr::kRax), n, run.element());
    run.advance(Gpr::kRdi, n);
    run.take_fast(n);
  }
  return run.outcome();
}

Result load_string(Core& core, const Operation& op) {
  StringRun run(core, op);
  while (run.working()) {
    std::uint64_t n = run.left();
    RS_ASSIGN(from, run.resolve(op.memory.segment, Gpr::kRsi, n, false));
    if (!from) {
      RS_ASSIGN(value, read_data(core, op.memory.segment, run.offset(Gpr::kRsi), run.element()));
      write_accumulator(core, run.element(), value);
      run.advance(Gpr::kRsi, 1);
      run.take_slow(1);
      continue;
    }
    // RAM has no read side effects: only the run's last element is seen.
    const std::uint64_t span = (n - 1) * run.element();
    const std::uint8_t* last = run.backward() ? from - span : from + span;
    write_accumulator(core, run.element(), load_element(last, run.element()));
    run.advance(Gpr::kRsi, n);
    run.take_fast(n);
  }
  return run.outcome();
}

}  // namespace ringshift::translator
