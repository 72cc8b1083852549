// runtime/compare/engines.cc - Ringshift's own engines, QEMU's where it is installed, and none.
#include "runtime/compare/engines.h"

#include <unistd.h>

#include <cstdlib>
#include <sstream>

namespace ringshift::runtime {
namespace {

constexpr const char* kQemu = "qemu-system-x86_64";

bool is_installed(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (::access((folder + "/" + program).c_str(), X_OK) == 0) return true;
  return false;
}

}  // namespace

std::vector<Engine> engines_here(const std::string& program, const HostReport& host) {
  const auto own = [&](std::string name, std::string description, const std::string& accelerator,
                       const std::string& cpu, std::string problem) {
    return Engine{std::move(name),
                  std::move(description),
                  {program, "run", "-accel", accelerator, "-cpu", cpu},
                  std::move(problem)};
  };
  const auto qemu = [&](std::string name, std::string description, const std::string& accelerator,
                        std::string problem) {
    if (!is_installed(kQemu)) problem = std::string(kQemu) + " is not installed";
    return Engine{std::move(name),
                  std::move(description),
                  {kQemu, "-accel", accelerator, "-cpu", "max"},
                  std::move(problem)};
  };
  const std::string bt = missing_for_translation(host), kvm = host.kvm;
  return {
      {"native", "no guest: work of ring 3 in this process", {}, ""},
      own("translation", "as `ringshift run` does it", "bt", "max", bt),
      own("look-ups", "translation with the software TLB alone", "bt,mmu=tlb", "max", bt),
      own("windows", "translation with the host's page tables from the start", "bt,mmu=windows",
          "max", bt),
      own("no-hints", "translation, KVM's paravirtual interface hidden", "bt", "max,kvm=off", bt),
      own("emulation", "an instruction at a time: no chains, no hot code",
          "bt,tier=1,chain=off,block=1", "max", bt),
      own("kvm", "KVM", "kvm", "max", kvm),
      qemu("qemu-tcg", "QEMU's translator", "tcg", ""),
      qemu("qemu-kvm", "QEMU with KVM", "kvm", kvm),
  };
}

}  // namespace ringshift::runtime
