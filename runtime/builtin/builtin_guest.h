// runtime/builtin/builtin_guest.h - the guest that is inside the program: what `ringshift run`
// boots when no other is named.
#pragma once

#include "runtime/loaders/boot.h"

namespace ringshift::runtime {

BootSource builtin_guest();

}  // namespace ringshift::runtime
