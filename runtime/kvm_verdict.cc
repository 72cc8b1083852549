// runtime/kvm_verdict.cc - whether KVM is backed by hardware on a host, why, and what would have to
// change.
#include "runtime/kvm_verdict.h"

#include <fmt/format.h>

#include <cerrno>

namespace ringshift::runtime {
namespace {

// Native speed is below 1 ns; a nested machine's exits, spread over the loop, stay below this, and
// no emulator comes near.
constexpr double kSlowNanoseconds = 100;

const char* module_of(const HostReport& report) { return report.svm ? "kvm_amd" : "kvm_intel"; }
const char* paging_of(const HostReport& report) { return report.svm ? "npt" : "ept"; }

void explain_no_extension(const HostReport& report, KvmVerdict& verdict) {
  if (report.hypervisor)
    verdict.changes.push_back(
        "this host is a virtual machine: its own host has to pass VT-x or SVM on (module option "
        "nested=1 of kvm_intel or kvm_amd, and a processor model with vmx or svm)");
  else
    verdict.changes.push_back(
        "switch VT-x or SVM on in the firmware's setup, if this processor has it");
}

void explain_no_paging(const HostReport& report, KvmVerdict& verdict) {
  if (report.paging_off)
    verdict.changes.push_back(
        fmt::format("load {0} with {1}=1 (modprobe -r {0}; modprobe {0} {1}=1)", module_of(report),
                    paging_of(report)));
  else
    verdict.changes.push_back(report.hypervisor
                                  ? "this host's own host has to pass nested paging on as well"
                                  : "another processor: this one has no nested paging");
}

void explain_no_device(const HostReport& report, KvmVerdict& verdict) {
  switch (report.kvm_errno) {
    case ENOENT:
    case ENODEV:
      verdict.changes.push_back(
          report.vmx || report.svm
              ? fmt::format(
                    "load the module (modprobe {}); if it refuses, the firmware's setup has "
                    "virtualization locked",
                    module_of(report))
              : "load the module kvm_intel or kvm_amd");
      break;
    case EACCES:
    case EPERM:
      verdict.changes.push_back(
          report.kvm_group.empty()
              ? "permission to read and write /dev/kvm"
              : fmt::format("join the group that may open /dev/kvm (usermod -aG {} USER, then log "
                            "in again)",
                            report.kvm_group));
      break;
    default:
      verdict.changes.push_back("a newer kernel, or access to /dev/kvm");
  }
}

}  // namespace

KvmVerdict judge_kvm(const HostReport& report) {
  KvmVerdict verdict;
  const bool extension = report.vmx || report.svm;
  const bool paging =
      !report.paging_off && ((report.vmx && report.ept) || (report.svm && report.npt));
  if (!extension) explain_no_extension(report, verdict);
  if (extension && !paging) explain_no_paging(report, verdict);
  if (!report.kvm.empty()) explain_no_device(report, verdict);

  if (!report.kvm.empty())
    verdict.why = report.kvm;
  else if (!extension)
    verdict.why = "/dev/kvm has no VT-x or SVM behind it here";
  else if (!paging)
    verdict.why = fmt::format("no nested paging ({}) here", paging_of(report));
  else if (report.ring0_ns && *report.ring0_ns > kSlowNanoseconds)
    verdict.why = fmt::format("KVM takes {:.0f} ns for an instruction of ring 0: it emulates",
                              *report.ring0_ns);
  else
    verdict.hardware = true;
  if (verdict.hardware)
    verdict.why = fmt::format("{} with {}", report.svm ? "SVM" : "VT-x", paging_of(report));
  return verdict;
}

}  // namespace ringshift::runtime
