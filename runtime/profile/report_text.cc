// runtime/profile/report_text.cc - a profile as text for people.
#include <fmt/format.h>

#include "runtime/profile/report.h"
#include "runtime/profile/text_table.h"

namespace ringshift::runtime::profile {
namespace {

constexpr std::size_t kFunctions = 25, kWork = 20, kProcesses = 10, kBlocks = 10,
                      kInstructions = 15, kPlaces = 10;

std::string wrapped(const std::string& text, const std::string& indent) {
  constexpr std::size_t kWidth = 96;
  std::string result = indent;
  std::size_t column = indent.size();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (column + (end - at) > kWidth && column > indent.size()) {
      result += "\n" + indent;
      column = indent.size();
    }
    result += text.substr(at, end - at) + (end < text.size() ? " " : "");
    column += end - at + 1;
    at = end + 1;
  }
  return result + "\n";
}

std::string head(const Profile& p) {
  const Run& r = p.run;
  std::string text =
      fmt::format("{} samples at {} Hz in {:.2f} s: {:.2f} s of processor time, {:.2f} s idle\n",
                  r.samples, r.hz, r.wall_seconds, r.cpu_seconds, r.idle_seconds);
  if (r.lost) text += fmt::format("{} samples were lost\n", r.lost);
  if (!r.kernel.empty()) text += r.kernel + "\n";
  return text;
}

std::string summary(const Profile& p) {
  std::string text = "\nSummary\n";
  for (const Finding& f : p.summary) {
    text += f.share > 0 ? fmt::format("  {:5.1f}%  {}  [{}]\n", 100 * f.share, f.title, f.count)
                        : fmt::format("          {}  [{}]\n", f.title, f.count);
    text += wrapped(f.text, "          ") + wrapped(f.advice, "          ");
  }
  if (p.summary.empty()) text += "  nothing stands out\n";
  return text;
}

std::string work(const Profile& p) {
  std::string text = "\nWhat the processor was at\n";
  for (std::size_t i = 0; i < std::min(kWork, p.activities.size()); ++i)
    text += fmt::format("  {:5.1f}%  {}\n", percent(p, p.activities[i].samples),
                        work_text(p.activities[i]));
  return text;
}

std::string functions(const Profile& p) {
  std::string text = "\nFunctions             self   code  total\n";
  for (std::size_t i = 0; i < std::min(kFunctions, p.functions.size()); ++i) {
    const FunctionShare& f = p.functions[i];
    text += fmt::format("  {:22} {:5.1f}% {:5.1f}% {:5.1f}%\n", function_text(f),
                        percent(p, f.self), percent(p, f.guest), percent(p, f.total));
  }
  return text;
}

std::string processes(const Profile& p) {
  std::string text = "\nProcesses             all    user\n";
  for (std::size_t i = 0; i < std::min(kProcesses, p.processes.size()); ++i) {
    const ProcessShare& s = p.processes[i];
    text += fmt::format("  {:16} {:5.1f}% {:5.1f}%  CR3 {:#x}\n", s.comm.empty() ? "?" : s.comm,
                        percent(p, s.samples), percent(p, s.user), s.cr3.value);
  }
  return text;
}

std::string blocks(const Profile& p) {
  if (p.blocks.empty()) return "";
  std::string text = fmt::format("\nBlocks ({} seen)     self  called  guest  host  ratio{}\n",
                                 p.blocks_seen, p.run.exact ? "        runs" : "");
  for (std::size_t i = 0; i < std::min(kBlocks, p.blocks.size()); ++i) {
    const BlockShare& b = p.blocks[i];
    text += fmt::format(
        "  {:#018x} {:5.1f}% {:5.1f}% {:6} {:5} {:6.1f} ", b.rip.value, percent(p, b.samples),
        percent(p, b.called), b.guest_bytes, b.host_bytes,
        b.guest_bytes ? static_cast<double>(b.host_bytes) / static_cast<double>(b.guest_bytes) : 0);
    if (p.run.exact) text += fmt::format("{:11} ", b.runs);
    text += fmt::format("{} {}+{:#x}\n", b.tier, b.function, b.function_offset);
  }
  return text;
}

std::string instructions(const Profile& p) {
  std::string text = p.run.exact ? "\nInstructions that ran\n" : "\nTime by kind of instruction\n";
  std::uint64_t all = 0;
  for (const Count& c : p.mix) all += c.value;
  for (const Count& c : p.mix)
    text += fmt::format("  {:5.1f}%  {:<20} {}\n",
                        all ? 100.0 * static_cast<double>(c.value) / static_cast<double>(all) : 0,
                        c.name, c.value);
  text += "\nSensitive instructions    call-outs       quick";
  text += p.run.exact ? "         ran\n" : "\n";
  for (std::size_t i = 0; i < std::min(kInstructions, p.sensitive.size()); ++i) {
    const Sensitive& s = p.sensitive[i];
    text += fmt::format("  {:<20} {:12} {:11}", s.name, s.call_outs, s.quick);
    text += p.run.exact ? fmt::format(" {:11}\n", s.executed) : "\n";
  }
  return text;
}

std::string places(const Profile& p) {
  std::string text;
  if (!p.ports.empty()) text += "\nPorts                       reads      writes\n";
  for (std::size_t i = 0; i < std::min(kPlaces, p.ports.size()); ++i)
    text += fmt::format("  {:#06x} {:<14} {:10} {:11}\n", p.ports[i].port, p.ports[i].device,
                        p.ports[i].reads, p.ports[i].writes);
  if (!p.devices.empty()) text += "\nDevices' memory          accesses\n";
  for (std::size_t i = 0; i < std::min(kPlaces, p.devices.size()); ++i)
    text += fmt::format("  {:#010x} {:<10} {:10}\n", p.devices[i].address.value,
                        p.devices[i].device, p.devices[i].accesses);
  if (!p.written_pages.empty()) text += "\nPages of code that were written     blocks lost\n";
  for (std::size_t i = 0; i < std::min(kPlaces, p.written_pages.size()); ++i)
    text +=
        fmt::format("  {:#012x} {:8}  {} written by {}\n", p.written_pages[i].page.value,
                    p.written_pages[i].blocks, p.written_pages[i].code, p.written_pages[i].writer);
  return text;
}

std::string counters(const Profile& p) {
  std::string text = "\nCounters\n";
  for (const Count& c : p.counters)
    if (c.value) text += fmt::format("  {:<24} {}\n", c.name, c.value);
  return text;
}

}  // namespace

std::string text_report(const Profile& p) {
  return head(p) + summary(p) + work(p) + functions(p) + processes(p) + blocks(p) +
         instructions(p) + places(p) + counters(p);
}

}  // namespace ringshift::runtime::profile
