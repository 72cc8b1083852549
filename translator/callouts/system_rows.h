// translator/callouts/system_rows.h - instruction-table rows of system instructions. MOV to and
// from control and debug registers share a mnemonic with forms that need no call-out, so their rows
// stand apart: the classifier picks them by operand.
#pragma once

#include <array>

#include "translator/callouts/control_registers.h"
#include "translator/callouts/cpuid.h"
#include "translator/callouts/debug_registers.h"
#include "translator/callouts/descriptor_tables.h"
#include "translator/callouts/flags.h"
#include "translator/callouts/fsgsbase.h"
#include "translator/callouts/halt.h"
#include "translator/callouts/msr.h"
#include "translator/callouts/paravirtual_time.h"
#include "translator/callouts/protection_keys.h"
#include "translator/callouts/selector_checks.h"
#include "translator/callouts/tlb_control.h"
#include "translator/instruction_table.h"

namespace ringshift::translator {

// In the order MOV to CR, from CR, to DR, from DR.
inline constexpr std::array kControlRows = {
    Row{ZYDIS_MNEMONIC_MOV, mov_to_control, Trait::kRing0 | Trait::kEndsBlock, "MOV-1"},
    Row{ZYDIS_MNEMONIC_MOV, mov_from_control, Trait::kRing0, "MOV-1"},
    Row{ZYDIS_MNEMONIC_MOV, mov_to_debug, Trait::kRing0 | Trait::kEndsBlock, "MOV-2"},
    Row{ZYDIS_MNEMONIC_MOV, mov_from_debug, Trait::kRing0, "MOV-2"},
};

inline constexpr std::array kSystemRows = {
    Row{ZYDIS_MNEMONIC_CLTS, clts, Trait::kRing0 | Trait::kEndsBlock, "CLTS"},
    Row{ZYDIS_MNEMONIC_LMSW, lmsw, Trait::kRing0 | Trait::kEndsBlock, "LMSW"},
    Row{ZYDIS_MNEMONIC_SMSW, smsw, Trait::kSensitive, "SMSW"},

    Row{ZYDIS_MNEMONIC_LGDT, lgdt, Trait::kRing0, "LGDT/LIDT"},
    Row{ZYDIS_MNEMONIC_LIDT, lidt, Trait::kRing0, "LGDT/LIDT"},
    Row{ZYDIS_MNEMONIC_LLDT, lldt, Trait::kRing0 | Trait::kProtectedOnly, "LLDT"},
    Row{ZYDIS_MNEMONIC_LTR, ltr, Trait::kRing0 | Trait::kProtectedOnly, "LTR"},
    Row{ZYDIS_MNEMONIC_SGDT, sgdt, Trait::kSensitive, "SGDT"},
    Row{ZYDIS_MNEMONIC_SIDT, sidt, Trait::kSensitive, "SIDT"},
    Row{ZYDIS_MNEMONIC_SLDT, sldt, Trait::kProtectedOnly | Trait::kSensitive, "SLDT"},
    Row{ZYDIS_MNEMONIC_STR, str, Trait::kProtectedOnly | Trait::kSensitive, "STR"},

    Row{ZYDIS_MNEMONIC_LAR, lar, Trait::kProtectedOnly | Trait::kSensitive, "LAR"},
    Row{ZYDIS_MNEMONIC_LSL, lsl, Trait::kProtectedOnly | Trait::kSensitive, "LSL"},
    Row{ZYDIS_MNEMONIC_VERR, verr, Trait::kProtectedOnly | Trait::kSensitive, "VERR/VERW"},
    Row{ZYDIS_MNEMONIC_VERW, verw, Trait::kProtectedOnly | Trait::kSensitive, "VERR/VERW"},
    Row{ZYDIS_MNEMONIC_ARPL, arpl, Trait::kProtectedOnly | Trait::kNot64, "ARPL"},

    Row{ZYDIS_MNEMONIC_PUSHF, pushf, Trait::kSensitive, "PUSHF/PUSHFD/PUSHFQ"},
    Row{ZYDIS_MNEMONIC_PUSHFD, pushf, Trait::kSensitive, "PUSHF/PUSHFD/PUSHFQ"},
    Row{ZYDIS_MNEMONIC_PUSHFQ, pushf, Trait::kSensitive, "PUSHF/PUSHFD/PUSHFQ"},
    // An interrupt may be due, AC may change the view.
    Row{ZYDIS_MNEMONIC_POPF, popf, Trait::kEndsBlock | Trait::kSensitive, "POPF/POPFD/POPFQ"},
    Row{ZYDIS_MNEMONIC_POPFD, popf, Trait::kEndsBlock | Trait::kSensitive, "POPF/POPFD/POPFQ"},
    Row{ZYDIS_MNEMONIC_POPFQ, popf, Trait::kEndsBlock | Trait::kSensitive, "POPF/POPFD/POPFQ"},
    Row{ZYDIS_MNEMONIC_CLI, cli, Trait::kNone, "CLI"},
    Row{ZYDIS_MNEMONIC_STI, sti, Trait::kEndsBlock, "STI"},
    Row{ZYDIS_MNEMONIC_CLAC, clac, Trait::kEndsBlock, "CLAC"},
    Row{ZYDIS_MNEMONIC_STAC, stac, Trait::kEndsBlock, "STAC"},

    Row{ZYDIS_MNEMONIC_RDPKRU, read_user_key_rights, Trait::kNone, "RDPKRU"},
    Row{ZYDIS_MNEMONIC_WRPKRU, write_user_key_rights, Trait::kEndsBlock, "WRPKRU"},

    Row{ZYDIS_MNEMONIC_INVLPG, invlpg, Trait::kRing0 | Trait::kEndsBlock, "INVLPG"},
    Row{ZYDIS_MNEMONIC_INVPCID, invpcid, Trait::kRing0 | Trait::kEndsBlock, "INVPCID"},
    Row{ZYDIS_MNEMONIC_INVD, write_back_caches, Trait::kRing0, "INVD"},
    Row{ZYDIS_MNEMONIC_WBINVD, write_back_caches, Trait::kRing0, "WBINVD"},

    Row{ZYDIS_MNEMONIC_RDMSR, rdmsr, Trait::kRing0, "RDMSR"},
    Row{ZYDIS_MNEMONIC_WRMSR, wrmsr, Trait::kRing0 | Trait::kEndsBlock, "WRMSR"},
    Row{ZYDIS_MNEMONIC_RDTSC, rdtsc, Trait::kNone, "RDTSC"},
    Row{ZYDIS_MNEMONIC_RDTSCP, rdtscp, Trait::kNone, "RDTSCP"},
    Row{ZYDIS_MNEMONIC_RDPMC, rdpmc, Trait::kNone, "RDPMC"},
    Row{ZYDIS_MNEMONIC_RDPID, rdpid, Trait::kNone, "RDPID"},

    Row{ZYDIS_MNEMONIC_RDFSBASE, rdfsbase, Trait::kOnly64, "RDFSBASE/RDGSBASE"},
    Row{ZYDIS_MNEMONIC_RDGSBASE, rdgsbase, Trait::kOnly64, "RDFSBASE/RDGSBASE"},
    Row{ZYDIS_MNEMONIC_WRFSBASE, wrfsbase, Trait::kOnly64, "WRFSBASE/WRGSBASE"},
    Row{ZYDIS_MNEMONIC_WRGSBASE, wrgsbase, Trait::kOnly64, "WRFSBASE/WRGSBASE"},
    Row{ZYDIS_MNEMONIC_SWAPGS, swapgs, Trait::kOnly64 | Trait::kRing0, "SWAPGS"},

    Row{ZYDIS_MNEMONIC_CPUID, cpuid, Trait::kNone, "CPUID"},
    Row{ZYDIS_MNEMONIC_HLT, hlt, Trait::kRing0 | Trait::kEndsBlock, "HLT"},
    Row{ZYDIS_MNEMONIC_SERIALIZE, serialize, Trait::kNone, "SERIALIZE"},

    Row{ZYDIS_MNEMONIC_MONITOR, absent_instruction, Trait::kEndsBlock, "MONITOR"},
    Row{ZYDIS_MNEMONIC_MWAIT, absent_instruction, Trait::kEndsBlock, "MWAIT"},
    Row{ZYDIS_MNEMONIC_MONITORX, absent_instruction, Trait::kEndsBlock, "MONITORX"},
    Row{ZYDIS_MNEMONIC_MWAITX, absent_instruction, Trait::kEndsBlock, "MWAITX"},
    Row{ZYDIS_MNEMONIC_UMONITOR, absent_instruction, Trait::kEndsBlock, "UMONITOR"},
    Row{ZYDIS_MNEMONIC_UMWAIT, absent_instruction, Trait::kEndsBlock, "UMWAIT"},
    Row{ZYDIS_MNEMONIC_TPAUSE, absent_instruction, Trait::kEndsBlock, "TPAUSE"},
    Row{ZYDIS_MNEMONIC_RSM, absent_instruction, Trait::kEndsBlock, "RSM"},
    Row{ZYDIS_MNEMONIC_VMCALL, hypercall, Trait::kNone, "VMCALL"},
    Row{ZYDIS_MNEMONIC_VMMCALL, hypercall, Trait::kNone, "VMMCALL"},
};

}  // namespace ringshift::translator
