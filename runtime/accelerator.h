// runtime/accelerator.h - the one interface behind which guest code runs: translation or KVM.
// Machines, devices, tests and snapshots never know which one it is.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "guest/cpu_model.h"
#include "guest/cpu_state.h"
#include "guest/physical_memory.h"
#include "guest/platform.h"
#include "softmmu/mmu.h"

namespace ringshift::runtime {

enum class ExitReason {
  kHalted,    // HLT with no event pending: wait for request_interrupt(), then run() again
  kShutdown,  // triple fault
  kStopped,   // stop() was called
  kDebug,     // at a debug point
  kFailed,    // the guest cannot go on; why was said on standard error
};

// Where a debugger outside wants the guest to stop; nothing that the guest could see.
struct DebugPoints {
  std::set<std::uint64_t> code;           // linear addresses of instructions
  std::vector<softmmu::Watchpoint> data;  // accesses to linear addresses
};

// One of the counters that are always kept.
struct Counter {
  std::string name;
  std::uint64_t value = 0;
};

class TranslatingVcpu;

class Vcpu {
 public:
  virtual ~Vcpu() = default;
  // Complete and precise whenever run() is not executing, and inside Platform calls.
  virtual guest::CpuState& state() = 0;
  // Call after changing state() from outside (load, reset, debugger).
  virtual void state_changed() = 0;
  // Runs guest code; port and MMIO accesses are served inside. Same thread every time.
  virtual ExitReason run() = 0;

  // From any thread: an interrupt, NMI or timer event may be pending; run() looks at the platform
  // soon.
  virtual void request_interrupt() = 0;
  virtual void inject_nmi() = 0;
  // From any thread: run() returns kStopped soon. Sticky until the next run().
  virtual void stop() = 0;
  // For a debugger, while run() is not executing. False: this accelerator cannot.
  virtual bool set_debug_points(const DebugPoints&) { return false; }
  virtual bool step_once() { return false; }
  // Since the vCPU was made. While run() is not executing, or on its thread.
  virtual std::vector<Counter> counters() const { return {}; }
  // Counters as text lines, for -d stats and `info jit`.
  virtual std::string statistics() const = 0;
  // For who observes translation; null: this accelerator does not translate.
  virtual TranslatingVcpu* translating() { return nullptr; }
};

class Accelerator {
 public:
  virtual ~Accelerator() = default;
  virtual std::string_view name() const = 0;
  // What CpuModel::create() may offer at most; null: everything.
  virtual const guest::FeatureSet* features() const { return nullptr; }
  virtual tl::expected<std::unique_ptr<Vcpu>, std::string> create_vcpu(
      guest::PhysicalMemory& memory, const guest::CpuModel& model, guest::Platform& platform) = 0;
};

}  // namespace ringshift::runtime
