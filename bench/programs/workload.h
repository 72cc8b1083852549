// bench/programs/workload.h - the list of workloads, and what each one gives back.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One row a workload: its name, and which of TCG's weak spots or ours it stands for.
#define WORKLOADS(X)                               \
  X(registers, "loop that touches registers only") \
  X(integer, "mixed integer arithmetic")           \
  X(sieve, "byte stores and loads, strided")       \
  X(scalar_float, "dependent double arithmetic")   \
  X(matrix, "float matrix product")                \
  X(tree, "binary tree insert and look-up")        \
  X(recursion, "call and return")                  \
  X(indirect, "calls through pointers")            \
  X(copy, "memcpy, small to large")                \
  X(chase_l1, "pointer chase in 16 KiB")           \
  X(chase_l2, "pointer chase in 512 KiB")          \
  X(strings, "strlen, strchr, strcmp")             \
  X(sort, "quicksort with a comparison call")      \
  X(bignum, "multi-word multiply with carries")    \
  X(compress, "LZ matching and output")            \
  X(hash, "SHA-256 in C")                          \
  X(syscalls, "getppid")                           \
  X(faults, "map, touch, unmap")                   \
  X(fork_wait, "fork, exit, wait")                 \
  X(fork_exec, "fork, exec, wait")                 \
  X(ping_pong, "pipe between two processes")

// Does a fixed amount of work and returns a checksum of it, the same on every machine of one width.
#define DECLARE(name, about) uint64_t work_##name(void);
WORKLOADS(DECLARE)
#undef DECLARE

static inline uint32_t next_random(uint32_t* state) {
  uint32_t x = *state;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return *state = x;
}

// Keeps the compiler from seeing through a value.
#define OPAQUE(value) __asm__ volatile("" : "+r"(value))
