// runtime/compare/native_work.h - the measurements that need no guest, in this process.
#pragma once

#include <vector>

#include "runtime/compare/measurements.h"

namespace ringshift::runtime {

// One more value each for the work of the guest's ring 3. Takes some tens of milliseconds.
void measure_natively(std::vector<Values>& values);

}  // namespace ringshift::runtime
