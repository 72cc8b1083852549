// tests/unit/engine/hammer_test.cc - a guest on the real board touches every port and every page
// of device memory in every size: whatever the devices make of it, the run ends as the guest wants.
#include <asmjit/x86.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "runtime/bt/bt_accelerator.h"
#include "runtime/machine.h"

namespace ringshift::runtime {
namespace {

using asmjit::x86::Assembler;
namespace r = asmjit::x86;

constexpr std::uint64_t kCode = 0x100000;
constexpr std::uint16_t kExitPort = 0xf4;
constexpr std::uint8_t kExitValue = 0x21;
constexpr int kExitStatus = kExitValue << 1 | 1;

// What these ports do to the machine is their purpose: reset and power-off.
constexpr std::uint16_t kKeyboardCommand = 0x64, kPort92 = 0x92, kResetControl = 0xcf9,
                        kPm1Control = 0x604;

std::unique_ptr<ByteChannel> nowhere() {
  return open_backend(parse_backend("null").value(), "hammer", {}).value();
}

// Runs flat 32-bit code, which goes on to the exit port.
int run_guest(const std::function<void(Assembler&)>& write) {
  asmjit::CodeHolder code;
  code.init(asmjit::Environment(asmjit::Arch::kX86), kCode);
  Assembler a(&code);
  a.mov(r::esp, 0x80000);
  a.mov(r::eax, r::cr4);
  a.or_(r::eax, 0x200);  // CR4.OSFXSR
  a.mov(r::cr4, r::eax);
  write(a);
  a.mov(r::al, kExitValue);
  a.out(kExitPort, r::al);
  a.hlt();
  const auto* bytes = code.textSection()->data();
  MachineConfig config;
  config.ram_bytes = 16 << 20;
  config.model = *guest::CpuModel::create("max");
  config.images.push_back(
      {"hammer", {bytes, bytes + code.codeSize()}, kCode, FlatMode::kProtected32, {}});
  config.debug_exit.push_back({kExitPort, 1});
  config.pc_testdev = config.pci_testdev = config.no_reboot = true;
  for (int i = 0; i < 4; ++i) config.serial.push_back(nowhere());
  config.debug_console = nowhere();
  const auto accelerator = create_bt_accelerator({});
  auto machine = Machine::create(std::move(config), *accelerator);
  EXPECT_TRUE(machine) << machine.error();
  return machine ? (*machine)->run() : -1;
}

void touch_port(Assembler& a) {
  for (const auto& reg : {r::Gp(r::al), r::Gp(r::ax), r::Gp(r::eax)}) {
    a.in(reg, r::dx);
    a.out(r::dx, reg);
    a.xor_(r::eax, r::eax);
    a.out(r::dx, reg);
    a.or_(r::eax, -1);
    a.out(r::dx, reg);
    a.mov(r::eax, 0x5aa5a55a);
    a.out(r::dx, reg);
  }
}

TEST(Hammer, EveryPort) {
  constexpr std::uint16_t kLethal[] = {kKeyboardCommand, kPort92,         kExitPort,
                                       kPm1Control,      kPm1Control + 1, kResetControl};
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ranges;
  std::uint32_t next = 0;
  for (const std::uint32_t port : kLethal) {
    if (next + 3 < port) ranges.emplace_back(next, port - 3);
    next = port + 1;
  }
  ranges.emplace_back(next, 0x10000);
  const int status = run_guest([&](Assembler& a) {
    for (const auto& [first, end] : ranges) {
      asmjit::Label again = a.newLabel();
      a.mov(r::edx, first);
      a.bind(again);
      touch_port(a);
      a.inc(r::edx);
      a.cmp(r::edx, end);
      a.jb(again);
    }
  });
  EXPECT_EQ(status, kExitStatus);
}

TEST(Hammer, PortsThatEndTheMachine) {
  for (const std::uint16_t near : {kKeyboardCommand, kPort92, kResetControl, kPm1Control}) {
    for (int port = near - 3; port <= near + 1; ++port) {
      const int status = run_guest([&](Assembler& a) {
        a.mov(r::edx, port);
        touch_port(a);
      });
      // Powered off or reset, or nothing of the kind.
      EXPECT_TRUE(status == 0 || status == kExitStatus) << "port " << port << " gave " << status;
    }
  }
}

// EBX is the address.
void touch_memory(Assembler& a, bool wide) {
  a.mov(r::eax, r::dword_ptr(r::ebx));
  a.mov(r::dword_ptr(r::ebx), r::eax);
  a.mov(r::dword_ptr(r::ebx), -1);
  if (!wide) return;
  a.mov(r::al, r::byte_ptr(r::ebx));
  a.mov(r::byte_ptr(r::ebx), r::al);
  a.mov(r::ax, r::word_ptr(r::ebx));
  a.mov(r::word_ptr(r::ebx), r::ax);
  a.movq(r::mm0, r::qword_ptr(r::ebx));
  a.movq(r::qword_ptr(r::ebx), r::mm0);
  a.movups(r::xmm0, r::ptr(r::ebx));
  a.movups(r::ptr(r::ebx), r::xmm0);
  a.lock().add(r::dword_ptr(r::ebx), 1);
  a.mov(r::esi, r::ebx);
  a.and_(r::esi, -16);
  a.fxsave(r::ptr(r::esi));
}

void touch_range(Assembler& a, std::uint32_t first, std::uint32_t last, int step, bool wide) {
  asmjit::Label again = a.newLabel();
  a.mov(r::ebx, first);
  a.bind(again);
  touch_memory(a, wide);
  a.add(r::ebx, step);
  a.cmp(r::ebx, last);
  a.jb(again);
}

TEST(Hammer, EveryPageOfDeviceMemory) {
  const int status = run_guest([](Assembler& a) {
    touch_range(a, 0xc0000000, 0xffffe000, 4096, false);
    touch_range(a, 0xc0000000, 0xffff0000, 16 * 4096, true);
    touch_range(a, 0xc0000ffd, 0xfff80000, 64 * 4096, true);
  });
  EXPECT_EQ(status, kExitStatus);
}

TEST(Hammer, EveryByteOfTheChipset) {
  for (const std::uint32_t page : {0xfec00000u, 0xfed00000u, 0xfee00000u}) {
    const int status =
        run_guest([&](Assembler& a) { touch_range(a, page, page + 4096 - 1, 1, true); });
    // A local APIC that is written at random may well send the processor INIT.
    EXPECT_TRUE(status == kExitStatus || status == 0) << std::hex << page << " gave " << status;
  }
}

TEST(Hammer, WhereNothingIs) {
  const int status = run_guest([](Assembler& a) {
    touch_range(a, 0x2000000, 0xbff00000, 1 << 20, true);
    touch_range(a, (16 << 20) - 8, (16 << 20) + 8, 1, true);  // the end of RAM
    touch_range(a, 0xa0000, 0xfff00, 64, true);               // video memory and ROM
  });
  EXPECT_EQ(status, kExitStatus);
}

}  // namespace
}  // namespace ringshift::runtime
