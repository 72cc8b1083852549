// tests/unit/engine/guest_machine.cc - a small guest around the running engine.
#include "tests/unit/engine/guest_machine.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "runtime/kvm/kvm_accelerator.h"
#include "runtime/kvm/kvm_device.h"
#include "tests/unit/engine/kvm_limits.h"

namespace ringshift::engine {
namespace {

using guest::Seg;
using guest::SegmentRegister;
using namespace place;

constexpr unsigned kVectors = 128, kHandlerBytes = 16;
constexpr std::uint16_t kAttrCode32 = 0xc09b, kAttrData32 = 0xc093, kAttrCode64 = 0xa09b,
                        kAttrTss = 0x8b, kDpl3 = 0x60;
constexpr std::uint16_t kTssLimit = 0x2067;  // the I/O bitmap follows: every port is allowed

std::uint64_t descriptor(std::uint16_t attributes, std::uint32_t base, std::uint32_t limit20) {
  return (limit20 & 0xffff) | std::uint64_t{base & 0xffffff} << 16 |
         std::uint64_t{attributes & 0xf0ffu} << 40 | std::uint64_t{limit20 >> 16 & 15} << 48 |
         std::uint64_t{base >> 24} << 56;
}

bool has_error_code(unsigned vector) {
  return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

// Calls stop() when the run lasts longer than its budget.
class Watchdog {
 public:
  Watchdog(runtime::Vcpu& vcpu, std::chrono::milliseconds budget)
      : thread_([this, &vcpu, budget] {
          std::unique_lock lock(mutex_);
          if (changed_.wait_for(lock, budget, [this] { return done_; })) return;
          fired_ = true;
          vcpu.stop();
        }) {}
  bool finish() {
    {
      std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_one();
    thread_.join();
    return fired_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false, fired_ = false;
  std::thread thread_;
};

}  // namespace

GuestMachine::GuestMachine(const runtime::BtOptions& options, std::string_view model_name)
    : GuestMachine(runtime::create_bt_accelerator(options), model_name) {}

GuestMachine::GuestMachine(std::unique_ptr<runtime::Accelerator> chosen,
                           std::string_view model_name)
    : memory(guest::PhysicalMemory::create(kRam).value()),
      accelerator(std::move(chosen)),
      model(guest::CpuModel::create(model_name, accelerator->features()).value()) {
  EXPECT_TRUE(memory->add_mmio({kDevice}, 0x10000, device));
  vcpu = accelerator->create_vcpu(*memory, model, board).value();
  write_gdt();
  write_tables();
  for (unsigned v = 0; v < 256; ++v) {
    set_handler(v, Bytes(kHandlerBytes, 0xf4));
    store<std::uint32_t>(kIvt + 4 * v,
                         static_cast<std::uint32_t>(kHandlers >> 4) << 16 | v * kHandlerBytes);
  }
}

GuestMachine::~GuestMachine() = default;

void GuestMachine::write_gdt() {
  auto gdt = [&](std::uint16_t selector, std::uint64_t v) { store(kGdt + (selector & ~7u), v); };
  gdt(select::kCode32, descriptor(kAttrCode32, 0, 0xfffff));
  gdt(select::kData32, descriptor(kAttrData32, 0, 0xfffff));
  gdt(select::kCode64, descriptor(kAttrCode64, 0, 0xfffff));
  gdt(select::kCode32R3, descriptor(kAttrCode32 | kDpl3, 0, 0xfffff));
  gdt(select::kData32R3, descriptor(kAttrData32 | kDpl3, 0, 0xfffff));
  gdt(select::kCode64R3, descriptor(kAttrCode64 | kDpl3, 0, 0xfffff));
  gdt(select::kTss32, descriptor(kAttrTss, kTss, 0x67));
  gdt(select::kTss64, descriptor(kAttrTss, kTss, 0x67));
  gdt(select::kLdt, descriptor(0x82, 0x5000, 0xff));
}

// The first 4 MiB map to themselves, and the device's page directory entry to the device.
void GuestMachine::write_tables() {
  store<std::uint64_t>(kPml4, kPdpt | 7);
  store<std::uint64_t>(kPdpt, kPd | 7);
  store<std::uint64_t>(kPdpt + 3 * 8, kPd | 7);  // 3 GiB: the same directory
  store<std::uint64_t>(kPd, kPt | 7);
  store<std::uint64_t>(kPd + 8, (kPt + 0x1000) | 7);
  store<std::uint64_t>(kPd + 8 * (kDevice >> 21 & 511), kDevice | 0x87);
  store<std::uint32_t>(kPd32, kPt32 | 7);
  store<std::uint32_t>(kPd32 + 4 * (kDevice >> 22), static_cast<std::uint32_t>(kDevice) | 0x87);
  for (std::uint64_t page = 0; page < kRam >> 12; ++page) {
    store<std::uint64_t>(kPt + 8 * page, page << 12 | 7);
    store<std::uint32_t>(kPt32 + 4 * page, static_cast<std::uint32_t>(page << 12 | 7));
  }
}

void GuestMachine::write_gates(bool wide) {
  for (unsigned v = 0; v < kVectors; ++v) {
    const std::uint64_t handler = kHandlers + v * kHandlerBytes;
    const std::uint64_t type = v == kDone || v == 3 || v == 4 ? 0xee : 0x8e;
    const std::uint64_t cs = wide ? select::kCode64 : select::kCode32;
    const std::uint64_t gate = handler | cs << 16 | type << 40;
    store<std::uint64_t>(kIdt + v * (wide ? 16 : 8), gate);
    if (wide) store<std::uint64_t>(kIdt + v * 16 + 8, 0);
  }
}

void GuestMachine::begin() {
  auto& s = state();
  const auto xsave = s.xsave;
  guest::reset(s);
  s.xsave = xsave;
  s.rip = kCode;
  s.rflags = guest::flags::kFixed1;
  s.gdtr = {kGdt, 0x7f};
}

void GuestMachine::protect(unsigned cpl) {
  auto& s = state();
  s.cpl = static_cast<std::uint8_t>(cpl);
  s.reg(guest::Gpr::kRsp) = kStack;
  const auto dpl = static_cast<std::uint16_t>(cpl == 3 ? kDpl3 : 0);
  for (SegmentRegister& seg : s.seg)
    seg = {cpl == 3 ? select::kData32R3 : select::kData32,
           static_cast<std::uint16_t>(kAttrData32 | dpl), 0xffffffff, 0};
  s.ldtr = {select::kLdt, 0x82, 0xff, 0x5000};
}

void GuestMachine::enter_long(unsigned cpl) {
  begin();
  auto& s = state();
  protect(cpl);
  using namespace guest;
  s.cr0 = cr0::kPe | cr0::kMp | cr0::kEt | cr0::kNe | cr0::kWp | cr0::kPg;
  s.cr3 = kPml4;
  s.cr4 = cr4::kPae | cr4::kPge | cr4::kOsfxsr | cr4::kOsxmmexcpt;
  s.msr.efer = efer::kLme | efer::kLma | efer::kSce | efer::kNxe;
  const auto dpl = static_cast<std::uint16_t>(cpl == 3 ? kDpl3 : 0);
  s.segment(Seg::kCs) = {cpl == 3 ? select::kCode64R3 : select::kCode64,
                         static_cast<std::uint16_t>(kAttrCode64 | dpl), 0xffffffff, 0};
  s.segment(Seg::kFs) = s.segment(Seg::kGs) = {};
  s.tr = {select::kTss64, kAttrTss, 0x67, kTss};
  store<std::uint64_t>(kTss + 4, kKernelStack);
  s.idtr = {kIdt, kVectors * 16 - 1};
  write_gates(true);
  vcpu->state_changed();
}

void GuestMachine::enter_protected(unsigned cpl) {
  begin();
  auto& s = state();
  protect(cpl);
  using namespace guest;
  s.cr0 = cr0::kPe | cr0::kMp | cr0::kEt | cr0::kNe | cr0::kWp | cr0::kPg;
  s.cr3 = kPd32;
  s.cr4 = cr4::kPse | cr4::kOsfxsr | cr4::kOsxmmexcpt;
  const auto dpl = static_cast<std::uint16_t>(cpl == 3 ? kDpl3 : 0);
  s.segment(Seg::kCs) = {cpl == 3 ? select::kCode32R3 : select::kCode32,
                         static_cast<std::uint16_t>(kAttrCode32 | dpl), 0xffffffff, 0};
  s.tr = {select::kTss32, kAttrTss, kTssLimit, kTss};
  store<std::uint32_t>(kTss + 4, kKernelStack);
  store<std::uint32_t>(kTss + 8, select::kData32);
  s.idtr = {kIdt, kVectors * 8 - 1};
  write_gates(false);
  vcpu->state_changed();
}

void GuestMachine::enter_real() {
  begin();
  auto& s = state();
  s.cr0 = guest::cr0::kEt;
  for (SegmentRegister& seg : s.seg) seg = {kLow >> 4, 0x93, 0xffff, kLow};
  s.rip = 0;
  s.reg(guest::Gpr::kRsp) = 0x8000;
  s.idtr = {kIvt, 0x3ff};
  vcpu->state_changed();
}

void GuestMachine::enter_v86(unsigned iopl) {
  enter_protected(3);
  auto& s = state();
  s.rflags |= guest::flags::kVm | std::uint64_t{iopl} << guest::flags::kIoplShift;
  for (SegmentRegister& seg : s.seg) seg = {kLow >> 4, 0xf3, 0xffff, kLow};
  s.rip = 0;
  s.reg(guest::Gpr::kRsp) = 0x8000;
  vcpu->state_changed();
}

Stop GuestMachine::describe(runtime::ExitReason reason) {
  auto& s = state();
  Stop stop;
  stop.reason = reason;
  const std::uint64_t at = s.segment(Seg::kCs).base + s.rip - 1 - kHandlers;
  if (reason != runtime::ExitReason::kHalted || at >= 256 * kHandlerBytes) return stop;
  stop.vector = static_cast<int>(at / kHandlerBytes);
  const unsigned width = s.code_bytes();
  std::uint64_t stack = s.segment(Seg::kSs).base + s.reg(guest::Gpr::kRsp);
  auto pop = [&] {
    const std::uint64_t v = memory->read({stack}, width);
    stack += width;
    return v;
  };
  if (width > 2 && has_error_code(static_cast<unsigned>(stop.vector))) stop.error_code = pop();
  stop.rip = pop();
  stop.cs = pop();
  stop.rflags = pop();
  if (width == 2) return stop;
  stop.rsp = pop();  // meaningless in 32-bit mode unless the privilege changed
  stop.ss = pop();
  for (auto& v : stop.v86_segments) v = pop();
  return stop;
}

Stop GuestMachine::run(std::chrono::milliseconds budget) {
  state().activity = guest::Activity::kRunning;
  Watchdog watchdog(*vcpu, budget);
  const auto reason = vcpu->run();
  const bool fired = watchdog.finish();
  Stop stop = describe(reason);
  stop.timed_out = fired;
  return stop;
}

Stop GuestMachine::run_at(std::uint64_t rip) {
  state().rip = rip;
  vcpu->state_changed();
  return run();
}

std::uint64_t GuestMachine::counter(const std::string& name) {
  const std::string all = vcpu->statistics();
  const auto at = all.find(name);
  if (at == std::string::npos) {
    ADD_FAILURE() << "no counter " << name;
    return 0;
  }
  return std::stoull(all.substr(all.find_first_of("0123456789", at)));
}

std::vector<Setting> settings() {
  std::vector<Setting> all(6);
  for (Setting& s : all) s.options.cache_bytes = 8 << 20;
  all[0].name = "Default";
  all[1].name = "OneInstruction";
  all[1].options.max_block_instructions = 1;
  all[2].name = "Unlinked";
  all[2].options.chain = false;
  all[3].name = "TinyCache";  // little more than the room that the engine keeps free
  all[3].options.cache_bytes = 288 << 10;
  all[4].name = "AllHot";
  all[4].options.tier = runtime::BtOptions::Tier::kSecond;
  all[5].name = "Windows";
  all[5].options.tier = runtime::BtOptions::Tier::kSecond;
  all[5].options.memory = runtime::BtOptions::Memory::kWindows;
  return all;
}

std::vector<Setting> kvm_settings() { return {{"Kvm", {}, true}}; }

namespace {

// "Kvm/Suite" and "Test/Kvm" without the instantiation.
std::string limit_of_this_test() {
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  std::string_view suite = info->test_suite_name(), test = info->name();
  suite.remove_prefix(suite.find('/') + 1);
  test = test.substr(0, test.find('/'));
  const auto device = runtime::KvmDevice::open();
  return device ? why_not_under_kvm(suite, test, device->has_hardware()) : device.error();
}

}  // namespace

std::unique_ptr<runtime::Accelerator> accelerator_of(const Setting& setting,
                                                     std::string& unavailable) {
  if (setting.kvm) {
    auto kvm = runtime::create_kvm_accelerator();
    if (kvm) {
      unavailable = limit_of_this_test();
      return std::move(*kvm);
    }
    unavailable = kvm.error();
  }
  return runtime::create_bt_accelerator(setting.options);
}

::testing::AssertionResult halted_itself(const Stop& stop) {
  if (stop.reason == runtime::ExitReason::kHalted && stop.vector == kOwnHalt && !stop.timed_out)
    return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "reason " << static_cast<int>(stop.reason) << " vector " << stop.vector << " error "
         << stop.error_code << " at " << std::hex << stop.rip << (stop.timed_out ? " (late)" : "");
}

::testing::AssertionResult faulted(const Stop& stop, unsigned vector, std::uint64_t rip) {
  if (stop.reason == runtime::ExitReason::kHalted && stop.vector == static_cast<int>(vector) &&
      stop.rip == rip)
    return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "reason " << static_cast<int>(stop.reason) << " vector " << stop.vector << " error "
         << stop.error_code << " at " << std::hex << stop.rip << ", expected vector " << std::dec
         << vector << " at " << std::hex << rip;
}

}  // namespace ringshift::engine
