// runtime/builtin/guest/user_work.h - work without privilege that `ringshift compare` runs in the
// built-in guest and natively: the same machine code, so that the cycles can be compared.
#pragma once

#include <stdint.h>

namespace user_work {

constexpr uint32_t kWords = 4096;  // of the array: 16 KiB, half of a first-level cache

// Registers only.
inline void add_registers(uint64_t turns) {
  uint64_t a = 1, b = 2;
  asm volatile("1: add %1, %0\n imul $3, %0, %1\n xor %0, %1\n lea 7(%0,%1), %0\n dec %2\n jnz 1b"
               : "+r"(a), "+r"(b), "+r"(turns)
               :
               : "cc");
}

// A function that does nothing.
inline void call_and_return(uint64_t turns) {
  asm volatile("jmp 2f\n 1: ret\n 2: call 1b\n dec %0\n jnz 2b" : "+r"(turns) : : "cc", "memory");
}

// Each word of an array is read and written.
inline void walk_array(uint32_t* words, uint64_t turns) {
  for (; turns; --turns)
    for (uint32_t i = 0; i < kWords; ++i) {
      asm volatile("addl $1, %0" : "+m"(words[i]) : : "cc");
    }
}

// Each cell names the next one.
inline void chase_pointers(void** cell, uint64_t turns) {
  asm volatile("1: mov (%0), %0\n dec %1\n jnz 1b" : "+r"(cell), "+r"(turns) : : "cc", "memory");
}

// A cycle through cells of 64 bytes each, in a scattered order.
constexpr uint32_t kCells = 256;
struct alignas(64) Cell {
  void* next;
};
inline void link_cells(Cell* cells) {
  constexpr uint32_t kStride = 77;  // has no factor in common with kCells
  for (uint32_t i = 0; i < kCells; ++i)
    cells[i * kStride % kCells].next = &cells[(i + 1) * kStride % kCells];
}

}  // namespace user_work
