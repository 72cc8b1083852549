// translator/callouts/transfer_rows.h - instruction-table rows of control transfers and segment
// loads. CALL, JMP, RET, MOV, PUSH and POP share their mnemonics with forms that need no call-out,
// so their rows stand apart: the classifier picks them by operand.
#pragma once

#include <array>

#include "translator/callouts/far_transfer.h"
#include "translator/callouts/fast_system_calls.h"
#include "translator/callouts/iret.h"
#include "translator/callouts/segment_load.h"
#include "translator/callouts/software_interrupts.h"
#include "translator/instruction_table.h"

namespace ringshift::translator {

inline constexpr std::array kTransferRows = {
    Row{ZYDIS_MNEMONIC_IRET, iret, Trait::kEndsBlock | Trait::kSensitive, "IRET/IRETD/IRETQ"},
    Row{ZYDIS_MNEMONIC_IRETD, iret, Trait::kEndsBlock | Trait::kSensitive, "IRET/IRETD/IRETQ"},
    Row{ZYDIS_MNEMONIC_IRETQ, iret, Trait::kEndsBlock | Trait::kSensitive | Trait::kOnly64,
        "IRET/IRETD/IRETQ"},
    Row{ZYDIS_MNEMONIC_INT, int_n, Trait::kEndsBlock | Trait::kSensitive, "INT n/INTO/INT3/INT1"},
    Row{ZYDIS_MNEMONIC_INT3, int3, Trait::kEndsBlock, "INT n/INTO/INT3/INT1"},
    Row{ZYDIS_MNEMONIC_INTO, into, Trait::kEndsBlock | Trait::kNot64, "INT n/INTO/INT3/INT1"},
    Row{ZYDIS_MNEMONIC_INT1, int1, Trait::kEndsBlock, "INT n/INTO/INT3/INT1"},
    Row{ZYDIS_MNEMONIC_SYSCALL, syscall_entry, Trait::kEndsBlock, "SYSCALL"},
    Row{ZYDIS_MNEMONIC_SYSRET, syscall_return, Trait::kEndsBlock, "SYSRET"},
    Row{ZYDIS_MNEMONIC_SYSENTER, sysenter, Trait::kEndsBlock, "SYSENTER"},
    Row{ZYDIS_MNEMONIC_SYSEXIT, sysexit, Trait::kEndsBlock, "SYSEXIT"},
    Row{ZYDIS_MNEMONIC_LDS, lds, Trait::kEndsBlock | Trait::kNot64, "LDS/LES/LFS/LGS/LSS"},
    Row{ZYDIS_MNEMONIC_LES, les, Trait::kEndsBlock | Trait::kNot64, "LDS/LES/LFS/LGS/LSS"},
    Row{ZYDIS_MNEMONIC_LFS, lfs, Trait::kEndsBlock, "LDS/LES/LFS/LGS/LSS"},
    Row{ZYDIS_MNEMONIC_LGS, lgs, Trait::kEndsBlock, "LDS/LES/LFS/LGS/LSS"},
    Row{ZYDIS_MNEMONIC_LSS, lss, Trait::kEndsBlock, "LDS/LES/LFS/LGS/LSS"},
};

// Far forms, in the order call, jmp, ret.
inline constexpr std::array kFarRows = {
    Row{ZYDIS_MNEMONIC_CALL, far_call, Trait::kEndsBlock | Trait::kSensitive, "CALL"},
    Row{ZYDIS_MNEMONIC_JMP, far_jump, Trait::kEndsBlock | Trait::kSensitive, "JMP"},
    Row{ZYDIS_MNEMONIC_RET, far_return, Trait::kEndsBlock | Trait::kSensitive, "RET"},
};

// Segment-register forms, in the order MOV to, MOV from, PUSH, POP.
inline constexpr std::array kSegmentRows = {
    Row{ZYDIS_MNEMONIC_MOV, mov_to_segment, Trait::kEndsBlock | Trait::kSensitive, "MOV"},
    Row{ZYDIS_MNEMONIC_MOV, mov_from_segment, Trait::kSensitive, "MOV"},
    Row{ZYDIS_MNEMONIC_PUSH, push_segment, Trait::kSensitive, "PUSH"},
    Row{ZYDIS_MNEMONIC_POP, pop_segment, Trait::kEndsBlock | Trait::kSensitive, "POP"},
};

}  // namespace ringshift::translator
