// bench/mechanisms/running_guest.h - the whole engine around a few guest instructions in a loop.
#pragma once

#include <asmjit/x86.h>

#include <cstdint>
#include <vector>

#include "bench/mechanisms/guest_memory.h"
#include "guest/empty_board.h"
#include "runtime/bt/bt_accelerator.h"

namespace ringshift::bench {

class RunningGuest {
 public:
  static constexpr std::uint64_t kCode = 0x10000, kOtherCode = 0x20000, kData = 0x100000,
                                 kStack = 0x80000;

  // Ring 0 of 64-bit mode. `body` runs RCX times, with RBX at kData; it may use all but RCX.
  template <typename Body>
  explicit RunningGuest(Body&& body)
      : memory_(take(guest::PhysicalMemory::create(kRamBytes))),
        model_(take(guest::CpuModel::create("max"))),
        accelerator_(runtime::create_bt_accelerator({})),
        vcpu_(take(accelerator_->create_vcpu(*memory_, model_, board_))) {
    write_page_tables(*memory_);
    asmjit::CodeHolder code;
    code.init(asmjit::Environment(asmjit::Arch::kX64), kCode);
    asmjit::x86::Assembler a(&code);
    asmjit::Label again = a.newLabel();
    a.bind(again);
    body(a);
    a.dec(asmjit::x86::rcx);
    a.jnz(again);
    a.hlt();
    memory_->write_bytes({kCode}, {code.textSection()->data(), code.codeSize()});
    prepare();
    run(1000);  // translated, linked, in the TLB
  }

  guest::PhysicalMemory& memory() { return *memory_; }
  runtime::Vcpu& vcpu() { return *vcpu_; }

  // False: the guest did not get to its end.
  bool run(std::uint64_t times) {
    auto& s = vcpu_->state();
    s.rip = kCode;
    s.reg(guest::Gpr::kRcx) = times;
    s.activity = guest::Activity::kRunning;
    return vcpu_->run() == runtime::ExitReason::kHalted && s.reg(guest::Gpr::kRcx) == 0;
  }

 private:
  void prepare() {
    constexpr std::uint16_t kFlatCode64 = 0xa09b, kFlatData = 0xc093;
    auto& s = vcpu_->state();
    enter_long_mode(s);
    for (auto& segment : s.seg) segment = {8, kFlatData, 0xffffffff, 0};
    s.segment(guest::Seg::kCs) = {16, kFlatCode64, 0xffffffff, 0};
    s.cpl = 0;
    s.reg(guest::Gpr::kRbx) = kData;
    s.reg(guest::Gpr::kRsp) = kStack;
    vcpu_->state_changed();
  }

  guest::EmptyBoard board_;
  std::unique_ptr<guest::PhysicalMemory> memory_;
  guest::CpuModel model_;
  std::unique_ptr<runtime::Accelerator> accelerator_;
  std::unique_ptr<runtime::Vcpu> vcpu_;
};

}  // namespace ringshift::bench
