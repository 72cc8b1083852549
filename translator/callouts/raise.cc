// translator/callouts/raise.cc - instructions that always fault: undefined, hidden or disabled ones.
#include "translator/callouts/raise.h"

namespace ringshift::translator {

Result raise_fault(Core&, const Operation& op) {
  guest::GuestFault f;
  f.vector = static_cast<guest::Vector>(op.immediate & 0xff);
  f.has_error_code = op.immediate & 0x100;
  f.error_code = static_cast<std::uint32_t>(op.immediate >> 16);
  return tl::unexpected(f);
}

}  // namespace ringshift::translator
