// runtime/monitor/examine.cc - x and xp: guest memory as numbers or instructions.
#include <fmt/format.h>

#include <cctype>

#include "runtime/machine.h"
#include "runtime/monitor/commands.h"
#include "runtime/option_values.h"
#include "softmmu/page_walk.h"
#include "translator/disassembly.h"

namespace ringshift::runtime::monitor {
namespace {

constexpr std::uint64_t kMostItems = 4096;

struct Format {
  std::uint64_t count = 1;
  char kind = 'x';  // x, d, u, o, c, i
  unsigned bytes = 4;
};

std::optional<Format> parse_format(const std::string& word) {
  Format format;
  const auto slash = word.find('/');
  if (slash == word.npos) return format;
  std::string digits;
  for (const char c : word.substr(slash + 1)) {
    if (std::isdigit(static_cast<unsigned char>(c))) {
      digits += c;
      continue;
    }
    switch (c) {
      case 'b':
        format.bytes = 1;
        break;
      case 'h':
        format.bytes = 2;
        break;
      case 'w':
        format.bytes = 4;
        break;
      case 'g':
        format.bytes = 8;
        break;
      case 'x':
      case 'd':
      case 'u':
      case 'o':
      case 'c':
      case 'i':
        format.kind = c;
        break;
      default:
        return std::nullopt;
    }
  }
  if (format.kind == 'c') format.bytes = 1;
  if (digits.empty()) return format;
  const auto count = parse_number(digits);
  if (!count || *count == 0 || *count > kMostItems) return std::nullopt;
  format.count = *count;
  return format;
}

std::string show(std::uint64_t value, const Format& format) {
  const unsigned shift = 64 - 8 * format.bytes;
  switch (format.kind) {
    case 'd':
      return fmt::format("{:>11}", static_cast<std::int64_t>(value << shift) >> shift);
    case 'u':
      return fmt::format("{:>11}", value);
    case 'o':
      return fmt::format("{:#o}", value);
    case 'c':
      return std::isprint(static_cast<int>(value)) ? fmt::format("'{}'", static_cast<char>(value))
                                                   : fmt::format("'\\x{:02x}'", value);
    default:
      return fmt::format("0x{:0{}x}", value, format.bytes * 2);
  }
}

// A register's name stands for its value: $rip, $pc, $esp.
std::optional<std::uint64_t> parse_address(const guest::CpuState& s, const std::string& text) {
  if (!text.starts_with('$')) return parse_number(text);
  static constexpr std::array<std::string_view, 16> kNames{"ax",  "cx",  "dx",  "bx", "sp",  "bp",
                                                           "si",  "di",  "r8",  "r9", "r10", "r11",
                                                           "r12", "r13", "r14", "r15"};
  std::string name = text.substr(1);
  const auto code_base = s.in_64bit_code() ? 0 : s.segment(guest::Seg::kCs).base;
  if (name == "pc" || name == "rip" || name == "eip" || name == "ip") return code_base + s.rip;
  if (name.size() == 3 && (name[0] == 'r' || name[0] == 'e') && !std::isdigit(name[1]))
    name = name.substr(1);
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (name == kNames[i]) return s.gpr[i];
  return std::nullopt;
}

}  // namespace

Answer examine(Machine& machine, const Words& words) {
  const auto format = parse_format(words[0]);
  if (!format) return tl::unexpected(std::string("FMT is a count, one of xduoci, one of bhwg"));
  if (words.size() != 2) return tl::unexpected(std::string("usage: x/FMT ADDRESS"));
  auto& state = machine.vcpu().state();
  const auto start = parse_address(state, words[1]);
  if (!start) return tl::unexpected("not an address or a register: " + words[1]);
  const bool physical = words[0].starts_with("xp");
  const auto lock = machine.lock_devices();
  const auto features = softmmu::PagingFeatures::of(machine.config().model);
  // Only plain memory: looking at a device may change it.
  const auto load = [&](std::uint64_t at) -> std::optional<std::uint8_t> {
    std::optional<guest::PhysicalAddress> where{{at}};
    if (!physical) where = softmmu::look_at(machine.memory(), state, features, {at});
    const std::uint8_t* page = where ? machine.memory().readable_page(*where) : nullptr;
    if (!page) return std::nullopt;
    return page[guest::page_offset(where->value)];
  };

  std::string text;
  if (format->kind == 'i') {
    std::vector<std::uint8_t> bytes;
    for (std::uint64_t i = 0; i < format->count * 15; ++i) {
      const auto byte = load(*start + i);
      if (!byte) break;
      bytes.push_back(*byte);
    }
    std::uint64_t shown = 0;
    for (const auto& insn :
         translator::disassemble(state.code_bytes(), *start, bytes, translator::Syntax::kIntel)) {
      if (shown++ == format->count) break;
      text += fmt::format("0x{:08x}:  {}\n", *start + insn.offset, insn.text);
    }
    return text.empty() ? Answer(tl::unexpected(std::string("no memory there"))) : Answer(text);
  }
  const unsigned in_line = 16 / format->bytes;
  for (std::uint64_t i = 0; i < format->count; ++i) {
    const std::uint64_t at = *start + i * format->bytes;
    if (i % in_line == 0) text += fmt::format("{}{:016x}:", i ? "\n" : "", at);
    std::uint64_t value = 0;
    for (unsigned b = 0; b < format->bytes; ++b) {
      const auto byte = load(at + b);
      if (!byte) return tl::unexpected(fmt::format("no memory at {:#x}", at + b));
      value |= std::uint64_t{*byte} << (8 * b);
    }
    text += ' ' + show(value, *format);
  }
  return text + "\n";
}

}  // namespace ringshift::runtime::monitor
