// tests/unit/callouts/masked_store_test.cc - masked stores touch what is selected, and nothing
// else.
#include "translator/callouts/masked_store.h"

#include <cstring>

#include "tests/unit/callouts/fixture.h"
#include "translator/callouts/vector_operands.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;

class MaskedStoreTest : public CalloutTest {
 protected:
  void enter_with_vectors() {
    enter_long();
    state.cr4 |= guest::cr4::kOsfxsr | guest::cr4::kOsxsave;
    state.xcr0 = model.supported_xcr0();
  }
  Operation with(Operation op, const VectorOperands& v) {
    op.immediate = v.pack();
    return op;
  }
  static VectorBytes counting() {
    VectorBytes v;
    for (unsigned i = 0; i < 64; ++i) v[i] = static_cast<std::uint8_t>(i + 1);
    return v;
  }
};

TEST_F(MaskedStoreTest, MaskmovdquStoresSelectedBytesUpToAMissingPage) {
  enter_with_vectors();
  ExtendedState x(core);
  VectorBytes mask{};
  mask[0] = 0x80;
  mask[3] = 0xff;
  mask[5] = 0x7f;  // sign clear
  x.set_vector(1, counting(), 16);
  x.set_vector(2, mask, 16);
  state.reg(Gpr::kRdi) = kRamBytes - 4;  // the unselected rest lies in a missing page
  const Operation op = with(operation(8), {1, 0, 2, 16, false, false});
  ASSERT_EQ(store_masked_xmm_bytes(core, op), Next::kContinue);
  EXPECT_EQ(load32(kRamBytes - 4), 0x04000001u);
}

TEST_F(MaskedStoreTest, MaskmovdquFaultStoresNothing) {
  enter_with_vectors();
  ExtendedState x(core);
  VectorBytes mask;
  mask.fill(0xff);
  x.set_vector(1, counting(), 16);
  x.set_vector(2, mask, 16);
  state.reg(Gpr::kRdi) = kRamBytes - 4;
  EXPECT_TRUE(
      faults_with(store_masked_xmm_bytes(core, with(operation(8), {1, 0, 2, 16, false, false})),
                  guest::page_fault(kRamBytes, 2)));
  EXPECT_EQ(load32(kRamBytes - 4), 0u);
}

// MM registers are physical x87 registers, and using them makes TOP 0 and every tag valid.
TEST_F(MaskedStoreTest, MaskmovqFindsItsRegistersWhateverTop) {
  enter_with_vectors();
  ExtendedState x(core);
  x.materialize(component::kX87);
  x.store<std::uint16_t>(area::kFsw, 6u << 11);
  const auto set_mm = [&](unsigned number, std::uint64_t value) {
    x.store(area::kSt + ((number - 6) & 7) * area::kStSlot, value);
  };
  set_mm(1, 0x8877665544332211);
  set_mm(2, 0xff00000000000080);
  state.reg(Gpr::kRdi) = kData;
  const Operation op = with(operation(8), {1, 0, 2, 0, false, false});
  ASSERT_EQ(store_masked_mmx_bytes(core, op), Next::kContinue);
  EXPECT_EQ(load64(kData), 0x8800000000000011u);
  EXPECT_EQ(x.load<std::uint16_t>(area::kFsw), 0);
  EXPECT_EQ(x.load<std::uint8_t>(area::kFtw), 0xff);
  EXPECT_EQ(x.load<std::uint64_t>(area::kSt + area::kStSlot), 0x8877665544332211u);
}

TEST_F(MaskedStoreTest, EnableChecks) {
  enter_with_vectors();
  const Operation op = with(operation(8), {1, 0, 2, 16, false, false});
  state.cr0 |= guest::cr0::kTs;
  const auto nm = guest::fault(guest::Vector::kDeviceNotAvailable);
  EXPECT_TRUE(faults_with(store_masked_xmm_bytes(core, op), nm));
  EXPECT_TRUE(faults_with(store_masked_mmx_bytes(core, op), nm));
  state.cr0 |= guest::cr0::kEm;
  EXPECT_TRUE(faults_with(store_masked_xmm_bytes(core, op), guest::invalid_opcode()));
  EXPECT_TRUE(faults_with(store_masked_mmx_bytes(core, op), guest::invalid_opcode()));
}

}  // namespace
}  // namespace ringshift::translator
