// translator/callouts/fsgsbase.h - RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE and SWAPGS. 64-bit code
// only.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result rdfsbase(Core& core, const Operation& op);
Result rdgsbase(Core& core, const Operation& op);
Result wrfsbase(Core& core, const Operation& op);
Result wrgsbase(Core& core, const Operation& op);
Result swapgs(Core& core, const Operation& op);

}  // namespace ringshift::translator
