// tests/unit/callouts/fpu_state_test.cc - FXSAVE and the older x87 images against this machine's
// own.
#include "translator/callouts/fpu_state.h"

#include <cstring>
#include <random>

#include "tests/unit/callouts/fixture.h"
#include "tests/unit/callouts/fpu_oracle.h"
#include "translator/callouts/fx_image.h"

namespace ringshift::translator {
namespace {

using guest::Vector;

class FpuStateTest : public CalloutTest {
 protected:
  static constexpr std::uint64_t kArea = kData + 0x1000;

  void enter_with_sse() {
    enter_long();
    state.cr4 |= guest::cr4::kOsfxsr;
    set_host_mask();
  }
  void set_host_mask() { store_host(state.xsave.data() + area::kMxcsrMask, host_mxcsr_mask()); }
  void put(const StateArea& area, std::size_t bytes) {
    memory->write_bytes({kArea}, std::span(area.bytes).first(bytes));
  }
  StateArea get() {
    StateArea area;
    memory->read_bytes({kArea}, area.bytes);
    return area;
  }

  // An image with every exception masked; kinds of x87 numbers are mixed.
  StateArea random_fx_image() {
    StateArea area;
    for (std::size_t i = area::kSt; i < 416; ++i)
      area.bytes[i] = static_cast<std::uint8_t>(random_());
    for (unsigned i = 0; i < 8; ++i) {
      std::uint8_t* st = area.bytes.data() + area::kSt + i * 16;
      std::memset(st + 10, 0, 6);
      if (random_() % 3 == 0) std::memset(st, 0, 8);
      if (random_() % 3 == 0) std::memset(st + 8, 0, 2);
      if (random_() % 4 == 0) st[8] = 0xff, st[9] = 0x7f;
      if (random_() % 2 == 0) st[7] |= 0x80;
    }
    store_host<std::uint16_t>(area.bytes.data(), static_cast<std::uint16_t>(random_() | 0x3f));
    store_host<std::uint16_t>(area.bytes.data() + area::kFsw,
                              static_cast<std::uint16_t>(random_()));
    area.bytes[area::kFtw] = static_cast<std::uint8_t>(random_());
    store_host<std::uint32_t>(area.bytes.data() + area::kMxcsr, 0x1f80);
    return area;
  }
  void load_guest(const StateArea& image) {
    put(image, 512);
    ASSERT_EQ(restore_fx(core, memory_operation(8, kArea)), Next::kContinue);
  }
  StateArea save_guest() {
    put({}, 512);
    EXPECT_EQ(save_fx(core, memory_operation(8, kArea)), Next::kContinue);
    return get();
  }
  static void expect_same_fx(const StateArea& guest_side, const StateArea& native) {
    for (std::size_t i = 0; i < 416; ++i) {
      const bool pointers = i >= area::kFop && i < area::kMxcsr;
      ASSERT_EQ(guest_side.bytes[i], pointers ? 0 : native.bytes[i]) << "byte " << i;
    }
  }
  static bool is_32(X87Image kind) {
    return kind == X87Image::kEnvironment32 || kind == X87Image::kState32;
  }
  static bool is_state(X87Image kind) {
    return kind == X87Image::kState32 || kind == X87Image::kState16;
  }
  static constexpr X87Image kKinds[] = {X87Image::kEnvironment32, X87Image::kEnvironment16,
                                        X87Image::kState32, X87Image::kState16};
  static Operation sized(Operation op, X87Image kind) {
    op.operand_bytes = is_32(kind) ? 4 : 2;
    return op;
  }

  std::mt19937_64 random_{7};
};

TEST_F(FpuStateTest, FxrstorThenFxsave) {
  enter_with_sse();
  for (int i = 0; i < 300 && !HasFailure(); ++i) {
    const StateArea image = random_fx_image();
    StateArea environment, after;
    store_x87(image, X87Image::kEnvironment32, environment, after);  // unmasks nothing: all masked
    load_guest(image);
    expect_same_fx(save_guest(), after);
  }
}

TEST_F(FpuStateTest, StoredImagesAreTheHosts) {
  enter_with_sse();
  for (int i = 0; i < 800 && !HasFailure(); ++i) {
    const X87Image kind = kKinds[i % 4];
    const StateArea before = random_fx_image();
    StateArea image, after;
    image.bytes.fill(0xaa);
    store_x87(before, kind, image, after);

    load_guest(before);
    StateArea blank;
    blank.bytes.fill(0xaa);
    put(blank, 512);
    const Operation op = sized(memory_operation(4, kArea), kind);
    ASSERT_EQ((is_state(kind) ? save_x87 : store_x87_environment)(core, op), Next::kContinue);
    const StateArea mine = get();
    const std::size_t pointers = is_32(kind) ? 12 : 6, words = is_32(kind) ? 28 : 14;
    for (std::size_t at = 0; at < 512; ++at) {
      const bool hidden = at >= pointers && at < words && !(is_32(kind) && at >= 26);
      ASSERT_EQ(mine.bytes[at], hidden ? 0 : image.bytes[at])
          << "byte " << at << " kind " << int(kind);
    }
    expect_same_fx(save_guest(), after);
  }
}

TEST_F(FpuStateTest, LoadedImagesLeaveTheHostsState) {
  enter_with_sse();
  for (int i = 0; i < 800 && !HasFailure(); ++i) {
    const X87Image kind = kKinds[i % 4];
    const StateArea before = random_fx_image();
    StateArea image, after;
    for (std::size_t at = 0; at < 108; ++at) image.bytes[at] = static_cast<std::uint8_t>(random_());
    load_x87(before, kind, image, after);

    load_guest(before);
    put(image, 108);
    const Operation op = sized(memory_operation(4, kArea), kind);
    ASSERT_EQ((is_state(kind) ? restore_x87 : load_x87_environment)(core, op), Next::kContinue);
    expect_same_fx(save_guest(), after);
  }
}

TEST_F(FpuStateTest, StateThatWasNeverUsedSavesAsInitial) {
  enter_with_sse();
  state.xsave.fill(0xcc);  // stale bytes behind clear XSTATE_BV bits
  store_host<std::uint64_t>(state.xsave.data() + area::kXstateBv, 0);
  store_host<std::uint32_t>(state.xsave.data() + area::kMxcsr, 0x1f80);
  const StateArea saved = save_guest();
  EXPECT_EQ(load_host<std::uint16_t>(saved.bytes.data()), 0x37f);
  EXPECT_EQ(saved.bytes[area::kFtw], 0);
  EXPECT_EQ(load_host<std::uint64_t>(saved.bytes.data() + area::kSt), 0u);
  EXPECT_EQ(load_host<std::uint64_t>(saved.bytes.data() + 400), 0u);
}

TEST_F(FpuStateTest, HostPointersNeverShow) {
  enter_with_sse();
  load_guest(random_fx_image());
  for (std::size_t i = area::kFop; i < area::kMxcsr; ++i) state.xsave[i] = 0xee;
  const StateArea saved = save_guest();
  for (std::size_t i = area::kFop; i < area::kMxcsr; ++i) EXPECT_EQ(saved.bytes[i], 0) << i;
}

TEST_F(FpuStateTest, FxsaveOutside64BitCodeSavesEightRegisters) {
  enter_with_sse();
  load_guest(random_fx_image());
  enter_protected32();
  state.cr4 |= guest::cr4::kOsfxsr;
  StateArea blank;
  blank.bytes.fill(0xaa);
  put(blank, 512);
  ASSERT_EQ(save_fx(core, memory_operation(4, kArea)), Next::kContinue);
  const StateArea saved = get();
  EXPECT_EQ(std::memcmp(saved.bytes.data() + area::kXmm, state.xsave.data() + area::kXmm, 128), 0);
  for (std::size_t i = 288; i < 512; ++i) EXPECT_EQ(saved.bytes[i], 0xaa) << i;
}

TEST_F(FpuStateTest, WithoutOsfxsrXmmStays) {
  enter_with_sse();
  load_guest(random_fx_image());
  const auto before = state.xsave;
  state.cr4 = guest::cr4::kPae;
  put(random_fx_image(), 512);
  ASSERT_EQ(restore_fx(core, memory_operation(8, kArea)), Next::kContinue);
  EXPECT_EQ(std::memcmp(before.data() + area::kXmm, state.xsave.data() + area::kXmm, 256), 0);
}

TEST_F(FpuStateTest, Faults) {
  enter_with_sse();
  StateArea image = random_fx_image();
  store_host<std::uint32_t>(image.bytes.data() + area::kMxcsr, 0x10000);
  put(image, 512);
  const auto before = state.xsave;
  EXPECT_TRUE(
      faults_with(restore_fx(core, memory_operation(8, kArea)), guest::general_protection()));
  EXPECT_EQ(state.xsave, before);
  EXPECT_TRUE(
      faults_with(save_fx(core, memory_operation(8, kArea + 8)), guest::general_protection()));
  EXPECT_TRUE(faults_with(save_fx(core, memory_operation(8, kRamBytes - 256)),
                          guest::page_fault(kRamBytes, 2)));
  for (const std::uint64_t bit : {guest::cr0::kTs, guest::cr0::kEm}) {
    state.cr0 |= bit;
    for (const Handler handler_under_test :
         {save_fx, restore_fx, save_x87, restore_x87, store_x87_environment, load_x87_environment})
      EXPECT_TRUE(faults_with(handler_under_test(core, memory_operation(4, kArea)),
                              guest::fault(Vector::kDeviceNotAvailable)));
    state.cr0 &= ~bit;
  }
}

// FRSTOR and FLDENV wait for a pending exception; the FN forms do not.
TEST_F(FpuStateTest, PendingExceptionStopsTheWaitingForms) {
  enter_with_sse();
  StateArea image = random_fx_image();
  store_host<std::uint16_t>(image.bytes.data(), 0x37e);
  store_host<std::uint16_t>(image.bytes.data() + area::kFsw, 1);
  load_guest(image);
  EXPECT_TRUE(faults_with(load_x87_environment(core, memory_operation(4, kArea)),
                          guest::fault(Vector::kX87Error)));
  EXPECT_TRUE(
      faults_with(restore_x87(core, memory_operation(4, kArea)), guest::fault(Vector::kX87Error)));
  EXPECT_EQ(store_x87_environment(core, memory_operation(4, kArea)), Next::kContinue);
  // FNSTENV masked everything, so nothing is pending any more.
  EXPECT_TRUE(check_pending_x87(core).has_value());
}

}  // namespace
}  // namespace ringshift::translator
