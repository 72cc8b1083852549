// runtime/probe.h - what this host offers to run guests with: the answer of `ringshift probe`.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace ringshift::runtime {

struct HostReport {
  std::string vendor, brand, kernel;
  std::vector<std::string> missing_baseline;  // of x86-64-v2
  bool fsgsbase = false;                      // usable from user space (AT_HWCAP2)
  std::vector<std::string> extensions;        // beyond the baseline, in use by guests when present
  std::string kvm;                            // "" when /dev/kvm is usable, else why not
  int kvm_errno = 0;                          // of opening it
  std::string kvm_group;                      // whose members may open it
  bool paging_off = false;                    // ept=N or npt=0, an option of the module
  std::optional<double> ring0_ns;             // one instruction of ring 0, if it was measured
  bool vmx = false, ept = false, svm = false, npt = false;
  bool hypervisor = false;  // this host is itself a guest

  bool translation_works() const { return missing_baseline.empty() && fsgsbase; }
};

HostReport probe_host();
// Adds ring0_ns, if /dev/kvm opens; takes milliseconds.
void measure_kvm(HostReport& report);
// One line for the user when translated code cannot run here.
std::string missing_for_translation(const HostReport& report);
std::string to_text(const HostReport& report);
std::string to_json(const HostReport& report);

}  // namespace ringshift::runtime
