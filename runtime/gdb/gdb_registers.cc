// runtime/gdb/gdb_registers.cc - gdb's numbering of the registers.
#include "runtime/gdb/gdb_registers.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

namespace ringshift::runtime::gdb {
namespace {

using guest::CpuState;
using guest::Gpr;

// Offsets in the legacy part of the XSAVE image. SDM Vol. 1 "Legacy Region of an XSAVE Area".
constexpr std::size_t kFcw = 0, kFsw = 2, kFtw = 4, kFop = 6, kMxcsr = 24, kSt = 32, kXmm = 160;

constexpr std::array kGprOrder{Gpr::kRax, Gpr::kRbx, Gpr::kRcx, Gpr::kRdx, Gpr::kRsi, Gpr::kRdi,
                               Gpr::kRbp, Gpr::kRsp, Gpr::kR8,  Gpr::kR9,  Gpr::kR10, Gpr::kR11,
                               Gpr::kR12, Gpr::kR13, Gpr::kR14, Gpr::kR15};
constexpr std::array kWideNames{"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
                                "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr std::array kNarrowNames{"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
constexpr std::array kNarrowOrder{Gpr::kRax, Gpr::kRcx, Gpr::kRdx, Gpr::kRbx,
                                  Gpr::kRsp, Gpr::kRbp, Gpr::kRsi, Gpr::kRdi};
constexpr std::array kSelectors{std::pair{"cs", guest::Seg::kCs}, std::pair{"ss", guest::Seg::kSs},
                                std::pair{"ds", guest::Seg::kDs}, std::pair{"es", guest::Seg::kEs},
                                std::pair{"fs", guest::Seg::kFs}, std::pair{"gs", guest::Seg::kGs}};
constexpr std::array kX87Names{"fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop"};

// Two bits a register from the one bit that FXSAVE keeps: empty or not.
std::uint16_t full_tags(std::uint8_t abridged) {
  std::uint16_t tags = 0;
  for (unsigned i = 0; i < 8; ++i)
    if (!(abridged >> i & 1)) tags |= static_cast<std::uint16_t>(3u << (2 * i));
  return tags;
}

}  // namespace

void Registers::add(Kind kind, unsigned index, unsigned bytes, const std::string& name,
                    const std::string& type) {
  list_.push_back({kind, index, bytes});
  xml_ += fmt::format("<reg name=\"{}\" bitsize=\"{}\" type=\"{}\"/>\n", name, bytes * 8, type);
}

Registers::Registers(bool wide) : wide_(wide) {
  const unsigned word = wide ? 8 : 4;
  const std::string plain = wide ? "int64" : "int32";
  xml_ = "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n";
  xml_ += fmt::format("<architecture>{}</architecture>\n", wide ? "i386:x86-64" : "i386");
  xml_ += "<feature name=\"org.gnu.gdb.i386.core\">\n";
  for (std::size_t i = 0; i < (wide ? kGprOrder.size() : kNarrowOrder.size()); ++i) {
    const Gpr reg = wide ? kGprOrder[i] : kNarrowOrder[i];
    const bool is_pointer = reg == Gpr::kRsp || reg == Gpr::kRbp;
    add(Kind::kGpr, static_cast<unsigned>(reg), word, wide ? kWideNames[i] : kNarrowNames[i],
        is_pointer ? "data_ptr" : plain);
  }
  add(Kind::kRip, 0, word, wide ? "rip" : "eip", "code_ptr");
  add(Kind::kFlags, 0, 4, "eflags", "int32");
  for (const auto& [name, seg] : kSelectors)
    add(Kind::kSelector, static_cast<unsigned>(seg), 4, name, "int32");
  for (unsigned i = 0; i < 8; ++i) add(Kind::kX87, i, 10, fmt::format("st{}", i), "i387_ext");
  for (unsigned i = 0; i < kX87Names.size(); ++i) add(Kind::kX87Control, i, 4, kX87Names[i], "int");
  xml_ += "</feature>\n<feature name=\"org.gnu.gdb.i386.sse\">\n";
  for (unsigned i = 0; i < (wide ? 16u : 8u); ++i)
    add(Kind::kVector, i, 16, fmt::format("xmm{}", i), "uint128");
  add(Kind::kMxcsr, 0, 4, "mxcsr", "int");
  xml_ += "</feature>\n";
  if (wide) {
    xml_ += "<feature name=\"org.gnu.gdb.i386.segments\">\n";
    add(Kind::kBase, static_cast<unsigned>(guest::Seg::kFs), 8, "fs_base", "int");
    add(Kind::kBase, static_cast<unsigned>(guest::Seg::kGs), 8, "gs_base", "int");
    xml_ += "</feature>\n";
  }
  xml_ += "<feature name=\"ringshift.system\">\n";
  if (wide) add(Kind::kKernelGsBase, 0, 8, "k_gs_base", "int64");
  for (const unsigned i : {0u, 2u, 3u, 4u}) add(Kind::kCr, i, word, fmt::format("cr{}", i), plain);
  add(Kind::kEfer, 0, word, "efer", plain);
  xml_ += "</feature>\n</target>\n";
}

std::vector<std::uint8_t> Registers::read(const CpuState& s, std::size_t number) const {
  const Entry& entry = list_.at(number);
  std::vector<std::uint8_t> bytes(entry.bytes);
  const auto from_image = [&](std::size_t at, std::size_t count) {
    std::memcpy(bytes.data(), s.xsave.data() + at, count);
  };
  const auto half = [&](std::size_t at) { return s.xsave[at] | s.xsave[at + 1] << 8; };
  std::uint64_t value = 0;
  switch (entry.kind) {
    case Kind::kX87:
      from_image(kSt + entry.index * 16, 10);
      return bytes;
    case Kind::kVector:
      from_image(kXmm + entry.index * 16, 16);
      return bytes;
    case Kind::kMxcsr:
      from_image(kMxcsr, 4);
      return bytes;
    case Kind::kGpr:
      value = s.gpr[entry.index];
      break;
    case Kind::kRip:
      value = s.rip;
      break;
    case Kind::kFlags:
      value = s.rflags;
      break;
    case Kind::kSelector:
      value = s.seg[entry.index].selector;
      break;
    case Kind::kX87Control: {
      const std::array<std::uint64_t, 8> words{static_cast<std::uint64_t>(half(kFcw)),
                                               static_cast<std::uint64_t>(half(kFsw)),
                                               full_tags(s.xsave[kFtw]),
                                               0,
                                               0,
                                               0,
                                               0,
                                               static_cast<std::uint64_t>(half(kFop))};
      value = words[entry.index];
      break;
    }
    case Kind::kBase:
      value = s.seg[entry.index].base;
      break;
    case Kind::kKernelGsBase:
      value = s.msr.kernel_gs_base;
      break;
    case Kind::kCr:
      value = entry.index == 0   ? s.cr0
              : entry.index == 2 ? s.cr2
              : entry.index == 3 ? s.cr3
                                 : s.cr4;
      break;
    case Kind::kEfer:
      value = s.msr.efer;
      break;
  }
  for (unsigned i = 0; i < entry.bytes; ++i)
    bytes[i] = i < 8 ? static_cast<std::uint8_t>(value >> (8 * i)) : 0;
  return bytes;
}

bool Registers::write(CpuState& s, std::size_t number, std::span<const std::uint8_t> value) const {
  const Entry& entry = list_.at(number);
  if (value.size() != entry.bytes) return false;
  std::uint64_t word = 0;
  for (unsigned i = 0; i < std::min(entry.bytes, 8u); ++i)
    word |= std::uint64_t{value[i]} << (8 * i);
  switch (entry.kind) {
    case Kind::kGpr:
      s.gpr[entry.index] = word;
      return true;
    case Kind::kRip:
      s.rip = word;
      return true;
    case Kind::kFlags:
      s.rflags =
          (word & ~guest::flags::kVm) | guest::flags::kFixed1 | (s.rflags & guest::flags::kVm);
      return true;
    case Kind::kX87:
      std::memcpy(s.xsave.data() + kSt + entry.index * 16, value.data(), 10);
      return true;
    case Kind::kVector:
      std::memcpy(s.xsave.data() + kXmm + entry.index * 16, value.data(), 16);
      return true;
    case Kind::kBase:
      s.seg[entry.index].base = word;
      return true;
    case Kind::kKernelGsBase:
      s.msr.kernel_gs_base = word;
      return true;
    // Selectors, control registers and the like have hidden parts that gdb knows nothing of: what
    // is written back unchanged, as gdb does with all of them at once, is no error.
    default:
      return read(s, number) == std::vector<std::uint8_t>(value.begin(), value.end());
  }
}

}  // namespace ringshift::runtime::gdb
