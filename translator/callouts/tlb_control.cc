// translator/callouts/tlb_control.cc - invalidation of cached translations by instruction.
// SDM Vol. 3 "Invalidation of TLBs and Paging-Structure Caches".
#include "translator/callouts/tlb_control.h"

#include <array>
#include <cstring>

namespace ringshift::translator {
namespace {

using guest::Seg;

auto general_protection() { return tl::unexpected(guest::general_protection()); }

struct InvpcidDescriptor {
  std::uint64_t pcid = 0;  // bits 63:12 are reserved
  std::uint64_t address = 0;
};

guest::Checked<InvpcidDescriptor> read_invpcid_descriptor(Core& core, const Operation& op) {
  std::array<std::uint8_t, 16> image;
  RS_ASSIGN(address, linear_address(core, op.memory.segment, effective_offset(core, op),
                                    image.size(), false));
  RS_CHECK(core.mmu.read(address, image, core.mmu.data_access(softmmu::AccessKind::kRead)));
  InvpcidDescriptor descriptor;
  std::memcpy(&descriptor.pcid, image.data(), 8);
  std::memcpy(&descriptor.address, image.data() + 8, 8);
  return descriptor;
}

enum InvpcidType : std::uint64_t { kAddress = 0, kPcid = 1, kAllWithGlobal = 2, kAll = 3 };

}  // namespace

// SDM Vol. 2 "INVLPG": no limit check, and a non-canonical address does nothing.
Result invlpg(Core& core, const Operation& op) {
  if (!op.has_memory) return tl::unexpected(guest::invalid_opcode());
  const guest::CpuState& s = core.state;
  const Seg segment = op.memory.segment;
  const bool code64 = s.in_64bit_code();
  const bool based = !code64 || segment == Seg::kFs || segment == Seg::kGs;
  std::uint64_t linear = effective_offset(core, op) + (based ? s.segment(segment).base : 0);
  if (!code64) linear &= 0xffffffff;
  if (guest::is_canonical(linear)) core.mmu.flush_page({linear});
  return Next::kContinue;
}

// SDM Vol. 2 "INVPCID".
Result invpcid(Core& core, const Operation& op) {
  if (!op.has_memory || !core.model.has(guest::feature::kInvpcid))
    return tl::unexpected(guest::invalid_opcode());
  const std::uint64_t type = read_gpr(core, op.reg, core.state.in_64bit_code() ? 8 : 4);
  if (type > kAll) return general_protection();
  RS_ASSIGN(descriptor, read_invpcid_descriptor(core, op));
  if (descriptor.pcid >> 12) return general_protection();
  const bool names_pcid = type == kAddress || type == kPcid;
  if (names_pcid && descriptor.pcid && !(core.state.cr4 & guest::cr4::kPcide))
    return general_protection();
  if (type == kAddress && !guest::is_canonical(descriptor.address)) return general_protection();

  const auto pcid = static_cast<unsigned>(descriptor.pcid);
  switch (type) {
    case kAddress:
      core.mmu.flush_page_pcid(pcid, {descriptor.address});
      break;
    case kPcid:
      core.mmu.flush_pcid(pcid, true);
      break;
    default:
      core.mmu.flush_all(type == kAll);
      break;
  }
  return Next::kContinue;
}

// Guest RAM is coherent with everything that can see it.
Result write_back_caches(Core&, const Operation&) { return Next::kContinue; }

}  // namespace ringshift::translator
