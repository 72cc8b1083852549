// translator/callouts/string_rows.h - table rows of strings, ports, frames, BCD, FPU and vectors.
#pragma once

#include <array>

#include "translator/callouts/bcd.h"
#include "translator/callouts/fpu_state.h"
#include "translator/callouts/gather.h"
#include "translator/callouts/legacy_misc.h"
#include "translator/callouts/masked_store.h"
#include "translator/callouts/port_io.h"
#include "translator/callouts/stack_frames.h"
#include "translator/callouts/string_compare.h"
#include "translator/callouts/string_io.h"
#include "translator/callouts/string_move.h"
#include "translator/callouts/xsave.h"
#include "translator/instruction_table.h"

namespace ringshift::translator {

// MOVSD and CMPSD are also SSE instructions: only their string forms may be sent here.
inline constexpr std::array kStringDwordRows = {
    Row{ZYDIS_MNEMONIC_MOVSD, move_string, Trait::kNone, "MOVS/MOVSB/MOVSW/MOVSD/MOVSQ"},
    Row{ZYDIS_MNEMONIC_CMPSD, compare_strings, Trait::kNone, "CMPS/CMPSB/CMPSW/CMPSD/CMPSQ"},
};

inline constexpr std::array kStringRows = {
    Row{ZYDIS_MNEMONIC_MOVSB, move_string, Trait::kNone, "MOVS/MOVSB/MOVSW/MOVSD/MOVSQ"},
    Row{ZYDIS_MNEMONIC_MOVSW, move_string, Trait::kNone, "MOVS/MOVSB/MOVSW/MOVSD/MOVSQ"},
    Row{ZYDIS_MNEMONIC_MOVSQ, move_string, Trait::kNone, "MOVS/MOVSB/MOVSW/MOVSD/MOVSQ"},
    Row{ZYDIS_MNEMONIC_CMPSB, compare_strings, Trait::kNone, "CMPS/CMPSB/CMPSW/CMPSD/CMPSQ"},
    Row{ZYDIS_MNEMONIC_CMPSW, compare_strings, Trait::kNone, "CMPS/CMPSB/CMPSW/CMPSD/CMPSQ"},
    Row{ZYDIS_MNEMONIC_CMPSQ, compare_strings, Trait::kNone, "CMPS/CMPSB/CMPSW/CMPSD/CMPSQ"},
    Row{ZYDIS_MNEMONIC_STOSB, store_string, Trait::kNone, "STOS/STOSB/STOSW/STOSD/STOSQ"},
    Row{ZYDIS_MNEMONIC_STOSW, store_string, Trait::kNone, "STOS/STOSB/STOSW/STOSD/STOSQ"},
    Row{ZYDIS_MNEMONIC_STOSD, store_string, Trait::kNone, "STOS/STOSB/STOSW/STOSD/STOSQ"},
    Row{ZYDIS_MNEMONIC_STOSQ, store_string, Trait::kNone, "STOS/STOSB/STOSW/STOSD/STOSQ"},
    Row{ZYDIS_MNEMONIC_LODSB, load_string, Trait::kNone, "LODS/LODSB/LODSW/LODSD/LODSQ"},
    Row{ZYDIS_MNEMONIC_LODSW, load_string, Trait::kNone, "LODS/LODSB/LODSW/LODSD/LODSQ"},
    Row{ZYDIS_MNEMONIC_LODSD, load_string, Trait::kNone, "LODS/LODSB/LODSW/LODSD/LODSQ"},
    Row{ZYDIS_MNEMONIC_LODSQ, load_string, Trait::kNone, "LODS/LODSB/LODSW/LODSD/LODSQ"},
    Row{ZYDIS_MNEMONIC_SCASB, scan_string, Trait::kNone, "SCAS/SCASB/SCASW/SCASD"},
    Row{ZYDIS_MNEMONIC_SCASW, scan_string, Trait::kNone, "SCAS/SCASB/SCASW/SCASD"},
    Row{ZYDIS_MNEMONIC_SCASD, scan_string, Trait::kNone, "SCAS/SCASB/SCASW/SCASD"},
    Row{ZYDIS_MNEMONIC_SCASQ, scan_string, Trait::kNone, "SCAS/SCASB/SCASW/SCASD"},
    Row{ZYDIS_MNEMONIC_INSB, input_string, Trait::kNone, "INS/INSB/INSW/INSD"},
    Row{ZYDIS_MNEMONIC_INSW, input_string, Trait::kNone, "INS/INSB/INSW/INSD"},
    Row{ZYDIS_MNEMONIC_INSD, input_string, Trait::kNone, "INS/INSB/INSW/INSD"},
    Row{ZYDIS_MNEMONIC_OUTSB, output_string, Trait::kNone, "OUTS/OUTSB/OUTSW/OUTSD"},
    Row{ZYDIS_MNEMONIC_OUTSW, output_string, Trait::kNone, "OUTS/OUTSB/OUTSW/OUTSD"},
    Row{ZYDIS_MNEMONIC_OUTSD, output_string, Trait::kNone, "OUTS/OUTSB/OUTSW/OUTSD"},
    Row{ZYDIS_MNEMONIC_IN, port_in, Trait::kNone, "IN"},
    Row{ZYDIS_MNEMONIC_OUT, port_out, Trait::kNone, "OUT"},
    Row{ZYDIS_MNEMONIC_ENTER, enter, Trait::kNone, "ENTER"},
    Row{ZYDIS_MNEMONIC_PUSHA, push_all, Trait::kNot64, "PUSHA/PUSHAD"},
    Row{ZYDIS_MNEMONIC_PUSHAD, push_all, Trait::kNot64, "PUSHA/PUSHAD"},
    Row{ZYDIS_MNEMONIC_POPA, pop_all, Trait::kNot64, "POPA/POPAD"},
    Row{ZYDIS_MNEMONIC_POPAD, pop_all, Trait::kNot64, "POPA/POPAD"},
    Row{ZYDIS_MNEMONIC_DAA, decimal_adjust_add, Trait::kNot64, "DAA"},
    Row{ZYDIS_MNEMONIC_DAS, decimal_adjust_subtract, Trait::kNot64, "DAS"},
    Row{ZYDIS_MNEMONIC_AAA, ascii_adjust_add, Trait::kNot64, "AAA"},
    Row{ZYDIS_MNEMONIC_AAS, ascii_adjust_subtract, Trait::kNot64, "AAS"},
    Row{ZYDIS_MNEMONIC_AAM, ascii_adjust_multiply, Trait::kNot64, "AAM"},
    Row{ZYDIS_MNEMONIC_AAD, ascii_adjust_divide, Trait::kNot64, "AAD"},
    Row{ZYDIS_MNEMONIC_SALC, set_al_from_carry, Trait::kNot64, "SALC"},
    Row{ZYDIS_MNEMONIC_BOUND, check_bound, Trait::kNot64, "BOUND"},
    Row{ZYDIS_MNEMONIC_XLAT, translate_byte, Trait::kNone, "XLAT/XLATB"},
    Row{ZYDIS_MNEMONIC_FXSAVE, save_fx, Trait::kUsesSimd, "FXSAVE"},
    Row{ZYDIS_MNEMONIC_FXSAVE64, save_fx, Trait::kUsesSimd | Trait::kOnly64, "FXSAVE"},
    Row{ZYDIS_MNEMONIC_FXRSTOR, restore_fx, Trait::kUsesSimd, "FXRSTOR"},
    Row{ZYDIS_MNEMONIC_FXRSTOR64, restore_fx, Trait::kUsesSimd | Trait::kOnly64, "FXRSTOR"},
    Row{ZYDIS_MNEMONIC_FNSAVE, save_x87, Trait::kUsesSimd, "FSAVE/FNSAVE"},
    Row{ZYDIS_MNEMONIC_FRSTOR, restore_x87, Trait::kUsesSimd, "FRSTOR"},
    Row{ZYDIS_MNEMONIC_FNSTENV, store_x87_environment, Trait::kUsesSimd, "FSTENV/FNSTENV"},
    Row{ZYDIS_MNEMONIC_FLDENV, load_x87_environment, Trait::kUsesSimd, "FLDENV"},
    Row{ZYDIS_MNEMONIC_XSAVE, save_extended, Trait::kUsesSimd, "XSAVE"},
    Row{ZYDIS_MNEMONIC_XSAVE64, save_extended, Trait::kUsesSimd | Trait::kOnly64, "XSAVE"},
    Row{ZYDIS_MNEMONIC_XSAVEOPT, save_extended_optimized, Trait::kUsesSimd, "XSAVEOPT"},
    Row{ZYDIS_MNEMONIC_XSAVEOPT64, save_extended_optimized, Trait::kUsesSimd | Trait::kOnly64,
        "XSAVEOPT"},
    Row{ZYDIS_MNEMONIC_XSAVEC, save_extended_compacted, Trait::kUsesSimd, "XSAVEC"},
    Row{ZYDIS_MNEMONIC_XSAVEC64, save_extended_compacted, Trait::kUsesSimd | Trait::kOnly64,
        "XSAVEC"},
    Row{ZYDIS_MNEMONIC_XRSTOR, restore_extended, Trait::kUsesSimd, "XRSTOR"},
    Row{ZYDIS_MNEMONIC_XRSTOR64, restore_extended, Trait::kUsesSimd | Trait::kOnly64, "XRSTOR"},
    Row{ZYDIS_MNEMONIC_XSAVES, undefined_supervisor_save, Trait::kNone, "XSAVES"},
    Row{ZYDIS_MNEMONIC_XSAVES64, undefined_supervisor_save, Trait::kOnly64, "XSAVES"},
    Row{ZYDIS_MNEMONIC_XRSTORS, undefined_supervisor_save, Trait::kNone, "XRSTORS"},
    Row{ZYDIS_MNEMONIC_XRSTORS64, undefined_supervisor_save, Trait::kOnly64, "XRSTORS"},
    Row{ZYDIS_MNEMONIC_XGETBV, get_extended_control, Trait::kUsesSimd, "XGETBV"},
    Row{ZYDIS_MNEMONIC_XSETBV, set_extended_control, Trait::kEndsBlock, "XSETBV"},
    Row{ZYDIS_MNEMONIC_MASKMOVQ, store_masked_mmx_bytes, Trait::kUsesSimd, "MASKMOVQ"},
    Row{ZYDIS_MNEMONIC_MASKMOVDQU, store_masked_xmm_bytes, Trait::kUsesSimd, "MASKMOVDQU"},
    Row{ZYDIS_MNEMONIC_VMASKMOVDQU, store_masked_xmm_bytes, Trait::kUsesSimd, "MASKMOVDQU"},
    Row{ZYDIS_MNEMONIC_VGATHERDPS, gather_dword_dword, Trait::kUsesSimd, "VGATHERDPS/VGATHERDPD"},
    Row{ZYDIS_MNEMONIC_VGATHERDPD, gather_dword_qword, Trait::kUsesSimd, "VGATHERDPS/VGATHERDPD"},
    Row{ZYDIS_MNEMONIC_VPGATHERDD, gather_dword_dword, Trait::kUsesSimd, "VPGATHERDD/VPGATHERDQ"},
    Row{ZYDIS_MNEMONIC_VPGATHERDQ, gather_dword_qword, Trait::kUsesSimd, "VPGATHERDD/VPGATHERDQ"},
    Row{ZYDIS_MNEMONIC_VGATHERQPS, gather_qword_dword, Trait::kUsesSimd, "VGATHERQPS/VGATHERQPD"},
    Row{ZYDIS_MNEMONIC_VGATHERQPD, gather_qword_qword, Trait::kUsesSimd, "VGATHERQPS/VGATHERQPD"},
    Row{ZYDIS_MNEMONIC_VPGATHERQD, gather_qword_dword, Trait::kUsesSimd, "VPGATHERQD/VPGATHERQQ"},
    Row{ZYDIS_MNEMONIC_VPGATHERQQ, gather_qword_qword, Trait::kUsesSimd, "VPGATHERQD/VPGATHERQQ"},
    Row{ZYDIS_MNEMONIC_VSCATTERDPS, scatter_dword_dword, Trait::kUsesSimd,
        "VSCATTERDPS/VSCATTERDPD/VSCATTERQPS/VSCATTERQPD"},
    Row{ZYDIS_MNEMONIC_VSCATTERDPD, scatter_dword_qword, Trait::kUsesSimd,
        "VSCATTERDPS/VSCATTERDPD/VSCATTERQPS/VSCATTERQPD"},
    Row{ZYDIS_MNEMONIC_VPSCATTERDD, scatter_dword_dword, Trait::kUsesSimd,
        "VPSCATTERDD/VPSCATTERDQ/VPSCATTERQD/VPSCATTERQQ"},
    Row{ZYDIS_MNEMONIC_VPSCATTERDQ, scatter_dword_qword, Trait::kUsesSimd,
        "VPSCATTERDD/VPSCATTERDQ/VPSCATTERQD/VPSCATTERQQ"},
    Row{ZYDIS_MNEMONIC_VSCATTERQPS, scatter_qword_dword, Trait::kUsesSimd,
        "VSCATTERDPS/VSCATTERDPD/VSCATTERQPS/VSCATTERQPD"},
    Row{ZYDIS_MNEMONIC_VSCATTERQPD, scatter_qword_qword, Trait::kUsesSimd,
        "VSCATTERDPS/VSCATTERDPD/VSCATTERQPS/VSCATTERQPD"},
    Row{ZYDIS_MNEMONIC_VPSCATTERQD, scatter_qword_dword, Trait::kUsesSimd,
        "VPSCATTERDD/VPSCATTERDQ/VPSCATTERQD/VPSCATTERQQ"},
    Row{ZYDIS_MNEMONIC_VPSCATTERQQ, scatter_qword_qword, Trait::kUsesSimd,
        "VPSCATTERDD/VPSCATTERDQ/VPSCATTERQD/VPSCATTERQQ"},
};

}  // namespace ringshift::translator
