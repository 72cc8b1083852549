// tests/unit/engine/kvm_limits.cc - engine tests that KVM cannot pass, each with the reason.
// A KVM without VT-x or SVM runs user code (and, after SYSCALL, the guest's kernel) as it is: what
// does not trap there shows the host. That is what the sensitive instructions are about.
#include "tests/unit/engine/kvm_limits.h"

#include <array>

namespace ringshift::engine {
namespace {

constexpr std::string_view kHostShows =
    "KVM without hardware: sensitive instructions of ring 3 see the host";
constexpr std::string_view kSoftwareInterrupt = "KVM without hardware: INT n of ring 3 raises #UD";
constexpr std::string_view kKernelInRing3 =
    "KVM without hardware: after SYSCALL the guest's kernel runs in the host's ring 3";
constexpr std::string_view kBatches =
    "KVM without hardware: events are looked for after several emulated instructions";
constexpr std::string_view kEmulator =
    "KVM without hardware: the kernel's emulator does not do this as a processor does";

struct Limit {
  std::string_view suite, test;
  std::string_view reason;
  bool on_hardware = false;
};
constexpr auto kLimits = std::to_array<Limit>({
    {"SelfModifyingCode", "DataBesideCodeDoesNotThrash", "counts translated blocks", true},

    {"SensitiveInstruction", "PushfShowsTheGuestsFlags", kHostShows},
    {"SensitiveInstruction", "PopfHonoursPrivilege", kHostShows},
    {"SensitiveInstruction", "DescriptorTableRegistersAreTheGuests", kSoftwareInterrupt},
    {"SensitiveInstruction", "SldtAndStrShowTheGuestsSelectors", kSoftwareInterrupt},
    {"SensitiveInstruction", "SmswShowsTheGuestsCr0", kSoftwareInterrupt},
    {"SensitiveInstruction", "LarLslVerrVerwReadTheGuestsTable", kHostShows},
    {"SensitiveInstruction", "SegmentRegistersReadBackTheGuestsSelectors", kHostShows},
    {"SensitiveInstruction", "SegmentLoadsTakeTheGuestsDescriptors", kHostShows},
    {"SensitiveInstruction", "FarCallAndReturn", kHostShows},
    {"SensitiveInstruction", "FarJumpGoesOnlyWhereTheGuestsTablesAllow", kHostShows},
    {"SensitiveInstruction", "IntUsesTheGuestsTableAndPrivilege", kSoftwareInterrupt},
    {"SensitiveInstruction", "IretRestoresWhatPrivilegeAllows", kHostShows},
    {"SensitiveInstruction", "V86WithoutPrivilegeTrapsToTheMonitor", kEmulator},

    {"PreciseException", "VectorErrorCodeAndRip", kEmulator},
    {"PreciseException", "ReadModifyWriteOnReadOnlyDevice", kEmulator},

    {"HeldBack", "StiShadowLastsOneInstruction", kBatches},
    {"HeldBack", "MovSsShadow", kBatches},
    {"HeldBack", "PopfAndIretOpenTheWindowAtOnce", kBatches},
    {"HeldBack", "NmiIgnoresIfAndBlocksItselfUntilIret", kBatches},
    {"SystemForms", "StiAtTheEndOfAPage", kBatches},
    {"SystemForms", "InterruptReturnLeavesAMaskedInterruptWaiting", kBatches},
    {"SingleStep", "RepeatedStringTrapsEachTurn", kEmulator},
    {"SingleStep", "MovSsShadow", kEmulator},

    {"SystemForms", "VerifiesSegments", kSoftwareInterrupt},
    {"SystemForms", "TimeStampCounter", kHostShows},
    {"SystemForms", "TimeStampCounterMayBeForbidden", kHostShows},
    {"SystemForms", "SystemCallAndReturn", kKernelInRing3},
    {"SystemForms", "SystemCallsMayBeOff", kKernelInRing3},
    {"SystemForms", "SystemReturnIntoSingleSteps", kKernelInRing3},
    {"SystemForms", "SystemReturnOpensTheWindow", kKernelInRing3},
    {"SystemForms", "InterruptReturns", kKernelInRing3},
    {"SystemForms", "InterruptReturnReadsTheTable", kKernelInRing3},
});

}  // namespace

std::string why_not_under_kvm(std::string_view suite, std::string_view test, bool hardware) {
  for (const Limit& limit : kLimits)
    if (limit.suite == suite && limit.test == test && (limit.on_hardware || !hardware))
      return std::string(limit.reason);
  return "";
}

}  // namespace ringshift::engine
