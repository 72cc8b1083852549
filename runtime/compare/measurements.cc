// runtime/compare/measurements.cc - the table of measurements, and medians.
#include "runtime/compare/measurements.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace ringshift::runtime {
namespace {

constexpr std::string_view kInGuest =
    "time-stamp counter around batches of at least a million cycles; median of nine";
constexpr std::string_view kOutside = "from starting the program to its end";

constexpr auto kMeasurements = std::to_array<Measurement>({
    {"registers", "turn of a loop on registers, ring 3", "cycles", kInGuest},
    {"call", "call and return, ring 3", "cycles", kInGuest},
    {"array", "read and write a word of 16 KiB, ring 3", "cycles", kInGuest},
    {"pointers", "follow a pointer, ring 3", "cycles", kInGuest},
    {"system-call", "SYSCALL and SYSRET", "cycles", kInGuest},
    {"software-interrupt", "INT n of ring 3 and IRET", "cycles", kInGuest},
    {"page-fault", "page fault and IRET, ring 0", "cycles", kInGuest},
    {"divide-error", "division by zero and IRET, ring 0", "cycles", kInGuest},
    {"page-table", "two writes of a page-table entry, two INVLPGs, an access", "cycles", kInGuest},
    {"cr3", "MOV to CR3", "cycles", kInGuest},
    {"cr8", "MOV to CR8", "cycles", kInGuest},
    {"port-read", "IN from the serial port's status", "cycles", kInGuest},
    {"cpuid", "CPUID", "cycles", kInGuest},
    {"time-stamp", "RDTSC", "cycles", kInGuest},
    {"interrupt", "interrupt to itself, acknowledged", "cycles", kInGuest},
    {"start", "machine started, built-in guest powered off", "ms", kOutside},
    {"memory", "memory of the host for that", "KiB", "greatest resident size of the program"},
    {"boot", "your guest, started to its end", "ms", kOutside},
});

}  // namespace

std::span<const Measurement> measurements() { return kMeasurements; }

std::optional<double> Values::median() const {
  if (of_repeats.empty()) return std::nullopt;
  auto sorted = of_repeats;
  std::ranges::sort(sorted);
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

std::optional<double> Values::spread() const {
  if (of_repeats.size() < 2 || *median() == 0) return std::nullopt;
  const auto [least, greatest] = std::ranges::minmax(of_repeats);
  return (greatest - least) / *median();
}

void add_guest_lines(std::string_view output, std::vector<Values>& values) {
  constexpr std::string_view kStart = "measure ";
  for (std::size_t at = output.find(kStart); at != output.npos; at = output.find(kStart, at + 1)) {
    const std::string_view line = output.substr(at + kStart.size());
    const std::size_t space = line.find(' '), end = line.find('\n');
    if (space >= end || end == line.npos) continue;
    double hundredths = 0;
    const auto parsed = std::from_chars(line.data() + space + 1, line.data() + end, hundredths);
    if (parsed.ec != std::errc() || parsed.ptr != line.data() + end) continue;
    for (std::size_t i = 0; i < kMeasurements.size(); ++i)
      if (kMeasurements[i].name == line.substr(0, space))
        values[i].of_repeats.push_back(hundredths / 100);
  }
}

}  // namespace ringshift::runtime
