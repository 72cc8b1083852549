// runtime/profile/guest_kernel.h - what a running Linux guest says of itself, read from its memory:
// symbols, unwind tables, and where the current task's name is.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "runtime/profile/guest_reader.h"
#include "runtime/profile/kallsyms.h"
#include "runtime/profile/orc.h"
#include "runtime/profile/sample.h"

namespace ringshift::runtime::profile {

class GuestKernel {
 public:
  // Looks around `rip`, which is in the kernel's image. Null: no Linux that shows its symbols.
  static std::unique_ptr<GuestKernel> find(GuestReader& memory, std::uint64_t rip,
                                           unsigned word_bytes);

  const SymbolTable& symbols() const { return symbols_; }
  const OrcTable* orc() const { return orc_ ? &*orc_ : nullptr; }
  const std::string& banner() const { return banner_; }  // "Linux version ..."

  // Its memory says what it said when it was found, or cannot be read now.
  bool still_there(GuestReader& memory) const;

  // The name of the task that runs now. Async-signal-safe.
  bool current_comm(GuestReader& memory, const guest::CpuState& state,
                    std::array<char, kCommBytes>& comm) const;

 private:
  GuestKernel() = default;
  void read_banner(GuestReader& memory);
  void read_orc(GuestReader& memory);
  void find_current(GuestReader& memory);
  OrcLayout orc_layout() const;

  SymbolTable symbols_;
  std::optional<OrcTable> orc_;
  std::string banner_;
  bool knows_current_ = false;
  std::uint64_t current_offset_ = 0;  // of the pointer to the task, from the GS base
  std::uint64_t comm_offset_ = 0;     // of its name in the task
};

// Looks for the kernel while a guest runs. One that has just begun may not be complete: it is
// looked for again, less and less often. The vCPU's thread.
class KernelSearch {
 public:
  // Code of a supervisor runs at the linear address `rip`. True: the kernel has been found just
  // now.
  bool note(guest::PhysicalMemory& memory, const guest::CpuState& state,
            const softmmu::PagingFeatures& features, std::uint64_t rip, unsigned code_bytes);
  // Null until it is found.
  const std::shared_ptr<const GuestKernel>& kernel() const { return kernel_; }
  // True: another one was booted, and the search begins anew.
  bool note_reboot(GuestReader& memory);

 private:
  std::shared_ptr<const GuestKernel> kernel_;
  std::uint64_t seen_ = 0, next_try_ = 1;
};

}  // namespace ringshift::runtime::profile
