// runtime/monitor/page_tables.cc - a walk over everything that the guest maps.
#include "runtime/monitor/page_tables.h"

#include <fmt/format.h>

#include <functional>

#include "runtime/machine.h"

namespace ringshift::runtime::monitor {
namespace {

constexpr std::uint64_t kPresent = 1, kWritable = 2, kUser = 4, kLarge = 0x80;
constexpr std::uint64_t kFrame = 0x000ffffffffff000;
constexpr std::size_t kMostLines = 20'000;

struct Page {
  std::uint64_t linear, bytes, physical, rights;
};

// Calls `visit` for each page; false from it ends the walk.
class Walk {
 public:
  Walk(Machine& machine, std::function<bool(const Page&)> visit)
      : memory_(machine.memory()), state_(machine.vcpu().state()), visit_(std::move(visit)) {}

  void run() {
    if (state_.long_mode_active()) {
      table(state_.cr3 & kFrame, 0, 39, 9, 8, kWritable | kUser);
    } else if (state_.cr4 & guest::cr4::kPae) {
      for (std::uint64_t i = 0; i < 4 && going_; ++i)
        if (state_.pdpte[i] & kPresent)
          table(state_.pdpte[i] & kFrame, i << 30, 21, 9, 8, kWritable | kUser);
    } else {
      table(state_.cr3 & 0xfffff000, 0, 22, 10, 4, kWritable | kUser);
    }
  }

 private:
  std::uint64_t load(std::uint64_t where, unsigned bytes) const {
    const std::uint8_t* page = memory_.readable_page({where});
    std::uint64_t value = 0;
    if (page) guest::copy_bytes(&value, page + guest::page_offset(where), bytes);
    return value;
  }
  void table(std::uint64_t at, std::uint64_t base, unsigned shift, unsigned index_bits,
             unsigned entry_bytes, std::uint64_t rights) {
    for (std::uint64_t i = 0; i < std::uint64_t{1} << index_bits && going_; ++i) {
      const std::uint64_t entry = load(at + i * entry_bytes, entry_bytes);
      if (!(entry & kPresent)) continue;
      std::uint64_t linear = base | i << shift;
      if (shift == 39 && i >= 256) linear |= 0xffff000000000000;
      const std::uint64_t granted = rights & entry;
      const bool large = shift == 30 || shift == 21 || shift == 22;
      if (shift == 12 || (large && (entry & kLarge))) {
        const std::uint64_t bytes = std::uint64_t{1} << shift;
        going_ = visit_({linear, bytes, entry & kFrame & ~(bytes - 1), granted});
      } else {
        table(entry & kFrame, linear, shift == 22 ? 12 : shift - 9, index_bits, entry_bytes,
              granted);
      }
    }
  }

  guest::PhysicalMemory& memory_;
  const guest::CpuState& state_;
  std::function<bool(const Page&)> visit_;
  bool going_ = true;
};

std::string rights_text(std::uint64_t rights) {
  return fmt::format("{}r{}", rights & kUser ? 'u' : '-', rights & kWritable ? 'w' : '-');
}

}  // namespace

Answer list_mappings(Machine& machine, bool each_page) {
  if (!machine.vcpu().state().paging()) return "paging is off\n";
  std::string text;
  std::size_t lines = 0;
  Page run{0, 0, 0, 0};
  const auto close_run = [&] {
    if (run.bytes == 0) return;
    text += fmt::format("{:016x}-{:016x} {:016x} {}\n", run.linear, run.linear + run.bytes,
                        run.bytes, rights_text(run.rights));
    ++lines;
  };
  Walk(machine, [&](const Page& page) {
    if (each_page) {
      text += fmt::format("{:016x}: {:016x} {}{}\n", page.linear, page.physical,
                          page.bytes > 4096 ? "P" : "-", rights_text(page.rights));
      return ++lines < kMostLines;
    }
    if (run.bytes && run.linear + run.bytes == page.linear && run.rights == page.rights) {
      run.bytes += page.bytes;
      return true;
    }
    close_run();
    run = page;
    return lines < kMostLines;
  }).run();
  if (!each_page) close_run();
  if (lines >= kMostLines) text += "... and more\n";
  return text;
}

}  // namespace ringshift::runtime::monitor
