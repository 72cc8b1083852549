// tests/unit/callouts/compatibility_code.cc - the way into 32-bit code and back.
#include "tests/unit/callouts/compatibility_code.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <vector>

namespace ringshift::translator {
namespace {

constexpr std::uint16_t kUserCode32 = 0x23;  // Linux's __USER32_CS
constexpr std::size_t kCode32At = 0x100, kFarPointerAt = 0x200, kStackTop = 0x3000;

// void enter(Registers*): r12 keeps the 64-bit stack, r13 the argument; 32-bit code touches
// neither.
std::vector<std::uint8_t> entry_code(std::uint32_t page) {
  const auto bytes_of = [](std::uint32_t v) {
    return std::vector<std::uint8_t>{std::uint8_t(v), std::uint8_t(v >> 8), std::uint8_t(v >> 16),
                                     std::uint8_t(v >> 24)};
  };
  std::vector<std::uint8_t> code;
  const auto add = [&code](std::vector<std::uint8_t> more) {
    code.insert(code.end(), more.begin(), more.end());
  };
  add({0x41, 0x54, 0x41, 0x55});        // push r12; push r13
  add({0x49, 0x89, 0xe4});              // mov r12, rsp
  add({0x49, 0x89, 0xfd});              // mov r13, rdi
  add({0x8b, 0x07, 0x8b, 0x4f, 0x04});  // mov eax, [rdi]; mov ecx, [rdi + 4]
  add({0xbc});                          // mov esp, low stack
  add(bytes_of(page + kStackTop));
  add({0xff, 0x1c, 0x25});  // call far [absolute]
  add(bytes_of(page + kFarPointerAt));
  add({0x4c, 0x89, 0xe4});              // mov rsp, r12
  add({0x41, 0x89, 0x45, 0x00});        // mov [r13], eax
  add({0x41, 0x89, 0x4d, 0x04});        // mov [r13 + 4], ecx
  add({0x41, 0x5d, 0x41, 0x5c, 0xc3});  // pop r13; pop r12; ret
  return code;
}

}  // namespace

CompatibilityCode::CompatibilityCode(std::span<const std::uint8_t> code)
    : page_(static_cast<std::uint8_t*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE | PROT_EXEC,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0))) {
  if (page_ == MAP_FAILED) std::abort();
  const auto low = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(page_));
  const auto entry = entry_code(low);
  std::memcpy(page_, entry.data(), entry.size());
  std::vector<std::uint8_t> body{0x51, 0x9d};  // push ecx; popf
  body.insert(body.end(), code.begin(), code.end());
  body.insert(body.end(), {0x9c, 0x59, 0xcb});  // pushf; pop ecx; ret far
  std::memcpy(page_ + kCode32At, body.data(), body.size());
  const std::uint32_t target = low + kCode32At;
  std::memcpy(page_ + kFarPointerAt, &target, sizeof target);
  std::memcpy(page_ + kFarPointerAt + 4, &kUserCode32, sizeof kUserCode32);
}

CompatibilityCode::~CompatibilityCode() { munmap(page_, kBytes); }

CompatibilityCode::Registers CompatibilityCode::run(Registers in) const {
  reinterpret_cast<void (*)(Registers*)>(page_)(&in);
  return in;
}

}  // namespace ringshift::translator
