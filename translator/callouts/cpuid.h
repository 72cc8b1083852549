// translator/callouts/cpuid.h - CPUID.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result cpuid(Core& core, const Operation& op);

}  // namespace ringshift::translator
