// translator/callouts/protection_keys.cc - the rights of the user's pages by protection key.
#include "translator/callouts/protection_keys.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;

guest::Status check_enabled(const Core& core) {
  if (!(core.state.cr4 & guest::cr4::kPke)) return tl::unexpected(guest::invalid_opcode());
  return {};
}

std::uint32_t low(const Core& core, Gpr reg) {
  return static_cast<std::uint32_t>(core.state.reg(reg));
}

}  // namespace

void set_user_key_rights(Core& core, std::uint32_t rights) {
  const std::uint32_t before = core.state.pkru;
  core.state.pkru = rights;
  core.mmu.key_rights_changed(true, before, rights);
}

Result read_user_key_rights(Core& core, const Operation&) {
  RS_CHECK(check_enabled(core));
  if (low(core, Gpr::kRcx) != 0) return tl::unexpected(guest::general_protection());
  core.state.reg(Gpr::kRax) = core.state.pkru;
  core.state.reg(Gpr::kRdx) = 0;
  return Next::kContinue;
}

Result write_user_key_rights(Core& core, const Operation&) {
  RS_CHECK(check_enabled(core));
  if (low(core, Gpr::kRcx) != 0 || low(core, Gpr::kRdx) != 0)
    return tl::unexpected(guest::general_protection());
  set_user_key_rights(core, low(core, Gpr::kRax));
  return Next::kContinue;
}

}  // namespace ringshift::translator
