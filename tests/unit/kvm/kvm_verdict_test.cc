// tests/unit/kvm/kvm_verdict_test.cc - when `auto` takes KVM, and what probe says would have to
// change: on hosts that only this file has.
#include "runtime/kvm_verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>

#include "runtime/accelerator_choice.h"

namespace ringshift::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

HostReport intel_host() {
  HostReport report;
  report.vmx = report.ept = true;
  report.ring0_ns = 0.7;
  return report;
}

TEST(KvmVerdict, HardwareIsTaken) {
  const auto verdict = judge_kvm(intel_host());
  EXPECT_TRUE(verdict.hardware);
  EXPECT_THAT(verdict.why, HasSubstr("VT-x with ept"));
  EXPECT_THAT(verdict.changes, IsEmpty());
  HostReport amd;
  amd.svm = amd.npt = true;
  EXPECT_TRUE(judge_kvm(amd).hardware) << "before it is measured";
}

TEST(KvmVerdict, NoDevice) {
  auto report = intel_host();
  report.kvm = "/dev/kvm is not there";
  report.kvm_errno = ENOENT;
  const auto verdict = judge_kvm(report);
  EXPECT_FALSE(verdict.hardware);
  EXPECT_EQ(verdict.why, report.kvm);
  EXPECT_THAT(verdict.changes, ElementsAre(HasSubstr("modprobe kvm_intel")));
}

TEST(KvmVerdict, NoPermission) {
  auto report = intel_host();
  report.kvm = "/dev/kvm may not be opened by this user";
  report.kvm_errno = EACCES;
  report.kvm_group = "kvm";
  EXPECT_THAT(judge_kvm(report).changes, ElementsAre(HasSubstr("usermod -aG kvm")));
}

TEST(KvmVerdict, NoExtension) {
  HostReport report;
  const auto bare = judge_kvm(report);
  EXPECT_FALSE(bare.hardware);
  EXPECT_THAT(bare.changes, ElementsAre(HasSubstr("firmware")));
  report.hypervisor = true;
  EXPECT_THAT(judge_kvm(report).changes, ElementsAre(HasSubstr("nested=1")));
}

TEST(KvmVerdict, NoNestedPaging) {
  auto report = intel_host();
  report.paging_off = true;
  EXPECT_FALSE(judge_kvm(report).hardware);
  EXPECT_THAT(judge_kvm(report).changes, ElementsAre(HasSubstr("kvm_intel ept=1")));
  report.paging_off = false;
  report.ept = false;
  EXPECT_THAT(judge_kvm(report).why, HasSubstr("ept"));
}

TEST(KvmVerdict, EmulatedRing0IsNotHardware) {
  auto report = intel_host();
  report.ring0_ns = 1500;
  const auto verdict = judge_kvm(report);
  EXPECT_FALSE(verdict.hardware);
  EXPECT_THAT(verdict.why, HasSubstr("1500 ns"));
}

TEST(AcceleratorChoice, AutoAlwaysFindsOneSoonAndSaysWhy) {
  const auto start = std::chrono::steady_clock::now();
  const auto choice = choose_accelerator(AcceleratorKind::kAuto, {});
  const auto took = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(choice) << choice.error();
  EXPECT_FALSE(choice->why.empty());
  EXPECT_EQ(choice->warning, "");
  EXPECT_LT(took, std::chrono::milliseconds(50));
}

TEST(AcceleratorChoice, KvmIsForcedOrRefusedInOneLine) {
  const auto choice = choose_accelerator(AcceleratorKind::kKvm, {});
  if (!choice) {
    EXPECT_THAT(choice.error(), HasSubstr("/dev/kvm"));
    EXPECT_EQ(choice.error().find('\n'), std::string::npos);
    return;
  }
  EXPECT_EQ(choice->accelerator->name(), "kvm");
  EXPECT_EQ(choice->warning.empty(), judge_kvm(probe_host()).hardware);
}

}  // namespace
}  // namespace ringshift::runtime
