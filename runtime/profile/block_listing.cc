// runtime/profile/block_listing.cc - the code of blocks.
#include "runtime/profile/block_listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <unordered_map>

#include "translator/mode_key.h"

namespace ringshift::runtime::profile {
namespace {

using translator::ListedInstruction;

std::string to_hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

std::vector<std::uint8_t> from_hex(std::string_view text) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    std::uint8_t byte = 0;
    std::from_chars(text.data() + i, text.data() + i + 2, byte, 16);
    bytes.push_back(byte);
  }
  return bytes;
}

// In words: "64-bit, ring 3".
std::string mode_text(translator::ModeKey mode) {
  std::string text = fmt::format("{}-bit, ring {}", mode.code_bytes() * 8, mode.cpl());
  if (mode.real_or_v86()) text = mode.cpl() == 3 ? "virtual 8086" : "real mode";
  if (mode.single()) text += ", single";
  if (mode.windows()) text += ", windows";
  return text;
}

// The last at or before an offset; -1: none.
template <typename Line>
std::int64_t line_at(const std::vector<Line>& lines, std::uint32_t offset) {
  const auto after =
      std::upper_bound(lines.begin(), lines.end(), offset,
                       [](std::uint32_t o, const Line& line) { return o < line.offset; });
  return std::distance(lines.begin(), after) - 1;
}

std::int64_t guest_offset_at(const BlockRecord& record, std::uint32_t host_offset) {
  const auto after = std::upper_bound(
      record.starts.begin(), record.starts.end(), host_offset,
      [](std::uint32_t o, const BlockRecord::Start& s) { return o < s.host_offset; });
  return after == record.starts.begin() ? -1 : std::int64_t{std::prev(after)->guest_offset};
}

// What an earlier listing said of addresses, which a file does not say again.
template <typename Line>
void keep_name(std::string& text, const Line& old) {
  const std::size_t name = old.text.rfind("  <");
  if (name != std::string::npos && text.find("  <") == std::string::npos)
    text += old.text.substr(name);
}

void list_host(BlockShare& block, translator::Syntax syntax,
               const translator::AddressNames& names) {
  std::vector<HostLine> lines;
  for (ListedInstruction& insn : translator::disassemble(8, block.host_address.value,
                                                         from_hex(block.host_code), syntax, names))
    lines.push_back({insn.offset, insn.length, -1, std::move(insn.text), 0});
  for (const HostLine& old : block.host) {
    const auto at = line_at(lines, old.offset);
    if (at < 0) continue;
    lines[static_cast<std::size_t>(at)].samples += old.samples;
    if (lines[static_cast<std::size_t>(at)].offset == old.offset)
      keep_name(lines[static_cast<std::size_t>(at)].text, old);
    if (old.line >= 0) lines[static_cast<std::size_t>(at)].line = old.line;
  }
  // A line without a place of its own goes with the one before.
  for (std::size_t i = 1; i < lines.size(); ++i)
    if (lines[i].line < 0) lines[i].line = lines[i - 1].line;
  block.host = std::move(lines);
}

void list_guest(BlockShare& block, translator::Syntax syntax,
                const translator::AddressNames& names) {
  const auto listed = translator::disassemble(block.code_bytes, block.rip.value,
                                              from_hex(block.guest_code), syntax, names);
  std::vector<GuestLine> lines;
  for (const ListedInstruction& insn : listed)
    lines.push_back({insn.offset, insn.length, insn.text, insn.category, 0, 0});
  for (const GuestLine& old : block.guest)
    if (const auto at = line_at(lines, old.offset); at >= 0) {
      lines[static_cast<std::size_t>(at)].samples += old.samples;
      lines[static_cast<std::size_t>(at)].called += old.called;
      keep_name(lines[static_cast<std::size_t>(at)].text, old);
    }
  block.guest = std::move(lines);
}

void find_edges(BlockShare& block, const std::unordered_map<std::uint64_t, std::int64_t>& by_rip) {
  const auto listed = translator::disassemble(
      block.code_bytes, block.rip.value, from_hex(block.guest_code), translator::Syntax::kIntel);
  block.edges.clear();
  if (listed.empty()) return;
  const auto lead = [&](std::uint64_t rip, const char* kind) {
    const auto found = by_rip.find(rip);
    block.edges.push_back({found == by_rip.end() ? -1 : found->second, {rip}, kind});
  };
  const ListedInstruction& last = listed.back();
  if (last.target) lead(*last.target, last.call ? "call" : last.conditional ? "branch" : "jump");
  if (!last.ends_block || last.conditional || last.call)
    lead(block.rip.value + block.guest_bytes, "next");
}

}  // namespace

BlockShare block_share(const BlockRecord& record) {
  const translator::ModeKey mode(record.key.mode);
  BlockShare block;
  block.rip = {record.linear};
  block.physical = {record.key.physical};
  block.mode = mode_text(mode);
  block.tier = record.hot ? "hot" : "cold";
  block.code_bytes = mode.code_bytes();
  block.removed = record.removed;
  block.runs = record.runs;
  block.guest_bytes = record.guest.size();
  block.host_bytes = record.host_bytes;
  block.guest_code = to_hex(record.guest);
  block.host_code = to_hex(record.host);
  block.host_address = {record.host_address};
  // Lines by guest offset, until the listing has its own.
  std::map<std::uint32_t, GuestLine> guest;
  const auto guest_line = [&](std::int64_t offset) -> GuestLine& {
    const auto at = static_cast<std::uint32_t>(std::max<std::int64_t>(offset, 0));
    guest[at].offset = at;
    return guest[at];
  };
  for (const auto& start : record.starts) guest_line(start.guest_offset);
  for (const auto& [offset, samples] : record.samples) {
    block.samples += samples;
    guest_line(guest_offset_at(record, offset)).samples += samples;
  }
  for (const auto& [offset, samples] : record.called) {
    block.called += samples;
    guest_line(guest_offset_at(record, offset)).called += samples;
  }
  for (auto& [offset, line] : guest) block.guest.push_back(line);
  for (const auto& start : record.starts)
    block.host.push_back({start.host_offset, 0,
                          static_cast<std::int32_t>(line_at(block.guest, start.guest_offset)), "",
                          0});
  for (const auto& [offset, samples] : record.samples)
    block.host.push_back({offset, 0, -1, "", samples});
  return block;
}

void list_blocks(Profile& profile, translator::Syntax syntax,
                 const translator::AddressNames& names) {
  std::unordered_map<std::uint64_t, std::int64_t> by_rip;
  for (std::size_t i = profile.blocks.size(); i-- > 0;)
    by_rip[profile.blocks[i].rip.value] = static_cast<std::int64_t>(i);
  profile.run.syntax = syntax == translator::Syntax::kAtt ? "att" : "intel";
  for (BlockShare& block : profile.blocks) {
    list_guest(block, syntax, names);
    list_host(block, syntax, names);
    find_edges(block, by_rip);
  }
}

void count_instructions(const Recording& recording, Profile& profile) {
  std::map<std::string, std::uint64_t> mix, executed;
  for (const BlockRecord& record : recording.blocks) {
    const translator::ModeKey mode(record.key.mode);
    const auto listed = translator::disassemble(mode.code_bytes(), record.linear, record.guest,
                                                translator::Syntax::kIntel);
    for (const ListedInstruction& insn : listed) {
      if (!recording.exact) break;
      mix[insn.category] += record.runs;
      if (!insn.sensitive.empty()) executed[insn.sensitive] += record.runs;
    }
    if (recording.exact) continue;
    for (const auto* by_offset : {&record.samples, &record.called})
      for (const auto& [offset, samples] : *by_offset)
        if (const auto at = guest_offset_at(record, offset); at >= 0)
          if (const auto line = line_at(listed, static_cast<std::uint32_t>(at)); line >= 0)
            mix[listed[static_cast<std::size_t>(line)].category] += samples;
  }
  for (const auto& [name, value] : mix) profile.mix.push_back({name, value});
  std::stable_sort(profile.mix.begin(), profile.mix.end(),
                   [](const Count& a, const Count& b) { return a.value > b.value; });
  for (Sensitive& s : profile.sensitive)
    if (const auto found = executed.extract(s.name)) s.executed = found.mapped();
  for (const auto& [name, count] : executed) profile.sensitive.push_back({name, 0, 0, count});
  std::stable_sort(profile.sensitive.begin(), profile.sensitive.end(),
                   [](const Sensitive& a, const Sensitive& b) {
                     return a.call_outs + a.quick + a.executed > b.call_outs + b.quick + b.executed;
                   });
}

}  // namespace ringshift::runtime::profile
