// runtime/builtin/guest/measure.h - what operations cost on whatever runs the guest.
#pragma once

// Prints a line "measure NAME CYCLES" each: hundredths of cycles of the time-stamp counter for one
// operation, the median of nine batches; "none" where the processor lacks what it takes.
void measure_operations();
