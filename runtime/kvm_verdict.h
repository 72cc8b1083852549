// runtime/kvm_verdict.h - whether KVM is backed by hardware on a host, why, and what would have to
// change. Judges a report, so it works on hosts that only a test imagines.
#pragma once

#include <string>
#include <vector>

#include "runtime/probe.h"

namespace ringshift::runtime {

struct KvmVerdict {
  bool hardware = false;
  std::string why;                   // one line
  std::vector<std::string> changes;  // what would have to change for hardware assist
};
// Without a measurement (HostReport::ring0_ns) it believes what the host says.
KvmVerdict judge_kvm(const HostReport& report);

}  // namespace ringshift::runtime
