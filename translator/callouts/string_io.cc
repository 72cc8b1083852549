// translator/callouts/string_io.cc - INS and OUTS: memory in page runs, a port access per element.
#include "translator/callouts/string_io.h"

#include "translator/callouts/guest_block.h"
#include "translator/callouts/port_io.h"
#include "translator/callouts/string_run.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;
using guest::Seg;

// There are no 64-bit ports: REX.W is ignored.
Operation at_most_doubleword(const Operation& op) {
  Operation narrowed = op;
  narrowed.operand_bytes = std::min<std::uint8_t>(op.operand_bytes, 4);
  return narrowed;
}

void store_element(std::uint8_t* to, std::uint32_t value, unsigned bytes) {
  if (bytes == 1)
    store_host(to, static_cast<std::uint8_t>(value));
  else if (bytes == 2)
    store_host(to, static_cast<std::uint16_t>(value));
  else
    store_host(to, value);
}

std::uint32_t load_element(const std::uint8_t* from, unsigned bytes) {
  if (bytes == 1) return load_host<std::uint8_t>(from);
  if (bytes == 2) return load_host<std::uint16_t>(from);
  return load_host<std::uint32_t>(from);
}

std::int64_t step_of(const StringRun& run) {
  return run.backward() ? -static_cast<std::int64_t>(run.element()) : run.element();
}

// Reading a port may have side effects, so the destination is proven writable first.
guest::Status input_slowly(Core& core, StringRun& run, std::uint16_t port) {
  const std::uint64_t offset = run.offset(Gpr::kRdi);
  RS_ASSIGN(linear, linear_address(core, Seg::kEs, offset, run.element(), true));
  RS_CHECK(
      core.mmu.probe(linear, run.element(), core.mmu.data_access(softmmu::AccessKind::kWrite)));
  const std::uint32_t value = core.platform.port_read(port, run.element());
  RS_CHECK(write_data(core, Seg::kEs, offset, run.element(), value));
  run.advance(Gpr::kRdi, 1);
  run.take_port(1);
  return {};
}

guest::Status output_slowly(Core& core, const Operation& op, StringRun& run, std::uint16_t port) {
  RS_ASSIGN(value, read_data(core, op.memory.segment, run.offset(Gpr::kRsi), run.element()));
  core.platform.port_write(port, run.element(), static_cast<std::uint32_t>(value));
  run.advance(Gpr::kRsi, 1);
  run.take_port(1);
  return {};
}

}  // namespace

Result input_string(Core& core, const Operation& original) {
  const Operation op = at_most_doubleword(original);
  StringRun run(core, op);
  const auto port = static_cast<std::uint16_t>(core.state.reg(Gpr::kRdx));
  // HW: also when the count is 0 (tests/differential).
  RS_CHECK(check_port_access(core, port, run.element()));
  while (run.working()) {
    std::uint64_t n = run.left();
    RS_ASSIGN(to, run.resolve(Seg::kEs, Gpr::kRdi, n, true));
    if (!to) {
      RS_CHECK(input_slowly(core, run, port));
      continue;
    }
    for (; n != 0 && run.working(); --n, to += step_of(run)) {
      store_element(to, core.platform.port_read(port, run.element()), run.element());
      run.advance(Gpr::kRdi, 1);
      run.take_port(1);
    }
  }
  return run.outcome();
}

Result output_string(Core& core, const Operation& original) {
  const Operation op = at_most_doubleword(original);
  StringRun run(core, op);
  const auto port = static_cast<std::uint16_t>(core.state.reg(Gpr::kRdx));
  // HW: also when the count is 0 (tests/differential).
  RS_CHECK(check_port_access(core, port, run.element()));
  while (run.working()) {
    std::uint64_t n = run.left();
    RS_ASSIGN(from, run.resolve(op.memory.segment, Gpr::kRsi, n, false));
    if (!from) {
      RS_CHECK(output_slowly(core, op, run, port));
      continue;
    }
    for (; n != 0 && run.working(); --n, from += step_of(run)) {
      core.platform.port_write(port, run.element(), load_element(from, run.element()));
      run.advance(Gpr::kRsi, 1);
      run.take_port(1);
    }
  }
  return run.outcome();
}

}  // namespace ringshift::translator
