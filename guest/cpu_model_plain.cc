// guest/cpu_model_plain.cc - the table of plain models, with the features that QEMU documents for
// models of these names, less what Ringshift does not deliver (svm, monitor, ss, ht...).
#include "guest/cpu_model_plain.h"

#include <algorithm>
#include <array>

namespace ringshift::guest {
namespace {

constexpr std::string_view k486 = "fpu vme pse";
constexpr std::string_view kPentium = "fpu vme pse de tsc msr mce cx8 apic";
constexpr std::string_view kPentium3 =
    "fpu vme pse de tsc msr mce cx8 mmx apic pae sep mtrr pge mca cmov pat pse36 fxsr sse";
constexpr std::string_view kQemu32 =
    "fpu de pse tsc msr mce cx8 pge cmov pat fxsr mmx sse sse2 pae sep apic pni hypervisor";
constexpr std::string_view kQemu64 =
    "fpu de pse tsc msr mce cx8 pge cmov pat fxsr mmx sse sse2 pae sep apic mtrr clflush mca pse36 "
    "pni cx16 hypervisor lm syscall nx lahf-lm";
constexpr std::string_view kCore2Duo =
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse "
    "sse2 pni ssse3 cx16 hypervisor lm syscall nx lahf-lm";
constexpr std::string_view kNehalem =
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse "
    "sse2 pni ssse3 cx16 sse4.1 sse4.2 popcnt hypervisor lm syscall nx lahf-lm";
constexpr std::string_view kSandyBridge =
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse "
    "sse2 pni ssse3 cx16 sse4.1 sse4.2 popcnt pclmulqdq x2apic tsc-deadline aes xsave avx xsaveopt "
    "hypervisor lm syscall nx rdtscp lahf-lm";

constexpr auto kModels = std::to_array<PlainModel>({
    {"486", true, 4, 8, 0, 1, 0, k486, ""},
    {"pentium", true, 5, 4, 3, 1, 0, kPentium, ""},
    {"pentium3", true, 6, 8, 3, 3, 0, kPentium3, ""},
    {"qemu32", true, 6, 6, 3, 4, 0x80000004, kQemu32, "Ringshift 32-bit virtual CPU"},
    {"qemu64", false, 15, 107, 1, 0xd, 0x8000000a, kQemu64, "Ringshift 64-bit virtual CPU"},
    {"core2duo", true, 6, 15, 11, 0xa, 0x80000008, kCore2Duo, "Ringshift virtual CPU (Core 2)"},
    {"Nehalem", true, 6, 26, 3, 0xb, 0x80000008, kNehalem, "Ringshift virtual CPU (Nehalem)"},
    {"SandyBridge", true, 6, 42, 1, 0xd, 0x80000008, kSandyBridge,
     "Ringshift virtual CPU (Sandy Bridge)"},
});

}  // namespace

std::span<const PlainModel> plain_models() { return kModels; }

const PlainModel* find_plain_model(std::string_view name) {
  const auto found = std::ranges::find(kModels, name, &PlainModel::name);
  return found == kModels.end() ? nullptr : &*found;
}

}  // namespace ringshift::guest
