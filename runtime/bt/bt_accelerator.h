// runtime/bt/bt_accelerator.h - the binary translator as an accelerator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "runtime/accelerator.h"

namespace ringshift::runtime {

// What -d writes while the translator works; every sink may be null.
struct BtLog {
  bool in_asm = false, out_asm = false, interrupts = false, exec = false, mmu = false,
       guest_errors = false;
  std::FILE* file = nullptr;  // -D FILE, or stderr; not owned
};

struct BtOptions {
  std::size_t cache_bytes = 256u << 20;  // code cache arena
  unsigned max_block_instructions = 64;  // 1: one instruction per block (tests)
  bool chain = true;                     // direct block links
  // Which blocks are translated for speed: none, all, or those that run often.
  enum class Tier { kFirst, kSecond, kAuto };
  Tier tier = Tier::kAuto;
  // How hot code reaches memory: always by look-ups, through windows, or through windows in address
  // spaces that live long enough.
  enum class Memory { kTlb, kWindows, kAuto };
  Memory memory = Memory::kAuto;
  BtLog log;
};

std::unique_ptr<Accelerator> create_bt_accelerator(const BtOptions& options);

// Single instructions, for another engine that cannot run one itself.
class InstructionStepper {
 public:
  virtual ~InstructionStepper() = default;
  // Runs one instruction of `state`, after the events that are due. Whatever the guest's memory and
  // registers were at the last call is forgotten. The calling thread may not be in translated code.
  virtual void step(guest::CpuState& state) = 0;
};
tl::expected<std::unique_ptr<InstructionStepper>, std::string> create_bt_stepper(
    guest::PhysicalMemory& memory, const guest::CpuModel& model, guest::Platform& platform);

}  // namespace ringshift::runtime
