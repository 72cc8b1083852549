// runtime/builtin/guest/console.h - ports, and text on COM1.
#pragma once

#include <stdint.h>

inline void out8(uint16_t port, uint8_t value) {
  asm volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}
inline void out16(uint16_t port, uint16_t value) {
  asm volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}
inline uint8_t in8(uint16_t port) {
  uint8_t value;
  asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

void print_character(char c);
void print(const char* text);
void print_padded(const char* text, unsigned width);
void print_decimal(uint64_t value);
void print_hex(uint64_t value);
