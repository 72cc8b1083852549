// translator/instruction_table.cc - the one table, put together from the rows of each topic.
#include "translator/instruction_table.h"

#include <array>

#include "translator/callouts/bit_test.h"
#include "translator/callouts/raise.h"
#include "translator/callouts/stack_frames.h"
#include "translator/callouts/string_rows.h"
#include "translator/callouts/system_rows.h"
#include "translator/callouts/transfer_rows.h"

namespace ringshift::translator {
namespace {

// In the order of FormRow.
constexpr std::array kStackRows = {
    Row{ZYDIS_MNEMONIC_PUSH, push_rm, Trait::kNone, "PUSH"},
    Row{ZYDIS_MNEMONIC_PUSH, push_immediate, Trait::kNone, "PUSH"},
    Row{ZYDIS_MNEMONIC_POP, pop_rm, Trait::kNone, "POP"},
    Row{ZYDIS_MNEMONIC_LEAVE, leave, Trait::kNone, "LEAVE"},
    Row{ZYDIS_MNEMONIC_CALL, near_call_rm, Trait::kEndsBlock, "CALL"},
    Row{ZYDIS_MNEMONIC_CALL, near_call_relative, Trait::kEndsBlock, "CALL"},
    Row{ZYDIS_MNEMONIC_RET, near_return, Trait::kEndsBlock, "RET"},
};
constexpr std::array kOtherRows = {
    Row{ZYDIS_MNEMONIC_BT, bit_test, Trait::kLockable, "BT/BTS/BTR/BTC"},
    Row{ZYDIS_MNEMONIC_INVALID, raise_fault, Trait::kEndsBlock, "UD"},
};

template <std::size_t... N>
constexpr auto concatenate(const std::array<Row, N>&... parts) {
  std::array<Row, (N + ...)> all{};
  std::size_t at = 0;
  auto add = [&](const auto& part) {
    for (const Row& row : part) all[at++] = row;
  };
  (add(parts), ...);
  return all;
}

constexpr auto kForms =
    concatenate(kControlRows, kFarRows, kSegmentRows, kStringDwordRows, kStackRows, kOtherRows);
static_assert(kForms.size() == static_cast<std::size_t>(FormRow::kRaise) + 1);
constexpr auto kTable = concatenate(kForms, kSystemRows, kStringRows, kTransferRows);

constexpr auto kByMnemonic = [] {
  std::array<std::int16_t, ZYDIS_MNEMONIC_MAX_VALUE + 1> index{};
  for (auto& i : index) i = -1;
  for (std::size_t i = kForms.size(); i < kTable.size(); ++i)
    index[kTable[i].mnemonic] = static_cast<std::int16_t>(i);
  return index;
}();

}  // namespace

std::span<const Row> instruction_table() { return kTable; }
int find_row(ZydisMnemonic mnemonic) { return kByMnemonic[mnemonic]; }
int find_row(FormRow form) { return static_cast<int>(form); }

}  // namespace ringshift::translator
