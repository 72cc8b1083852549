// tests/unit/callouts/descriptor_test.cc - descriptor fields, table limits, and the bits set in
// memory.
#include "translator/callouts/descriptor.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::general_protection;

class Descriptors : public CalloutTest {};

TEST_F(Descriptors, FieldsAreWhereTheManualDrawsThem) {
  const Descriptor d{0x12da'fa34'5678'9abc, 0};
  EXPECT_EQ(d.base(), 0x12345678u);
  EXPECT_EQ(d.limit(), 0xa9abcfffu);
  EXPECT_EQ(d.attributes(), 0xd0fa);
  EXPECT_EQ(d.dpl(), 3u);
  EXPECT_TRUE(d.is_code());
  EXPECT_TRUE(d.readable());
  EXPECT_FALSE(d.writable());
  EXPECT_TRUE(d.present());
  EXPECT_TRUE(d.big());
  EXPECT_FALSE(d.long_mode());
  EXPECT_EQ(d.to_register({0x1b}).limit, 0xa9abcfffu);
}

TEST_F(Descriptors, TableLimitsCoverTheWholeDescriptor) {
  enter_protected32();
  state.gdtr.limit = kData32 + 6;
  const auto outside = general_protection(0x77);
  EXPECT_EQ(read_descriptor(core, {kData32}, outside).error(), outside);
  state.gdtr.limit = kData32 + 7;
  EXPECT_TRUE(read_descriptor(core, {kData32}, outside));
  enter_long();
  Descriptor d;
  state.gdtr.limit = kTss64Sel + 14;
  EXPECT_EQ(read_upper_half(core, {kTss64Sel}, d, outside).error(), outside);
}

TEST_F(Descriptors, ReadsAreSupervisorAccesses) {
  enter_long(3);
  store<std::uint64_t>(kPd, 0x83);  // supervisor pages
  mmu.flush_all(false);
  EXPECT_TRUE(read_descriptor(core, {kData32}, general_protection()));
}

TEST_F(Descriptors, BusyAndAccessedBits) {
  enter_protected32();
  ASSERT_TRUE(set_busy(core, {kTssBSel}, true));
  EXPECT_EQ(load<std::uint8_t>(kGdt + kTssBSel + 5), 0x8b);
  ASSERT_TRUE(set_busy(core, {kTssBSel}, false));
  EXPECT_EQ(load<std::uint8_t>(kGdt + kTssBSel + 5), 0x89);
  Descriptor d = *read_descriptor(core, {kData32}, general_protection());
  ASSERT_TRUE(set_accessed(core, {kData32}, d));
  EXPECT_TRUE(d.accessed());
  EXPECT_EQ(load<std::uint8_t>(kGdt + kData32 + 5), 0x93);
}

}  // namespace
}  // namespace ringshift::translator
