// tests/unit/engine/kvm_limits.h - engine tests that KVM cannot pass, each with the reason.
#pragma once

#include <string>
#include <string_view>

namespace ringshift::engine {

// "" when the test is to run. `hardware`: VT-x or SVM is behind KVM here.
std::string why_not_under_kvm(std::string_view suite, std::string_view test, bool hardware);

}  // namespace ringshift::engine
