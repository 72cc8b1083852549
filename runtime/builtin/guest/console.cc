// runtime/builtin/guest/console.cc - text on COM1.
#include "console.h"

namespace {
constexpr uint16_t kData = 0x3f8, kLineStatus = 0x3fd;
constexpr uint8_t kTransmitterEmpty = 0x20;
}  // namespace

void print_character(char c) {
  if (c == '\n') print_character('\r');
  while (!(in8(kLineStatus) & kTransmitterEmpty)) {
  }
  out8(kData, static_cast<uint8_t>(c));
}

void print(const char* text) {
  while (*text) print_character(*text++);
}

void print_padded(const char* text, unsigned width) {
  unsigned length = 0;
  while (text[length]) print_character(text[length++]);
  while (length++ < width) print_character(' ');
}

void print_decimal(uint64_t value) {
  if (value >= 10) print_decimal(value / 10);
  print_character(static_cast<char>('0' + value % 10));
}

void print_hex(uint64_t value) {
  if (value >= 16) print_hex(value / 16);
  print_character("0123456789abcdef"[value % 16]);
}
