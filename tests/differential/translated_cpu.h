// tests/differential/translated_cpu.h - the subject: runs a sequence in ring 3 of a small guest.
//
// How this works: page tables give the test's memory its native linear addresses; every exception
// ends in a handler of its own, HLT, which leaves run(). The first run of a case starts from a
// state that is loaded from outside, so with empty TLBs; the second comes by IRET from the handler
// and finds TLB, translations and links as the first run left them.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "guest/cpu_model.h"
#include "guest/physical_memory.h"
#include "runtime/bt/bt_accelerator.h"
#include "tests/differential/case.h"

namespace ringshift::differential {

class TranslatedCpu {
 public:
  explicit TranslatedCpu(const runtime::BtOptions& options);
  ~TranslatedCpu();

  enum class Start { kCold, kWarm };
  // False: it did not end as it must; `error` says how. kWarm: only after kCold of the same case.
  bool run(Mode mode, const Registers& initial, const Memory& memory, const Bytes& code,
           Start start, Outcome& outcome, std::string& error);
  const guest::CpuModel& model() const { return model_; }

 private:
  class Board;
  void build_tables();
  void build_mode(Mode mode);
  void load(const Registers& initial);
  void enter_by_iret(Mode mode, const Registers& initial);
  bool capture(Mode mode, Outcome& outcome, std::string& error);

  guest::CpuModel model_;
  std::unique_ptr<guest::PhysicalMemory> memory_;
  std::unique_ptr<Board> board_;
  std::unique_ptr<runtime::Accelerator> accelerator_;
  std::unique_ptr<runtime::Vcpu> vcpu_;
  guest::CpuState start_[3];  // one for each Mode
};

}  // namespace ringshift::differential
