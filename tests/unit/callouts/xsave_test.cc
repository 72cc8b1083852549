// tests/unit/callouts/xsave_test.cc - the XSAVE family against this machine's own, and its checks.
#include "translator/callouts/xsave.h"

#include <cstring>
#include <random>

#include "tests/unit/callouts/fixture.h"
#include "tests/unit/callouts/fpu_oracle.h"
#include "translator/callouts/extended_state.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;
using guest::Vector;

class XsaveTest : public CalloutTest {
 protected:
  static constexpr std::uint64_t kArea = kData + 0x1000;
  static constexpr std::uint64_t kCompactedBit = std::uint64_t{1} << 63;

  void enter_with_xsave() {
    enter_long();
    state.cr4 |= guest::cr4::kOsfxsr | guest::cr4::kOsxsave;
    state.xcr0 = model.supported_xcr0() & ~bit_of(component::kPkru);  // the host may lack it
    set_host_mask();
  }
  void set_mask(std::uint64_t mask) {
    state.reg(Gpr::kRax) = static_cast<std::uint32_t>(mask);
    state.reg(Gpr::kRdx) = mask >> 32;
  }
  void set_host_mask() { store_host(state.xsave.data() + area::kMxcsrMask, host_mxcsr_mask()); }
  void put(const StateArea& area) { memory->write_bytes({kArea}, area.bytes); }
  StateArea get() {
    StateArea area;
    memory->read_bytes({kArea}, area.bytes);
    return area;
  }
  Result restore(const StateArea& area, std::uint64_t mask) {
    put(area);
    set_mask(mask);
    return restore_extended(core, memory_operation(8, kArea));
  }
  StateArea save(SaveForm form, std::uint64_t mask, const StateArea& before) {
    static constexpr Handler kHandlersByForm[] = {save_extended, save_extended_optimized,
                                                  save_extended_compacted};
    put(before);
    set_mask(mask);
    EXPECT_EQ(kHandlersByForm[static_cast<int>(form)](core, memory_operation(8, kArea)),
              Next::kContinue);
    return get();
  }

  StateArea random_image(std::uint64_t xstate_bv, std::uint64_t xcomp_bv) {
    StateArea area;
    for (auto& byte : area.bytes) byte = static_cast<std::uint8_t>(random_() | 1);
    for (unsigned i = 0; i < 8; ++i) std::memset(area.bytes.data() + area::kSt + i * 16 + 10, 0, 6);
    std::memset(area.bytes.data() + area::kFop - 1, 0, area::kMxcsr - area::kFop + 1);
    store_host<std::uint16_t>(area.bytes.data(), static_cast<std::uint16_t>(random_() | 0x3f));
    store_host<std::uint32_t>(area.bytes.data() + area::kMxcsr,
                              0x1f80 | static_cast<std::uint32_t>(random_() & 0xe03f));
    std::memset(area.bytes.data() + area::kXstateBv, 0, area::kHeaderBytes);
    store_host(area.bytes.data() + area::kXstateBv, xstate_bv);
    store_host(area.bytes.data() + area::kXcompBv, xcomp_bv);
    return area;
  }
  // Components 5 to 7 may be picked one by one here: XCR0 has them all.
  StateArea random_image() {
    const std::uint64_t components = random_() & state.xcr0;
    if (random_() % 2) return random_image(components, 0);
    return random_image(components & random_(), components | kCompactedBit);
  }

  std::mt19937_64 random_{99};
};

// A chain of restores and one save, with random masks, formats and components in use.
TEST_F(XsaveTest, RestoresAndSavesAreTheHosts) {
  enter_with_xsave();
  if (!model.has(guest::feature::kXsavec)) GTEST_SKIP() << "the host has no XSAVEC";
  for (int i = 0; i < 3000 && !HasFailure(); ++i) {
    const StateArea base = random_image(), image = random_image();
    const std::uint64_t mask = random_(), save_mask = random_() & state.xcr0;
    const auto form = static_cast<SaveForm>(i % 3);
    StateArea blank;
    blank.bytes.fill(0xaa);
    // XSAVE keeps XSTATE_BV bits that it was not asked for.
    store_host<std::uint64_t>(blank.bytes.data() + area::kXstateBv, random_() & state.xcr0);
    ASSERT_EQ(restore(base, ~std::uint64_t{0}), Next::kContinue);
    ASSERT_EQ(restore(image, mask), Next::kContinue);
    const StateArea mine = save(form, save_mask, blank);
    // HW: a context switch of the host between the two native instructions may leave a component in
    // use that was initial, so a case that differs is tried again.
    StateArea native;
    for (int attempt = 0; attempt < 5; ++attempt) {
      native = blank;
      restore_and_save(base, image, mask & state.xcr0, form, save_mask, native);
      if (native.bytes == mine.bytes) break;
    }
    for (std::size_t at = 0; at < mine.bytes.size(); ++at)
      ASSERT_EQ(mine.bytes[at], native.bytes[at])
          << "byte " << at << " form " << int(form) << " mask " << std::hex << mask << " save "
          << save_mask << " case " << i;
  }
}

// Outside 64-bit code registers 8 to 31 neither change nor show.
TEST_F(XsaveTest, HighRegistersStayOutside64BitCode) {
  enter_with_xsave();
  const std::uint64_t all = state.xcr0;
  ASSERT_EQ(restore(random_image(all, 0), all), Next::kContinue);
  const ExtendedState x(core);
  std::array<VectorBytes, 16> before;
  for (unsigned i = 0; i < 16; ++i) before[i] = x.vector(i);

  state.segment(guest::Seg::kCs).attributes = 0xc09b;
  ASSERT_EQ(restore(random_image(0, 0), all), Next::kContinue);
  for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(x.vector(i), VectorBytes{}) << i;
  for (unsigned i = 8; i < 16; ++i) EXPECT_EQ(x.vector(i), before[i]) << i;

  StateArea blank;
  blank.bytes.fill(0xaa);
  std::memset(blank.bytes.data() + area::kXstateBv, 0, area::kHeaderBytes);
  const StateArea saved = save(SaveForm::kXsave, all, blank);
  EXPECT_EQ(saved.bytes[area::kXmm + 127], 0);
  EXPECT_EQ(saved.bytes[area::kXmm + 128], 0xaa);
  const std::size_t avx = component_layout(core, component::kAvx).offset;
  EXPECT_EQ(saved.bytes[avx + 127], 0);
  EXPECT_EQ(saved.bytes[avx + 128], 0xaa);
}

TEST_F(XsaveTest, HeaderChecks) {
  enter_with_xsave();
  state.xcr0 = 7;
  const auto rejected = [&](std::uint64_t bv, std::uint64_t comp, std::size_t dirty_byte) {
    StateArea image = random_image(bv, comp);
    if (dirty_byte) image.bytes[area::kXstateBv + dirty_byte] = 1;
    const auto before = state.xsave;
    const bool faulted =
        faults_with(restore(image, ~std::uint64_t{0}), guest::general_protection());
    return faulted && state.xsave == before;
  };
  EXPECT_TRUE(rejected(8, 0, 0));                     // XSTATE_BV outside XCR0
  EXPECT_TRUE(rejected(1, 1, 0));                     // XCOMP_BV without bit 63
  EXPECT_TRUE(rejected(1, 0, 16));                    // bytes 23:16
  EXPECT_FALSE(rejected(1, 0, 24));                   // the rest is ignored in the standard format
  EXPECT_TRUE(rejected(1, kCompactedBit | 0x21, 0));  // XCOMP_BV outside XCR0
  EXPECT_TRUE(rejected(4, kCompactedBit | 3, 0));     // XSTATE_BV outside XCOMP_BV
  EXPECT_TRUE(rejected(1, kCompactedBit | 3, 24));
  EXPECT_TRUE(rejected(1, kCompactedBit | 3, 63));
  EXPECT_FALSE(rejected(1, kCompactedBit | 3, 0));
}

TEST_F(XsaveTest, MxcsrReservedBits) {
  enter_with_xsave();
  StateArea image = random_image(3, 0);
  store_host<std::uint32_t>(image.bytes.data() + area::kMxcsr, 0x10000);
  EXPECT_TRUE(faults_with(restore(image, 2), guest::general_protection()));
  EXPECT_TRUE(faults_with(restore(image, 4), guest::general_protection()));
  EXPECT_EQ(restore(image, 1), Next::kContinue);  // MXCSR is not loaded
}

TEST_F(XsaveTest, EnableAndOperandChecks) {
  enter_with_xsave();
  set_mask(7);
  EXPECT_TRUE(faults_with(save_extended(core, memory_operation(8, kArea + 32)),
                          guest::general_protection()));
  EXPECT_TRUE(faults_with(restore_extended(core, memory_operation(8, kArea + 32)),
                          guest::general_protection()));
  state.cr0 |= guest::cr0::kTs;
  EXPECT_TRUE(faults_with(save_extended(core, memory_operation(8, kArea)),
                          guest::fault(Vector::kDeviceNotAvailable)));
  state.cr4 &= ~guest::cr4::kOsxsave;
  EXPECT_TRUE(
      faults_with(save_extended(core, memory_operation(8, kArea)), guest::invalid_opcode()));
  EXPECT_TRUE(faults_with(get_extended_control(core, operation(4)), guest::invalid_opcode()));
}

// The fault comes before any byte is written, wherever in the area the missing page lies.
TEST_F(XsaveTest, SaveIsAllOrNothing) {
  enter_with_xsave();
  const std::uint64_t at = kRamBytes - 640;  // the AVX component is past the end
  ASSERT_EQ(restore(random_image(7, 0), 7), Next::kContinue);
  set_mask(7);
  EXPECT_TRUE(
      faults_with(save_extended(core, memory_operation(8, at)), guest::page_fault(kRamBytes, 2)));
  for (std::uint64_t i = 0; i < 640; i += 8) EXPECT_EQ(load64(at + i), 0u);
  set_mask(3);
  EXPECT_EQ(save_extended(core, memory_operation(8, at)), Next::kContinue);
}

TEST_F(XsaveTest, ExtendedControlRegister) {
  enter_with_xsave();
  const std::uint64_t supported = model.supported_xcr0();
  const auto set = [&](std::uint32_t index, std::uint64_t value) {
    state.reg(Gpr::kRcx) = index;
    set_mask(value);
    return set_extended_control(core, operation(4)).has_value();
  };
  EXPECT_TRUE(set(0, 3));
  EXPECT_EQ(state.xcr0, 3u);
  EXPECT_FALSE(set(1, 3));
  EXPECT_FALSE(set(0, 2));     // x87 must stay
  EXPECT_FALSE(set(0, 5));     // AVX without SSE
  EXPECT_FALSE(set(0, 0x27));  // a part of AVX-512
  EXPECT_FALSE(set(0, supported | (1ull << 62)));
  EXPECT_EQ(state.xcr0, 3u);
  EXPECT_TRUE(set(0, supported));
  state.cpl = 3;
  EXPECT_FALSE(set(0, 3));
  state.reg(Gpr::kRcx) = 0;
  ASSERT_EQ(get_extended_control(core, operation(4)), Next::kContinue);
  EXPECT_EQ(state.reg(Gpr::kRax), supported);
  EXPECT_EQ(state.reg(Gpr::kRdx), 0u);
  state.reg(Gpr::kRcx) = 2;
  EXPECT_TRUE(faults_with(get_extended_control(core, operation(4)), guest::general_protection()));
}

// PKRU goes with the others, and has to be enabled; zero is its initial value.
TEST_F(XsaveTest, PkruIsAComponent) {
  enter_with_xsave();
  if (!model.has(guest::feature::kPku)) GTEST_SKIP() << "the host's processor has no XSAVE";
  const std::uint64_t kPkru = bit_of(component::kPkru);
  const std::size_t at = component_layout(core, component::kPkru).offset;
  state.pkru = 0x55555554;
  EXPECT_EQ(
      load_host<std::uint64_t>(save(SaveForm::kXsave, kPkru, {}).bytes.data() + area::kXstateBv),
      0u)
      << "not in XCR0";
  state.xcr0 |= kPkru;
  StateArea saved = save(SaveForm::kXsave, kPkru, {});
  EXPECT_EQ(load_host<std::uint64_t>(saved.bytes.data() + area::kXstateBv), kPkru);
  EXPECT_EQ(load_host<std::uint64_t>(saved.bytes.data() + at), 0x55555554u);

  store_host<std::uint32_t>(saved.bytes.data() + at, 0x0c);
  ASSERT_EQ(restore(saved, kPkru), Next::kContinue);
  EXPECT_EQ(state.pkru, 0x0cu);
  store_host<std::uint64_t>(saved.bytes.data() + area::kXstateBv, 0);
  ASSERT_EQ(restore(saved, kPkru), Next::kContinue);
  EXPECT_EQ(state.pkru, 0u);

  state.pkru = 1;
  const StateArea compacted = save(SaveForm::kXsavec, kPkru | 2, {});
  EXPECT_EQ(load_host<std::uint64_t>(compacted.bytes.data() + area::kXstateBv) & kPkru, kPkru);
  EXPECT_EQ(load_host<std::uint64_t>(compacted.bytes.data() + area::kExtended), 1u);
}

TEST_F(XsaveTest, SupervisorFormsAreUndefined) {
  enter_with_xsave();
  EXPECT_TRUE(faults_with(undefined_supervisor_save(core, memory_operation(8, kArea)),
                          guest::invalid_opcode()));
}

}  // namespace
}  // namespace ringshift::translator
