// runtime/builtin/builtin_guest.cc - the guest that is inside the program.
#include "runtime/builtin/builtin_guest.h"

// From image.S.
extern "C" const std::uint8_t ringshift_builtin_guest_start[];
extern "C" const std::uint8_t ringshift_builtin_guest_end[];

namespace ringshift::runtime {

BootSource builtin_guest() {
  return {.format = KernelFormat::kPvh,
          .kernel_name = "(built-in)",
          .kernel = {ringshift_builtin_guest_start, ringshift_builtin_guest_end}};
}

}  // namespace ringshift::runtime
