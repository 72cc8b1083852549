// runtime/bt/counters.cc - the counters that are always kept: slow paths count, translated code
// does not.
#include <utility>

#include "runtime/bt/bt_vcpu.h"

namespace ringshift::runtime {

std::vector<Counter> BtVcpu::counters() const {
  const auto& c = cache_.counters();
  const auto& m = mmu_.counters();
  std::vector<Counter> all = {
      {"blocks translated", c.blocks},
      {"guest instructions", c.instructions},
      {"guest bytes", c.guest_bytes},
      {"host bytes", c.host_bytes},
      {"links", c.links},
      {"blocks invalidated", c.invalidated_blocks},
      {"writes to code pages", c.watched_writes},
      {"cache flushes", c.flushes},
      {"dispatches", dispatches_},
      {"call-outs", call_outs_},
      {"exceptions", faults_},
      {"interrupts", interrupts_},
      {"TLB read misses", m.read_misses},
      {"TLB write misses", m.write_misses},
      {"slow reads", m.slow_reads},
      {"slow writes", m.slow_writes},
      {"page walks", m.walks},
      {"TLB flushes", m.full_flushes},
      {"page flushes", m.page_flushes},
      {"view switches", m.view_switches},
      {"address space changes", m.space_changes},
      {"indirect misses", indirect_misses_},
      {"unlinked exits", direct_exits_},
      {"block searches", block_searches_},
      {"promotions", promotions_},
      {"link misses", link_misses_},
      {"window faults mended", mended_faults_},
      {"window faults left", window_faults_},
  };
  count_causes(all);
  count_windows(all);
  return all;
}

void BtVcpu::count_causes(std::vector<Counter>& all) const {
  static constexpr std::array<std::string_view, codecache::kRemovals> kNames = {
      "removed: stores",     "removed: remapped", "removed: ungrouped",
      "removed: loop heads", "removed: promoted", "removed: looked up"};
  const auto& removed = cache_.counters().removed;
  for (std::size_t i = 0; i < removed.size(); ++i)
    all.push_back({std::string(kNames[i]), removed[i]});
  const auto& m = mmu_.counters();
  for (const auto& [name, value] : {std::pair{"misses: now cached", m.cached},
                                    {"misses: straddling", m.straddled},
                                    {"misses: faults", m.faulted},
                                    {"misses: code pages", m.watched},
                                    {"misses: not RAM", m.not_ram}})
    all.push_back({name, value});
}

void BtVcpu::count_windows(std::vector<Counter>& all) const {
  if (!windows_) return;
  const auto& w = windows_->counters();
  for (const auto& [name, value] : {std::pair{"window runs mapped", w.maps},
                                    {"window pages mapped", w.pages},
                                    {"window drops", w.drops},
                                    {"window evictions", w.evictions},
                                    {"window refusals", w.refused},
                                    {"host mappings", windows_->mappings()}})
    all.push_back({name, value});
}

CallOutCounts BtVcpu::call_out_counts() const {
  CallOutCounts counts;
  counts.call_outs = row_counts_;
  counts.quick = quick_counts_;
  for (std::size_t i = 0; i < BoardCounts::kPorts; ++i)
    if (const auto& port = board_counts_.port(i); port.reads || port.writes)
      counts.ports.push_back({static_cast<std::uint16_t>(i), port.reads, port.writes});
  for (const auto& page : board_counts_.pages())
    if (page.accesses) counts.device_pages.push_back({page.number, page.accesses});
  if (const auto others = board_counts_.other_pages())
    counts.device_pages.push_back({BoardCounts::kOtherPages, others});
  counts.exceptions = exceptions_by_vector_;
  counts.interrupts = interrupts_by_vector_;
  return counts;
}

}  // namespace ringshift::runtime
