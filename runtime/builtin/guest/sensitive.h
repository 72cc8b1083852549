// runtime/builtin/guest/sensitive.h - the x86 instructions that tell a program what runs it.
#pragma once

// Prints, for ring 0 and ring 3, what each of them shows against what this guest loaded itself.
// Returns how many were wrong.
unsigned print_sensitive_instructions();
