// tests/unit/callouts/string_oracle.cc - executes one string instruction from a code page.
#include "tests/unit/callouts/string_oracle.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <vector>

namespace ringshift::translator {
namespace {

std::vector<std::uint8_t> encode(StringKind kind, unsigned element, Repeat repeat) {
  std::vector<std::uint8_t> code;
  if (element == 2) code.push_back(0x66);
  if (repeat == Repeat::kRep) code.push_back(0xf3);
  if (repeat == Repeat::kRepne) code.push_back(0xf2);
  if (element == 8) code.push_back(0x48);
  static constexpr std::uint8_t kByteForm[] = {0xa4, 0xaa, 0xac, 0xa6, 0xae};
  code.push_back(static_cast<std::uint8_t>(kByteForm[static_cast<int>(kind)] + (element > 1)));
  code.push_back(0xc3);  // RET
  return code;
}

}  // namespace

void run_natively(StringKind kind, unsigned element, Repeat repeat, StringRegisters& registers) {
  static void* const page =
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) std::abort();
  const auto code = encode(kind, element, repeat);
  std::memcpy(page, code.data(), code.size());
  // The stack moves below the red zone before anything is pushed.
  asm volatile(
      "lea -256(%%rsp), %%rsp\n\t"
      "push %[flags]\n\t"
      "popfq\n\t"
      "call *%[code]\n\t"
      "pushfq\n\t"
      "pop %[flags]\n\t"
      "cld\n\t"
      "lea 256(%%rsp), %%rsp"
      : [flags] "+r"(registers.rflags), "+a"(registers.rax), "+c"(registers.rcx),
        "+S"(registers.rsi), "+D"(registers.rdi)
      : [code] "r"(page)
      : "memory", "cc");
}

}  // namespace ringshift::translator
