// tests/unit/runtime/machine_test.cc - the machine around a scripted processor: idle, reset, power,
// exit statuses, interrupts from timers, input, pause.
#include "runtime/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <deque>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include "runtime/builtin/builtin_guest.h"

namespace ringshift::runtime {
namespace {

using namespace std::chrono_literals;

// Each run() plays one step of the script, with the platform at hand.
class ScriptedVcpu final : public Vcpu {
 public:
  using Step = std::function<ExitReason(guest::Platform&, guest::PhysicalMemory&)>;
  ScriptedVcpu(guest::Platform& platform, guest::PhysicalMemory& memory, std::deque<Step>& script)
      : platform_(platform), memory_(memory), script_(script) {}

  guest::CpuState& state() override { return state_; }
  void state_changed() override {}
  ExitReason run() override {
    if (stop_requested_.exchange(false)) return ExitReason::kStopped;
    if (script_.empty()) return ExitReason::kHalted;
    const auto step = std::move(script_.front());
    script_.pop_front();
    return step(platform_, memory_);
  }
  void request_interrupt() override {}
  void inject_nmi() override {}
  void stop() override { stop_requested_ = true; }
  std::string statistics() const override { return ""; }

 private:
  guest::Platform& platform_;
  guest::PhysicalMemory& memory_;
  std::deque<Step>& script_;
  guest::CpuState state_;
  std::atomic<bool> stop_requested_{false};
};

class ScriptedAccelerator final : public Accelerator {
 public:
  std::string_view name() const override { return "script"; }
  tl::expected<std::unique_ptr<Vcpu>, std::string> create_vcpu(guest::PhysicalMemory& memory,
                                                               const guest::CpuModel&,
                                                               guest::Platform& platform) override {
    return std::make_unique<ScriptedVcpu>(platform, memory, script);
  }
  std::deque<ScriptedVcpu::Step> script;
};

class MachineTest : public testing::Test {
 protected:
  MachineConfig config() {
    MachineConfig result;
    result.ram_bytes = 16 << 20;
    result.model = *guest::CpuModel::create("max");
    return result;
  }
  void step(std::function<void(guest::Platform&)> action,
            ExitReason reason = ExitReason::kStopped) {
    accelerator_.script.push_back([=](guest::Platform& platform, guest::PhysicalMemory&) {
      action(platform);
      return reason;
    });
  }
  int run(MachineConfig machine_config) {
    auto machine = Machine::create(std::move(machine_config), accelerator_);
    EXPECT_TRUE(machine) << machine.error();
    return machine ? (*machine)->run() : -1;
  }
  static void power_off(guest::Platform& platform) { platform.port_write(0x604, 2, 0x2000); }

  ScriptedAccelerator accelerator_;
};

TEST_F(MachineTest, AcpiPowerOffExitsWithZero) {
  step(power_off);
  EXPECT_EQ(run(config()), 0);
}

TEST_F(MachineTest, DebugExitGivesTheStatus) {
  auto with_exit = config();
  with_exit.debug_exit.push_back({0xf4, 4});
  step([](guest::Platform& p) { p.port_write(0xf4, 4, 3); });
  EXPECT_EQ(run(std::move(with_exit)), 7);
}

// What cannot be had as it was asked for is an error, not left out.
TEST_F(MachineTest, RefusesPortsAndNamesThatAreTaken) {
  auto port = config();
  port.debug_exit.push_back({0x60, 1});
  EXPECT_FALSE(Machine::create(std::move(port), accelerator_));
  auto name = config();
  name.fw_cfg = {{"opt/x", {1}}, {"opt/x", {2}}};
  EXPECT_FALSE(Machine::create(std::move(name), accelerator_));
}

TEST_F(MachineTest, TheProcessorSeesTheA20GateOfEitherPortAndAResetOpensIt) {
  step([](guest::Platform& p) {
    EXPECT_TRUE(p.a20_open());
    p.port_write(0x92, 1, 0);
    EXPECT_FALSE(p.a20_open());
    p.port_write(0x64, 1, 0xdf);
    EXPECT_TRUE(p.a20_open());
    p.port_write(0x64, 1, 0xdd);
    EXPECT_FALSE(p.a20_open());
    p.port_write(0xcf9, 1, 6);
  });
  step([](guest::Platform& p) {
    EXPECT_TRUE(p.a20_open());
    power_off(p);
  });
  EXPECT_EQ(run(config()), 0);
}

TEST_F(MachineTest, NoRebootTurnsAResetIntoAnExit) {
  for (const auto& reset :
       {std::pair<std::uint16_t, std::uint32_t>{0xcf9, 6}, {0x64, 0xfe}, {0x92, 3}}) {
    accelerator_.script.clear();
    step([reset](guest::Platform& p) { p.port_write(reset.first, 1, reset.second); });
    step([](guest::Platform&) { ADD_FAILURE() << "ran on after the reset"; });
    auto no_reboot = config();
    no_reboot.no_reboot = true;
    EXPECT_EQ(run(std::move(no_reboot)), 0);
  }
}

TEST_F(MachineTest, AResetBringsDevicesProcessorAndKernelBack) {
  auto with_kernel = config();
  with_kernel.kernel = builtin_guest();
  auto machine = Machine::create(std::move(with_kernel), accelerator_);
  ASSERT_TRUE(machine) << machine.error();
  const auto entry = (*machine)->vcpu().state().rip;
  const auto first_word = (*machine)->memory().load<std::uint32_t>({entry});
  step([&](guest::Platform& p) {
    p.port_write(0x21, 1, 0x5a);
    (*machine)->memory().store<std::uint32_t>({entry}, 0);
    (*machine)->vcpu().state().rip = 0x1234;
    p.port_write(0xcf9, 1, 6);
  });
  step([&](guest::Platform& p) {
    EXPECT_NE(p.port_read(0x21, 1), 0x5au);
    EXPECT_EQ((*machine)->vcpu().state().rip, entry);
    EXPECT_EQ((*machine)->memory().load<std::uint32_t>({entry}), first_word);
    power_off(p);
  });
  EXPECT_EQ((*machine)->run(), 0);
}

TEST_F(MachineTest, ATripleFaultResets) {
  step([](guest::Platform&) {}, ExitReason::kShutdown);
  step(power_off);
  EXPECT_EQ(run(config()), 0);
  EXPECT_TRUE(accelerator_.script.empty());
}

TEST_F(MachineTest, ATripleFaultEndsANoRebootRunWithAMessage) {
  auto no_reboot = config();
  no_reboot.no_reboot = true;
  step([](guest::Platform&) {}, ExitReason::kShutdown);
  testing::internal::CaptureStderr();
  EXPECT_EQ(run(std::move(no_reboot)), 0);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("triple fault"));
}

// PIT channel 0, one-shot, in `ms`; through the PIC in virtual wire mode.
void program_timer(guest::Platform& p, unsigned ms) {
  for (const auto& [port, value] : std::initializer_list<std::pair<std::uint16_t, std::uint8_t>>{
           {0x20, 0x11}, {0x21, 0x20}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xfe}})
    p.port_write(port, 1, value);
  const unsigned count = 1193 * ms;
  p.port_write(0x43, 1, 0x30);
  p.port_write(0x40, 1, count & 0xff);
  p.port_write(0x40, 1, count >> 8);
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

TEST_F(MachineTest, ATimerInterruptEndsAHalt) {
  step([](guest::Platform& p) { program_timer(p, 20); }, ExitReason::kHalted);
  step([](guest::Platform& p) {
    EXPECT_TRUE(p.interrupt_pending());
    EXPECT_EQ(p.acknowledge_interrupt(), 0x20);
    EXPECT_FALSE(p.interrupt_pending());
    power_off(p);
  });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(run(config()), 0);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 20ms);
}

TEST_F(MachineTest, IdleCostsNoProcessorTime) {
  auto machine = Machine::create(config(), accelerator_);
  ASSERT_TRUE(machine);
  std::thread ender([&] {
    std::this_thread::sleep_for(400ms);
    (*machine)->stop(5);
  });
  const auto before = cpu_seconds();
  EXPECT_EQ((*machine)->run(), 5);
  EXPECT_LT(cpu_seconds() - before, 0.1);
  ender.join();
}

TEST_F(MachineTest, SerialOutputReachesItsFile) {
  const auto path = testing::TempDir() + "rs_machine_serial";
  auto with_serial = config();
  with_serial.serial.push_back(*open_backend(*parse_backend("file:" + path), "serial0", {}));
  std::string expected;
  for (int i = 0; i < 20000; ++i) expected += static_cast<char>('a' + i % 26);
  step([&](guest::Platform& p) {
    for (const char c : expected) p.port_write(0x3f8, 1, static_cast<std::uint8_t>(c));
    power_off(p);
  });
  EXPECT_EQ(run(std::move(with_serial)), 0);
  std::stringstream contents;
  contents << std::ifstream(path).rdbuf();
  EXPECT_EQ(contents.str(), expected);
}

TEST_F(MachineTest, PauseStopsTheGuestAndItsClocks) {
  auto machine = Machine::create(config(), accelerator_);
  ASSERT_TRUE(machine);
  std::uint64_t first = 0;
  const auto guest_tsc = [&] { return __rdtsc() + (*machine)->vcpu().state().msr.tsc_offset; };
  step([&](guest::Platform&) {
    first = guest_tsc();
    (*machine)->pause();
  });
  std::uint64_t second = 0;
  step([&](guest::Platform& p) {
    second = guest_tsc();
    power_off(p);
  });
  std::thread resumer([&] {
    std::this_thread::sleep_for(200ms);
    EXPECT_EQ(second, 0u);
    (*machine)->resume();
  });
  EXPECT_EQ((*machine)->run(), 0);
  resumer.join();
  const double seconds = static_cast<double>(second - first) /
                         static_cast<double>(guest::CpuModel::create("max")->tsc_hz());
  EXPECT_LT(seconds, 0.15);
}

TEST_F(MachineTest, EveryPortAndDeviceAddressAnswers) {
  step([](guest::Platform& p) {
    for (std::uint32_t port = 0; port < 0x10000; ++port) {
      // Those that end or restart the machine have tests of their own.
      if (port == 0x604 || port == 0x605 || port == 0xcf9 || port == 0x64 || port == 0x92) continue;
      for (const unsigned size : {1u, 2u, 4u}) {
        const auto number = static_cast<std::uint16_t>(port);
        p.port_read(number, size);
        if (port + size <= 0x604 || port > 0x608) p.port_write(number, size, port * 0x01010101);
      }
    }
  });
  accelerator_.script.push_back([](guest::Platform& p, guest::PhysicalMemory& memory) {
    for (const std::uint64_t page : {0xc0000000ull, 0xfebff000ull, 0xfec00000ull, 0xfed00000ull,
                                     0xfee00000ull, 0xff000000ull, 0xfffff000ull}) {
      for (std::uint64_t offset = 0; offset < 4096; offset += 3) {
        for (const unsigned size : {1u, 2u, 4u, 8u}) {
          memory.read({page + offset}, size);
          memory.write({page + offset}, size, offset * 0x0101010101010101);
        }
      }
    }
    p.port_write(0xcf9, 1, 6);
    return ExitReason::kStopped;
  });
  auto no_reboot = config();
  no_reboot.no_reboot = true;
  EXPECT_EQ(run(std::move(no_reboot)), 0);
}

TEST_F(MachineTest, TwoMachinesInOneProcess) {
  ScriptedAccelerator other;
  accelerator_.script.push_back([](guest::Platform& p, guest::PhysicalMemory& memory) {
    memory.store<std::uint32_t>({0x1000}, 1);
    power_off(p);
    return ExitReason::kStopped;
  });
  other.script.push_back([](guest::Platform& p, guest::PhysicalMemory& memory) {
    EXPECT_EQ(memory.load<std::uint32_t>({0x1000}), 0u);
    power_off(p);
    return ExitReason::kStopped;
  });
  auto first = Machine::create(config(), accelerator_);
  auto second = Machine::create(config(), other);
  ASSERT_TRUE(first && second);
  std::thread thread([&] { EXPECT_EQ((*first)->run(), 0); });
  thread.join();
  EXPECT_EQ((*second)->run(), 0);
}

TEST_F(MachineTest, ABrokenKernelIsAnErrorBeforeAnythingRuns) {
  auto broken = config();
  broken.kernel = builtin_guest();
  broken.kernel->kernel.resize(600);
  const auto machine = Machine::create(std::move(broken), accelerator_);
  ASSERT_FALSE(machine);
  EXPECT_THAT(machine.error(), testing::HasSubstr("-kernel"));
}

}  // namespace
}  // namespace ringshift::runtime
