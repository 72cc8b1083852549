// tests/unit/callouts/fsgsbase_test.cc - FS and GS base instructions and SWAPGS.
#include "translator/callouts/fsgsbase.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;
using guest::Seg;

class FsGsBase : public CalloutTest {
 protected:
  FsGsBase() {
    enter_long(3);
    state.cr4 |= guest::cr4::kFsgsbase;
  }
  Operation with_rbx(unsigned bytes, std::uint64_t value) {
    Operation op = operation(bytes);
    op.rm = static_cast<std::uint8_t>(Gpr::kRbx);
    state.reg(Gpr::kRbx) = value;
    return op;
  }
};

TEST_F(FsGsBase, WritesAndReads) {
  ASSERT_TRUE(wrfsbase(core, with_rbx(8, 0xffff'8000'1234'5678)));
  ASSERT_TRUE(wrgsbase(core, with_rbx(4, 0xffff'ffff'8765'4321)));
  EXPECT_EQ(state.segment(Seg::kFs).base, 0xffff'8000'1234'5678u);
  EXPECT_EQ(state.segment(Seg::kGs).base, 0x87654321u) << "the 32-bit form zero-extends";
  ASSERT_TRUE(rdfsbase(core, with_rbx(8, 0)));
  EXPECT_EQ(state.reg(Gpr::kRbx), 0xffff'8000'1234'5678u);
  ASSERT_TRUE(rdfsbase(core, with_rbx(4, ~0ull)));
  EXPECT_EQ(state.reg(Gpr::kRbx), 0x12345678u);
  ASSERT_TRUE(rdgsbase(core, with_rbx(8, 0)));
  EXPECT_EQ(state.reg(Gpr::kRbx), 0x87654321u);
}

TEST_F(FsGsBase, NonCanonicalIsRefused) {
  EXPECT_TRUE(faults_with(wrfsbase(core, with_rbx(8, 1ull << 47)), guest::general_protection()));
  EXPECT_EQ(state.segment(Seg::kFs).base, 0u);
}

TEST_F(FsGsBase, Cr4Enables) {
  state.cr4 &= ~guest::cr4::kFsgsbase;
  for (Handler instruction : {rdfsbase, rdgsbase, wrfsbase, wrgsbase})
    EXPECT_TRUE(faults_with(instruction(core, with_rbx(8, 0)), guest::invalid_opcode()));
}

TEST_F(FsGsBase, SwapgsExchanges) {
  state.segment(Seg::kGs).base = 1;
  state.msr.kernel_gs_base = 2;
  ASSERT_TRUE(swapgs(core, operation(8)));
  EXPECT_EQ(state.segment(Seg::kGs).base, 2u);
  EXPECT_EQ(state.msr.kernel_gs_base, 1u);
}

}  // namespace
}  // namespace ringshift::translator
