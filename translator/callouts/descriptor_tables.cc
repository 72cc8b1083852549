// translator/callouts/descriptor_tables.cc - loads and stores of GDTR, IDTR, LDTR and TR.
#include "translator/callouts/descriptor_tables.h"

#include <array>
#include <cstring>
#include <span>

#include "translator/callouts/control_registers.h"
#include "translator/callouts/descriptor.h"

namespace ringshift::translator {
namespace {

using guest::TableRegister;
using guest::Vector;

// Limit and base as memory holds them: 6 bytes, or 10 in 64-bit code.
constexpr std::size_t kLimitBytes = 2;
using TableImage = std::array<std::uint8_t, kLimitBytes + 8>;

std::size_t image_bytes(const Core& core) {
  return kLimitBytes + (core.state.in_64bit_code() ? 8 : 4);
}

guest::Checked<TableRegister> read_table(Core& core, const Operation& op) {
  if (!op.has_memory) return tl::unexpected(guest::invalid_opcode());
  const std::size_t bytes = image_bytes(core);
  RS_ASSIGN(address,
            linear_address(core, op.memory.segment, effective_offset(core, op), bytes, false));
  TableImage image{};
  RS_CHECK(core.mmu.read(address, std::span(image).first(bytes),
                         core.mmu.data_access(softmmu::AccessKind::kRead)));
  TableRegister table;
  std::memcpy(&table.limit, image.data(), sizeof table.limit);
  std::memcpy(&table.base, image.data() + kLimitBytes, sizeof table.base);
  if (core.state.in_64bit_code()) {
    if (!guest::is_canonical(table.base)) return tl::unexpected(guest::general_protection());
  } else if (op.operand_bytes == 2) {
    table.base &= 0xffffff;  // the 16-bit form keeps the 80286's 24-bit base
  }
  return table;
}

// HW: all 32 bits of the base are stored even with a 16-bit operand, where the manual has a zero in
// the high byte.
Result store_table(Core& core, const Operation& op, const TableRegister& table) {
  if (!op.has_memory) return tl::unexpected(guest::invalid_opcode());
  RS_CHECK(check_user_mode_prevention(core));
  const std::size_t bytes = image_bytes(core);
  TableImage image;
  std::memcpy(image.data(), &table.limit, sizeof table.limit);
  std::memcpy(image.data() + kLimitBytes, &table.base, sizeof table.base);
  RS_ASSIGN(address,
            linear_address(core, op.memory.segment, effective_offset(core, op), bytes, true));
  RS_CHECK(core.mmu.write(address, std::span(image).first(bytes),
                          core.mmu.data_access(softmmu::AccessKind::kWrite)));
  return Next::kContinue;
}

Result store_selector(Core& core, const Operation& op, std::uint16_t selector) {
  RS_CHECK(check_user_mode_prevention(core));
  RS_CHECK(write_rm(core, op, op.has_memory ? 2 : op.operand_bytes, selector));
  return Next::kContinue;
}

guest::GuestFault not_present(Selector selector) {
  return guest::fault(Vector::kSegmentNotPresent, selector.error_code());
}

bool available_tss(const Core& core, const Descriptor& descriptor) {
  if (!descriptor.is_system()) return false;
  if (descriptor.system_type() == SystemType::kTss32Available) return true;
  return descriptor.system_type() == SystemType::kTss16Available && !core.state.long_mode_active();
}

// The second half of a system descriptor, whose base must be canonical.
guest::Status complete_descriptor(Core& core, Selector selector, Descriptor& descriptor) {
  const guest::GuestFault bad = guest::general_protection(selector.error_code());
  RS_CHECK(read_upper_half(core, selector, descriptor, bad));
  if (!guest::is_canonical(descriptor.base())) return tl::unexpected(bad);
  return {};
}

}  // namespace

Result lgdt(Core& core, const Operation& op) {
  RS_ASSIGN(table, read_table(core, op));
  core.state.gdtr = table;
  return Next::kContinue;
}

Result lidt(Core& core, const Operation& op) {
  RS_ASSIGN(table, read_table(core, op));
  core.state.idtr = table;
  return Next::kContinue;
}

Result sgdt(Core& core, const Operation& op) { return store_table(core, op, core.state.gdtr); }

Result sidt(Core& core, const Operation& op) { return store_table(core, op, core.state.idtr); }

Result sldt(Core& core, const Operation& op) {
  return store_selector(core, op, core.state.ldtr.selector);
}

Result str(Core& core, const Operation& op) {
  return store_selector(core, op, core.state.tr.selector);
}

// SDM Vol. 2 "LLDT": a null selector makes LDTR unusable.
Result lldt(Core& core, const Operation& op) {
  RS_ASSIGN(value, read_rm(core, op, 2));
  const Selector selector{static_cast<std::uint16_t>(value)};
  if (selector.null()) {
    core.state.ldtr = {selector.value, 0, 0, 0};
    return Next::kContinue;
  }
  const guest::GuestFault bad = guest::general_protection(selector.error_code());
  if (selector.in_ldt()) return tl::unexpected(bad);
  RS_ASSIGN(descriptor, read_descriptor(core, selector, bad));
  if (!descriptor.is_system() || descriptor.system_type() != SystemType::kLdt)
    return tl::unexpected(bad);
  if (!descriptor.present()) return tl::unexpected(not_present(selector));
  RS_CHECK(complete_descriptor(core, selector, descriptor));
  core.state.ldtr = descriptor.to_register(selector);
  return Next::kContinue;
}

// SDM Vol. 2 "LTR": the descriptor becomes busy in memory and in TR.
Result ltr(Core& core, const Operation& op) {
  RS_ASSIGN(value, read_rm(core, op, 2));
  const Selector selector{static_cast<std::uint16_t>(value)};
  if (selector.null()) return tl::unexpected(guest::general_protection());
  const guest::GuestFault bad = guest::general_protection(selector.error_code());
  if (selector.in_ldt()) return tl::unexpected(bad);
  RS_ASSIGN(descriptor, read_descriptor(core, selector, bad));
  if (!available_tss(core, descriptor)) return tl::unexpected(bad);
  if (!descriptor.present()) return tl::unexpected(not_present(selector));
  RS_CHECK(complete_descriptor(core, selector, descriptor));
  RS_CHECK(set_busy(core, selector, true));
  constexpr std::uint16_t kBusy = 2;
  core.state.tr = descriptor.to_register(selector);
  core.state.tr.attributes |= kBusy;
  return Next::kContinue;
}

}  // namespace ringshift::translator
