// tests/unit/engine/system_forms.h - a kernel and its user for tests of what system instructions do
// in their frequent forms.
#pragma once

#include <utility>

#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {

inline constexpr std::uint64_t kEntry = place::kCode + 0x1000;  // of SYSCALL, in another page

class SystemForms : public EngineTest {
 protected:
  // 64-bit user code at kCode, the kernel's at kEntry; the user is in the GDT where SYSRET has it.
  template <typename User, typename Kernel>
  void load_user_and_kernel(User&& user, Kernel&& kernel) {
    namespace flags = guest::flags;
    load_long(std::forward<User>(user), 3);
    machine.put(kEntry, assemble(kEntry, std::forward<Kernel>(kernel)));
    auto& s = machine.state();
    s.msr.efer |= guest::efer::kSce;
    s.msr.lstar = kEntry;
    s.msr.sfmask = flags::kIf | flags::kDf | flags::kAc;
    s.msr.star = std::uint64_t{select::kCode32R3} << 48 | std::uint64_t{select::kCode64} << 32;
    s.rflags |= flags::kIf;
    machine.vcpu->state_changed();
  }
  void expect_done(const Stop& stop) {
    EXPECT_EQ(stop.vector, static_cast<int>(kDone)) << "at " << std::hex << stop.rip;
  }
};

}  // namespace ringshift::engine
