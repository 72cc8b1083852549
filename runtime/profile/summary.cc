// runtime/profile/summary.cc - what costs most, in plain words, and what could be done about it.
// Each rule looks at one thing, has a count that proves what it says, and is silent below the rate
// at which anybody would care.
#include "runtime/profile/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace ringshift::runtime::profile {
namespace {

// Of the samples, below which a kind of work is not worth a sentence.
constexpr double kWorthSaying = 0.05;

class Summary {
 public:
  explicit Summary(const Profile& profile)
      : p_(profile), seconds_(std::max(profile.run.cpu_seconds, 0.001)) {}

  std::vector<Finding> run() {
    top_function();
    patched_code();
    address_spaces();
    ports();
    devices();
    call_outs();
    translation();
    page_walks();
    window_faults();
    page_faults();
    cold_code();
    cache_flushes();
    idle();
    std::stable_sort(found_.begin(), found_.end(),
                     [](const Finding& a, const Finding& b) { return a.share > b.share; });
    return std::move(found_);
  }

 private:
  std::uint64_t counter(std::string_view name) const {
    for (const Count& c : p_.counters)
      if (c.name == name) return c.value;
    return 0;
  }
  double share_of(std::string_view kind, std::string_view detail_start = "") const {
    std::uint64_t samples = 0;
    for (const Share& s : p_.activities)
      if (s.kind == kind && s.detail.starts_with(detail_start)) samples += s.samples;
    return part(samples);
  }
  double part(std::uint64_t samples) const {
    return p_.run.samples ? static_cast<double>(samples) / static_cast<double>(p_.run.samples) : 0;
  }
  double rate(std::uint64_t count) const { return static_cast<double>(count) / seconds_; }
  // Often enough to be named by itself, however little time it took.
  bool often(std::uint64_t count, double per_second) const {
    constexpr std::uint64_t kFew = 100;
    return count >= kFew && rate(count) >= per_second;
  }
  void say(std::string title, std::uint64_t count, double share, std::string text,
           std::string advice) {
    found_.push_back({std::move(title), std::move(text), std::move(advice), count, share});
  }

  void top_function();
  void patched_code();
  void address_spaces();
  void ports();
  void devices();
  void call_outs();
  void translation();
  void page_walks();
  void window_faults();
  void page_faults();
  void cold_code();
  void cache_flushes();
  void idle();

  const Profile& p_;
  const double seconds_;
  std::vector<Finding> found_;
};

void Summary::top_function() {
  if (p_.functions.empty() || part(p_.functions[0].self) < kWorthSaying) return;
  const FunctionShare& f = p_.functions[0];
  const std::string where = f.module.empty() ? "" : fmt::format(" of {}", f.module);
  say(fmt::format("{}{} is where most time goes", f.name, where), f.self, part(f.self),
      fmt::format("{:.1f}% of the samples ({}) are in it, {:.1f}% in its translated code.",
                  100 * part(f.self), f.self, 100 * part(f.guest)),
      "Its blocks are the first to look at: what each instruction became stands beside it.");
}

void Summary::patched_code() {
  const std::uint64_t blocks = counter("removed: stores");
  if (!often(blocks, 20)) return;
  std::string where;
  bool patched = false;
  if (!p_.written_pages.empty()) {
    const WrittenPage& page = p_.written_pages[0];
    where = fmt::format(" Most were in the page at {:#x} ({}), written by {}: {}.", page.page.value,
                        page.code, page.writer, page.blocks);
    // Blocks of a page that is used for something else go once; patched ones come back.
    constexpr std::uint64_t kBlocksOfPage = 512;
    patched = page.blocks >= std::min(kBlocksOfPage, blocks / 2);
  }
  say(patched ? "The guest patches its own code" : "Memory with code is used for something else",
      blocks, share_of("translation") + share_of("slow store"),
      fmt::format("{} translated blocks went because stores hit them, {:.0f} a second; {} stores "
                  "went to pages with code.{}",
                  blocks, rate(blocks), counter("writes to code pages"), where),
      patched ? "Code and the data that changes are cheap on pages of their own."
              : "That costs little, as long as the code is not needed again.");
}

void Summary::address_spaces() {
  const std::uint64_t changes = counter("address space changes");
  if (!often(changes, 500)) return;
  say("The guest switches address spaces often", changes, share_of("call-out", "mov to cr"),
      fmt::format("CR3 changed {} times, {:.0f} a second; look-up tables were flushed {} times.",
                  changes, rate(changes), counter("TLB flushes")),
      "With CR4.PCIDE set an address space keeps its look-up tables across switches.");
}

void Summary::ports() {
  if (p_.ports.empty()) return;
  const PortCount& port = p_.ports[0];
  const std::uint64_t accesses = port.reads + port.writes;
  const double share = share_of("port") + share_of("call-out", "in") + share_of("call-out", "out");
  if (!often(accesses, 2000) && share < kWorthSaying) return;
  say(fmt::format("The guest hammers port {:#x} ({})", port.port, port.device), accesses, share,
      fmt::format("{} reads and {} writes, {:.0f} a second.", port.reads, port.writes,
                  rate(accesses)),
      "Each access leaves translated code; string instructions, a FIFO or a virtio device take "
      "fewer.");
}

void Summary::devices() {
  if (p_.devices.empty()) return;
  const DeviceCount& device = p_.devices[0];
  const double share = share_of("device");
  if (!often(device.accesses, 5000) && share < kWorthSaying) return;
  say(fmt::format("The guest reaches the {} often", device.device), device.accesses, share,
      fmt::format("{} accesses of the page at {:#x}, {:.0f} a second.", device.accesses,
                  device.address.value, rate(device.accesses)),
      "Each access leaves translated code.");
}

void Summary::call_outs() {
  for (const Share& s : p_.activities) {
    if (s.kind != "call-out" || part(s.samples) < kWorthSaying) continue;
    std::uint64_t count = 0;
    for (const Sensitive& row : p_.sensitive)
      if (row.name == s.detail) count = row.call_outs;
    say(fmt::format("{} leaves translated code", s.detail), count, part(s.samples),
        fmt::format("{} times, which took {:.1f}% of the time.", count, 100 * part(s.samples)),
        "A form of its own in translated code would pay for this instruction.");
  }
}

void Summary::translation() {
  const double share = share_of("translation") + share_of("promotion");
  if (share < 2 * kWorthSaying) return;
  say("Much time goes into translation", counter("blocks translated"), share,
      fmt::format("{} blocks were translated, {} of them a second time because they ran often.",
                  counter("blocks translated"), counter("promotions")),
      "Short runs of much code are like that; with long ones, see what takes blocks away.");
}

void Summary::page_walks() {
  const double share = share_of("page walk");
  if (share < kWorthSaying) return;
  const auto misses = counter("TLB read misses") + counter("TLB write misses");
  say("Look-ups of memory miss often", misses, share,
      fmt::format("{} misses: {} of pages that were then cached, {} that straddle two pages, {} of "
                  "pages with code, {} of what is not RAM, {} that fault.",
                  misses, counter("misses: now cached"), counter("misses: straddling"),
                  counter("misses: code pages"), counter("misses: not RAM"),
                  counter("misses: faults")),
      "Fewer flushes, larger strides within a page, or mmu=windows.");
}

void Summary::window_faults() {
  const std::uint64_t faults = counter("window faults mended") + counter("window faults left");
  if (!often(faults, 5000)) return;
  // A signal and a mapping cost some ten microseconds of the host's kernel.
  constexpr double kFaultSeconds = 10e-6;
  say("Windows are filled again and again", faults, std::min(rate(faults) * kFaultSeconds, 1.0),
      fmt::format("{} accesses were refused by the host and mended or looked up, {:.0f} a second.",
                  faults, rate(faults)),
      "mmu=tlb avoids the faults where mappings do not live long.");
}

void Summary::page_faults() {
  std::uint64_t faults = 0;
  for (const Count& c : p_.exceptions)
    if (c.name == "#PF") faults = c.value;
  if (!often(faults, 20'000)) return;
  say("The guest takes many page faults", faults, share_of("exception", "#PF"),
      fmt::format("{} page faults, {:.0f} a second.", faults, rate(faults)),
      "The guest's own affair: huge pages or fewer mappings need fewer.");
}

void Summary::cold_code() {
  const double share = share_of("cold code") + share_of("thunk");
  if (share < 0.4) return;
  say("Much of the time is in code that is not hot", counter("blocks translated"), share,
      fmt::format("{:.1f}% of the samples are in cold blocks and the thunks they call.",
                  100 * share),
      "Blocks become hot at 64 runs, in 64-bit and flat 32-bit code; tier=2 makes all of them so.");
}

void Summary::cache_flushes() {
  const std::uint64_t flushes = counter("cache flushes");
  if (flushes == 0) return;
  say("The code cache was full", flushes, share_of("translation"),
      fmt::format("It was flushed {} times, and everything translated anew.", flushes),
      "-accel bt,cache=SIZE makes it larger.");
}

void Summary::idle() {
  const double part_idle = p_.run.wall_seconds > 0 ? p_.run.idle_seconds / p_.run.wall_seconds : 0;
  if (part_idle < 0.5) return;
  say("The guest mostly waits", static_cast<std::uint64_t>(p_.run.idle_seconds * 1000), 0,
      fmt::format("{:.1f} of {:.1f} seconds it was halted.", p_.run.idle_seconds,
                  p_.run.wall_seconds),
      "What it waits for is not in this profile: timers, input, or another machine.");
}

}  // namespace

std::vector<Finding> summarize(const Profile& profile) { return Summary(profile).run(); }

}  // namespace ringshift::runtime::profile
