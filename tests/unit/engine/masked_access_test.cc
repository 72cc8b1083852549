// tests/unit/engine/masked_access_test.cc - what a mask leaves out is not accessed: no fault, no
// device, no byte beside it changes. Every element boundary beside an absent page is tried.
#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {

namespace {

using asmjit::x86::Assembler;
using guest::Gpr;
using Access = TestDevice::Access;
using namespace asmjit::x86;
using namespace place;

// Present, but the next page is not.
constexpr std::uint64_t kLast = kData + 0x1000, kAbsent = kData + 0x2000;
constexpr std::uint64_t kResult = kData;

class MaskedAccess : public EngineTest {
 protected:
  void SetUp() override {
    if (!machine.model.has(guest::feature::kAvx512bw)) GTEST_SKIP() << "the host has no AVX-512";
  }
  // RBX the operand, K1 the mask from RCX, ZMM1 and ZMM2 all ones; RDI a place for results.
  template <typename Write>
  void load(std::uint64_t operand, std::uint64_t mask, Write&& write) {
    load_long([&](Assembler& a) {
      a.kmovq(k1, rcx);
      a.vpternlogd(zmm1, zmm1, zmm1, 0xff);
      a.vmovdqu64(zmm2, zmm1);
      write(a);
      a.hlt();
    });
    machine.state().cr4 |= guest::cr4::kOsfxsr | guest::cr4::kOsxsave;
    machine.state().xcr0 = machine.model.supported_xcr0();
    machine.map(kAbsent, kAbsent, 0);
    machine.reg(Gpr::kRbx) = operand;
    machine.reg(Gpr::kRcx) = mask;
    machine.reg(Gpr::kRdi) = kResult;
    machine.vcpu->state_changed();
    for (unsigned i = 0; i < 64; ++i) {
      machine.store<std::uint8_t>(kAbsent - 64 + i, static_cast<std::uint8_t>(i + 1));
      machine.store<std::uint8_t>(kResult + i, 0);
    }
  }
};

std::uint64_t low_bits(unsigned n) { return n >= 64 ? ~0ull : (1ull << n) - 1; }

// The operand begins n dwords before the absent page; of the mask's bits, n are allowed.
TEST_P(MaskedAccess, LoadsUpToAnAbsentPage) {
  for (unsigned n = 0; n < 16; ++n) {
    SCOPED_TRACE(n);
    const auto code = [](Assembler& a) {
      a.k(k1).z().vmovdqu32(zmm3, ptr(rbx));
      a.vmovdqu32(ptr(rdi), zmm3);
    };
    load(kAbsent - 4 * n, low_bits(n) & 0x5555, code);
    ASSERT_TRUE(halted_itself(machine.run()));
    for (unsigned i = 0; i < 16; ++i)
      EXPECT_EQ(machine.load<std::uint8_t>(kResult + 4 * i),
                i < n && i % 2 == 0 ? 64 - 4 * n + 4 * i + 1 : 0)
          << i;
    load(kAbsent - 4 * n, 1u << n, code);
    EXPECT_EQ(machine.run().vector, 14);
    EXPECT_EQ(machine.state().cr2, kAbsent);
  }
}

TEST_P(MaskedAccess, StoresUpToAnAbsentPage) {
  for (unsigned n = 0; n < 16; ++n) {
    SCOPED_TRACE(n);
    const auto code = [](Assembler& a) { a.k(k1).vmovdqu32(ptr(rbx), zmm1); };
    load(kAbsent - 4 * n, low_bits(n) & 0x5555, code);
    ASSERT_TRUE(halted_itself(machine.run()));
    for (unsigned i = 0; i < n; ++i) {
      const std::uint64_t at = kAbsent - 4 * n + 4 * i;
      EXPECT_EQ(machine.load<std::uint32_t>(at) == ~0u, i % 2 == 0) << i;
    }
    // All or nothing.
    load(kAbsent - 4 * n, low_bits(n + 1), code);
    EXPECT_EQ(machine.run().vector, 14);
    for (unsigned i = 0; i < 64; ++i)
      EXPECT_EQ(machine.load<std::uint8_t>(kAbsent - 64 + i), i + 1) << i;
  }
}

// The first page is absent and masked out.
TEST_P(MaskedAccess, TheFirstPageAbsent) {
  load(kAbsent + 0x1000 - 32, 0xff00, [](Assembler& a) { a.k(k1).vmovdqu32(ptr(rbx), zmm1); });
  ASSERT_TRUE(halted_itself(machine.run()));
  for (unsigned i = 0; i < 8; ++i)
    EXPECT_EQ(machine.load<std::uint32_t>(kAbsent + 0x1000 + 4 * i), ~0u) << i;
}

TEST_P(MaskedAccess, NothingSelectedInAnAbsentPageOrBeyondTheCanonicalAddresses) {
  for (const std::uint64_t at : {kAbsent, std::uint64_t{0x0000'8000'0000'0000}}) {
    load(at, 0, [](Assembler& a) {
      a.k(k1).vmovdqu32(ptr(rbx), zmm1);
      a.k(k1).vaddps(zmm3, zmm1, ptr(rbx));
      a.k(k1).z().vpexpandd(zmm3, ptr(rbx));
      a.k(k1).vpcompressd(ptr(rbx), zmm1);
      a.k(k1).vpaddd(zmm3, zmm1, ptr(rbx)._1to16());
      a.vpxor(xmm5, xmm5, xmm5);
      a.vmaskmovps(ptr(rbx), ymm5, ymm1);
      a.vpmaskmovq(ymm6, ymm5, ptr(rbx));
    });
    EXPECT_TRUE(halted_itself(machine.run()));
  }
}

TEST_P(MaskedAccess, CompressAndExpandCountTheirBits) {
  for (unsigned n = 1; n < 8; ++n) {
    SCOPED_TRACE(n);
    const std::uint64_t spread = 0x0101'0101'0101'0101 & low_bits(8 * n);  // n bits
    load(kAbsent - n, spread, [](Assembler& a) { a.k(k1).vpcompressb(ptr(rbx), zmm1); });
    ASSERT_TRUE(halted_itself(machine.run()));
    for (unsigned i = 0; i < 16; ++i)
      EXPECT_EQ(machine.load<std::uint8_t>(kAbsent - 1 - i), i < n ? 0xff : 64 - i) << i;
    load(kAbsent - n, spread, [](Assembler& a) {
      a.k(k1).z().vpexpandb(zmm3, ptr(rbx));
      a.vmovdqu32(ptr(rdi), zmm3);
    });
    ASSERT_TRUE(halted_itself(machine.run()));
    for (unsigned i = 0; i < 64; ++i)
      EXPECT_EQ(machine.load<std::uint8_t>(kResult + i),
                i % 8 == 0 && i / 8 < n ? 64 - n + i / 8 + 1 : 0)
          << i;
    load(kAbsent - n + 1, spread, [](Assembler& a) { a.k(k1).z().vpexpandb(zmm3, ptr(rbx)); });
    EXPECT_EQ(machine.run().vector, 14);
  }
}

// VEX masks are the sign bits of a register.
TEST_P(MaskedAccess, VexStoresUpToAnAbsentPage) {
  for (unsigned n = 0; n < 4; ++n) {
    SCOPED_TRACE(n);
    load(kAbsent - 8 * n, low_bits(n), [](Assembler& a) {
      a.vpmovm2q(ymm5, k1);
      a.vpmaskmovq(ptr(rbx), ymm5, ymm1);
      a.vpmaskmovq(ymm6, ymm5, ptr(rbx));
    });
    ASSERT_TRUE(halted_itself(machine.run()));
    for (unsigned i = 0; i < n; ++i)
      EXPECT_EQ(machine.load<std::uint64_t>(kAbsent - 8 * n + 8 * i), ~0ull) << i;
  }
}

// The device sees the selected elements; a store reads nothing.
TEST_P(MaskedAccess, DevicesSeeWhatIsSelected) {
  load(kDevice, 0b101, [](Assembler& a) {
    a.k(k1).vmovdqu32(ptr(rbx), xmm1);
    a.k(k1).z().vmovdqu32(xmm3, ptr(rbx));
  });
  machine.device.accesses.clear();
  ASSERT_TRUE(halted_itself(machine.run()));
  const std::vector<Access> expected = {{'w', 0, 4, 0xffffffff},
                                        {'w', 8, 4, 0xffffffff},
                                        {'r', 0, 4, 0x44332211},
                                        {'r', 8, 4, 0x44332211}};
  EXPECT_EQ(machine.device.accesses, expected);
}

// A page that holds code: what the store leaves out does not touch the code beside it.
TEST_P(MaskedAccess, StoresBesideCode) {
  load(kCode + 0x400, 1, [](Assembler& a) {
    a.k(k1).vmovdqu32(ptr(rbx), zmm1);
    a.k(k1).vmovdqu32(ptr(rbx), zmm1);
  });
  for (unsigned i = 0; i < 64; ++i) machine.store<std::uint8_t>(kCode + 0x400 + i, 0x55);
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(machine.load<std::uint64_t>(kCode + 0x400), 0x55555555'ffffffffu);
}

RS_FOR_ALL_SETTINGS(MaskedAccess);

}  // namespace
}  // namespace ringshift::engine
