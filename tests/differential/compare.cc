// tests/differential/compare.cc - compares every register, flag and byte.
#include "tests/differential/compare.h"

#include <Zydis/Zydis.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "tests/differential/catalogue.h"
#include "tests/differential/xsave_area.h"

namespace ringshift::differential {
namespace {

constexpr const char* kNames[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

std::string hex_bytes(std::span<const std::uint8_t> bytes) {
  std::string s;
  for (std::size_t i = bytes.size(); i-- > 0;) s += fmt::format("{:02x}", bytes[i]);
  return s;
}

class Comparison {
 public:
  void number(const std::string& what, std::uint64_t a, std::uint64_t b) {
    if (a != b) found.push_back({what, fmt::format("{:x}", a), fmt::format("{:x}", b)});
  }
  // In elements, most significant byte first.
  void bytes(const std::string& what, std::span<const std::uint8_t> a,
             std::span<const std::uint8_t> b, std::size_t element) {
    if (std::equal(a.begin(), a.end(), b.begin())) return;
    for (std::size_t at = 0; at < a.size(); at += element) {
      const std::size_t n = std::min(element, a.size() - at);
      if (std::memcmp(a.data() + at, b.data() + at, n) != 0)
        found.push_back({element == a.size() ? what : fmt::format("{}+{:x}", what, at),
                         hex_bytes(a.subspan(at, n)), hex_bytes(b.subspan(at, n))});
    }
  }
  std::vector<Difference> found;
};

void compare_xsave(Comparison& c, const Registers& a, const Registers& b) {
  const XsaveArea& host = XsaveArea::host();
  const std::span<const std::uint8_t> x(a.xsave), y(b.xsave);
  auto part = [&](const std::string& what, std::size_t at, std::size_t n, std::size_t element) {
    c.bytes(what, x.subspan(at, n), y.subspan(at, n), element);
  };
  part("FCW", 0, 2, 2);
  part("FSW", 2, 2, 2);
  part("FTW", 4, 1, 1);
  part("MXCSR", 24, 4, 4);
  for (unsigned i = 0; i < 8; ++i) part(fmt::format("st{}", i), 32 + 16 * i, 10, 10);
  for (unsigned i = 0; i < 16; ++i) part(fmt::format("xmm{}", i), 160 + 16 * i, 16, 16);
  constexpr struct {
    unsigned component;
    const char* name;
    unsigned bytes, first;
  } kParts[] = {{2, "ymm_high", 16, 0}, {5, "k", 8, 0}, {6, "zmm_high", 32, 0}, {7, "zmm", 64, 16}};
  for (const auto& p : kParts)
    if (host.has(p.component))
      for (unsigned i = 0; i * p.bytes < host.component(p.component).bytes; ++i)
        part(fmt::format("{}{}", p.name, p.first + i),
             host.component(p.component).offset + i * p.bytes, p.bytes, p.bytes);
}

}  // namespace

void normalize(Mode mode, Outcome& o) {
  Registers& s = o.registers;
  XsaveArea::host().normalize(s.xsave);
  if (mode != Mode::k64) {
    for (unsigned i = 0; i < 16; ++i) s.gpr[i] = i < 8 ? s.gpr[i] & 0xffffffff : 0;
    s.rip &= 0xffffffff;
    s.fs_base = s.gs_base = 0;
    // Registers that 32-bit code does not have.
    const XsaveArea& host = XsaveArea::host();
    std::fill_n(s.xsave.begin() + 160 + 128, 128, std::uint8_t{0});
    for (unsigned i : {2u, 6u})
      if (host.has(i)) {
        const auto c = host.component(i);
        std::fill_n(s.xsave.begin() + static_cast<std::ptrdiff_t>(c.offset + c.bytes / 2),
                    c.bytes / 2, std::uint8_t{0});
      }
    if (host.has(7)) {
      const auto c = host.component(7);
      std::fill_n(s.xsave.begin() + static_cast<std::ptrdiff_t>(c.offset), c.bytes,
                  std::uint8_t{0});
    }
  }
  if (o.vector != 14) o.cr2 = 0;
}

UndefinedFlags undefined_flags(const Case& c) {
  constexpr std::uint64_t kArithmetic = 0x8d5;
  const ZydisDecoder decoder = make_decoder(bits_of(c.mode));
  UndefinedFlags found;
  bool loops = false;
  for (unsigned pass = 0; pass < (loops ? 2u : 1u); ++pass)
    for (const Bytes& bytes : c.instructions) {
      ZydisDecodedInstruction insn;
      ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
      if (!ZYAN_SUCCESS(
              ZydisDecoderDecodeFull(&decoder, bytes.data(), bytes.size(), &insn, operands)))
        continue;
      loops |= insn.mnemonic == ZYDIS_MNEMONIC_LOOP;
      if (!insn.cpu_flags) continue;
      found.read |= (insn.cpu_flags->tested & found.at_end) != 0;
      found.at_end |= insn.cpu_flags->undefined & kArithmetic;
    }
  if (found.read) found.at_end = kArithmetic;
  return found;
}

std::vector<Difference> compare(const Case& c, const Outcome& a, const Outcome& b) {
  Comparison d;
  d.number("vector", a.vector, b.vector);
  d.number("error code", a.error_code, b.error_code);
  d.number("cr2", a.cr2, b.cr2);
  for (unsigned i = 0; i < 16; ++i) d.number(kNames[i], a.registers.gpr[i], b.registers.gpr[i]);
  d.number("rip", a.registers.rip, b.registers.rip);
  const std::uint64_t flags =
      __builtin_cpu_is("amd") ? ~std::uint64_t{0} : ~undefined_flags(c).at_end;
  d.number("rflags", a.registers.rflags & flags, b.registers.rflags & flags);
  d.number("fs base", a.registers.fs_base, b.registers.fs_base);
  d.number("gs base", a.registers.gs_base, b.registers.gs_base);
  if (a.registers.xsave != b.registers.xsave) compare_xsave(d, a.registers, b.registers);
  d.bytes("data", a.memory.data, b.memory.data, 8);
  d.bytes("stack", a.memory.stack, b.memory.stack, 8);
  return std::move(d.found);
}

std::string disassemble(const Case& c, std::uint64_t rip) {
  std::string s;
  for (const Bytes& bytes : c.instructions) {
    ZydisDisassembledInstruction insn;
    std::string text = "(bad)";
    Bytes padded = bytes;
    padded.resize(15);
    if (ZYAN_SUCCESS(ZydisDisassembleIntel(
            bits_of(c.mode) == 64 ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LEGACY_32, rip,
            padded.data(), padded.size(), &insn)))
      text = insn.text;
    std::string hex;
    for (std::uint8_t b : bytes) hex += fmt::format("{:02x}", b);
    if (!std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0x90; }))
      s += fmt::format("  {:x}: {:<30} {}\n", rip, hex, text);
    rip += bytes.size();
  }
  return s;
}

std::string initial_state_text(const Case& c, const Registers& initial) {
  std::string s = "  ";
  const unsigned n = bits_of(c.mode) == 64 ? 16 : 8;
  for (unsigned i = 0; i < n; ++i)
    s += fmt::format("{}={:x}{}", kNames[i], initial.gpr[i], i % 6 == 5 ? "\n  " : " ");
  std::uint32_t mxcsr;
  std::uint16_t fcw, fsw;
  std::memcpy(&mxcsr, initial.xsave.data() + 24, 4);
  std::memcpy(&fcw, initial.xsave.data(), 2);
  std::memcpy(&fsw, initial.xsave.data() + 2, 2);
  s += fmt::format("rflags={:x} fs={:x} gs={:x} mxcsr={:x} fcw={:x} fsw={:x}\n", initial.rflags,
                   initial.fs_base, initial.gs_base, mxcsr, fcw, fsw);
  return s;
}

}  // namespace ringshift::differential
