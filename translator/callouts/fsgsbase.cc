// translator/callouts/fsgsbase.cc - instructions on the bases of FS and GS.
// SDM Vol. 2 "RDFSBASE/RDGSBASE", "WRFSBASE/WRGSBASE", "SWAPGS".
#include "translator/callouts/fsgsbase.h"

#include <utility>

namespace ringshift::translator {
namespace {

using guest::Seg;

guest::Status check_enabled(const Core& core) {
  if (core.state.cr4 & guest::cr4::kFsgsbase) return {};
  return tl::unexpected(guest::invalid_opcode());
}

Result read_base(Core& core, const Operation& op, Seg segment) {
  RS_CHECK(check_enabled(core));
  write_gpr(core, op.rm, op.operand_bytes, core.state.segment(segment).base);
  return Next::kContinue;
}

Result write_base(Core& core, const Operation& op, Seg segment) {
  RS_CHECK(check_enabled(core));
  const std::uint64_t base = read_gpr(core, op.rm, op.operand_bytes);
  if (!guest::is_canonical(base)) return tl::unexpected(guest::general_protection());
  core.state.segment(segment).base = base;
  return Next::kContinue;
}

}  // namespace

Result rdfsbase(Core& core, const Operation& op) { return read_base(core, op, Seg::kFs); }
Result rdgsbase(Core& core, const Operation& op) { return read_base(core, op, Seg::kGs); }
Result wrfsbase(Core& core, const Operation& op) { return write_base(core, op, Seg::kFs); }
Result wrgsbase(Core& core, const Operation& op) { return write_base(core, op, Seg::kGs); }

Result swapgs(Core& core, const Operation&) {
  std::swap(core.state.segment(Seg::kGs).base, core.state.msr.kernel_gs_base);
  return Next::kContinue;
}

}  // namespace ringshift::translator
