// runtime/kvm/calibration.h - how fast this host's KVM runs ring 0: hardware does at native speed,
// a kernel without VT-x or SVM emulates instruction by instruction.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "runtime/kvm/kvm_device.h"

namespace ringshift::runtime {

// Nanoseconds for one instruction of a short loop in a machine made for that; takes milliseconds.
// The error is one line for the user.
tl::expected<double, std::string> measure_ring0(const KvmDevice& device);

}  // namespace ringshift::runtime
