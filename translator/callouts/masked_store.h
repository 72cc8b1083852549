// translator/callouts/masked_store.h - MASKMOVQ, MASKMOVDQU, and masked moves by element.
//
// The masked moves are the fallback for when a whole vector cannot be accessed at its address:
// elements that are masked out are never touched, so they cannot fault.
#pragma once

#include <cstdint>

#include "translator/callouts/extended_state.h"
#include "translator/core.h"

namespace ringshift::translator {

Result store_masked_mmx_bytes(Core& core, const Operation& op);  // MASKMOVQ
Result store_masked_xmm_bytes(Core& core, const Operation& op);  // MASKMOVDQU, VMASKMOVDQU

// VMASKMOVPS/PD, VPMASKMOVD/Q, and AVX-512 moves under an opmask (VMOVDQU8..64, VMOVUPS...):
// element `element_bytes` wide; Operation::immediate holds VectorOperands, with mask = 0 for "no
// opmask".
Result masked_vector_load(Core& core, const Operation& op, unsigned element_bytes);
Result masked_vector_store(Core& core, const Operation& op, unsigned element_bytes);

// For other EVEX instructions with a masked memory source: reads the elements of `mask` into `to`
// and leaves the others zero, so that the instruction can run on the buffer.
guest::Status read_masked_elements(Core& core, const Operation& op, unsigned element_bytes,
                                   std::uint64_t mask, VectorBytes& to);
guest::Status write_masked_elements(Core& core, const Operation& op, unsigned element_bytes,
                                    std::uint64_t mask, const VectorBytes& from);

}  // namespace ringshift::translator
