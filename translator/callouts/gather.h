// translator/callouts/gather.h - AVX2 and AVX-512 gathers and scatters, restartable by element.
//
// SDM Vol. 2 "VPGATHERDD/VPGATHERDQ" and its siblings. Operation::immediate holds VectorOperands. A
// fault leaves the elements before it done and their mask bits clear, as the manual demands.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

// Named by the width of the index and of the element.
Result gather_dword_dword(Core& core, const Operation& op);
Result gather_dword_qword(Core& core, const Operation& op);
Result gather_qword_dword(Core& core, const Operation& op);
Result gather_qword_qword(Core& core, const Operation& op);
Result scatter_dword_dword(Core& core, const Operation& op);
Result scatter_dword_qword(Core& core, const Operation& op);
Result scatter_qword_dword(Core& core, const Operation& op);
Result scatter_qword_qword(Core& core, const Operation& op);

}  // namespace ringshift::translator
