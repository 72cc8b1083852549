// runtime/kvm/kvm_accelerator.h - Linux's KVM as an accelerator.
#pragma once

#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "runtime/accelerator.h"

namespace ringshift::runtime {

// The error is one line for the user: why /dev/kvm does not open, or what it lacks.
tl::expected<std::unique_ptr<Accelerator>, std::string> create_kvm_accelerator();

}  // namespace ringshift::runtime
