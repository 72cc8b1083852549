// runtime/profile/profile_builder.cc - from a recording to a profile: shares, stacks, counts.
#include "runtime/profile/profile_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <unordered_map>

#include "runtime/options.h"
#include "runtime/profile/block_listing.h"
#include "runtime/profile/board_names.h"
#include "runtime/profile/summary.h"
#include "runtime/profile/work_names.h"
#include "translator/listing.h"
#include "translator/mode_key.h"

namespace ringshift::runtime::profile {
namespace {

constexpr std::size_t kMostFunctions = 2000, kMostStacks = 20'000;

std::string comm_of(const ProcessKey& process) {
  return {process.comm.data(), ::strnlen(process.comm.data(), process.comm.size())};
}

class Builder {
 public:
  Builder(const Recording& recording, const SymbolSources& sources, const BuildOptions& options)
      : recording_(recording), symbolizer_(sources), options_(options) {}

  Profile run() {
    describe_run();
    for (const auto& [key, samples] : recording_.stacks) add_stack(key, samples);
    take_shares();
    add_counts();
    add_time();
    list_code();
    profile_.summary = summarize(profile_);
    return std::move(profile_);
  }

 private:
  void describe_run();
  void add_stack(const StackKey& key, std::uint64_t samples);
  void take_shares();
  void add_counts();
  void add_time();
  void list_code();
  std::uint32_t number_of(const std::string& name);
  std::uint64_t hash_at(std::uint32_t process, std::uint64_t address) const;
  std::string place(std::uint64_t address, std::uint32_t process, bool user) const;

  const Recording& recording_;
  const Symbolizer symbolizer_;
  const BuildOptions options_;
  Profile profile_;
  std::unordered_map<std::string, std::uint32_t> name_numbers_;
  std::map<std::tuple<std::string, std::string, bool>, FunctionShare> functions_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> shares_;
  std::map<std::vector<std::uint32_t>, std::uint64_t> stacks_;
};

void Builder::describe_run() {
  Run& run = profile_.run;
  run.program = version_text().substr(0, version_text().find('\n'));
  if (recording_.kernel) run.kernel = recording_.kernel->banner();
  run.began = recording_.began_unix_s;
  run.wall_seconds = static_cast<double>(recording_.wall_ns) / 1e9;
  run.cpu_seconds = static_cast<double>(recording_.cpu_ns) / 1e9;
  run.idle_seconds = static_cast<double>(recording_.idle_ns) / 1e9;
  run.hz = recording_.hz;
  run.sample_ns = recording_.sample_ns;
  run.samples = recording_.samples;
  run.lost = recording_.lost;
  run.exact = recording_.exact;
  run.ended = recording_.ended;
  run.syntax = options_.syntax == translator::Syntax::kAtt ? "att" : "intel";
  for (const ProcessKey& process : recording_.processes)
    profile_.processes.push_back({comm_of(process), {process.cr3}, 0, 0});
}

std::uint32_t Builder::number_of(const std::string& name) {
  const auto [at, is_new] =
      name_numbers_.emplace(name, static_cast<std::uint32_t>(profile_.names.size()));
  if (is_new) profile_.names.push_back(name);
  return at->second;
}

std::uint64_t Builder::hash_at(std::uint32_t process, std::uint64_t address) const {
  const auto found = recording_.page_hashes.find({process, guest::page_number(address)});
  return found == recording_.page_hashes.end() ? 0 : found->second;
}

void Builder::add_stack(const StackKey& key, std::uint64_t samples) {
  const ProcessKey& process = recording_.processes[key.process];
  profile_.processes[key.process].samples += samples;
  if (key.cpl == 3) profile_.processes[key.process].user += samples;
  const WorkName work = work_name(key.work, recording_.thunks);
  shares_[{work.kind, work.detail}] += samples;

  std::string root = comm_of(process);
  if (root.empty()) root = process.cr3 ? fmt::format("CR3 {:#x}", process.cr3) : "guest";
  std::vector<std::uint32_t> stack{number_of(root)};
  std::set<FunctionShare*> seen;  // recursion counts once
  for (std::size_t i = key.frames.size(); i-- > 0;) {
    const bool user = i == 0 ? key.cpl == 3 : key.word_bytes == 8 && key.frames[i] >> 47 == 0;
    // A return address may be the first byte of another function.
    const std::uint64_t address = key.frames[i] - (i > 0);
    const auto name = symbolizer_.name_of(address, user, hash_at(key.process, key.frames[i]));
    FunctionShare& function = functions_[{name.function, name.module, user}];
    if (seen.insert(&function).second) function.total += samples;
    if (i == 0) {
      function.self += samples;
      if (work.is_guest_code) function.guest += samples;
    }
    const bool plain = name.module.empty() || name.module == "kernel";
    stack.push_back(
        number_of(plain ? name.function : fmt::format("{} ({})", name.function, name.module)));
  }
  if (const auto top = work.frame(); !top.empty()) stack.push_back(number_of(top));
  stacks_[std::move(stack)] += samples;
}

template <typename T, typename Key>
void keep_most(std::vector<T>& list, std::size_t most, Key key) {
  std::stable_sort(list.begin(), list.end(),
                   [&](const T& a, const T& b) { return key(a) > key(b); });
  if (list.size() > most) list.resize(most);
}

void Builder::take_shares() {
  for (const auto& [name, samples] : shares_)
    profile_.activities.push_back({name.first, name.second, samples});
  keep_most(profile_.activities, shares_.size(), [](const Share& s) { return s.samples; });
  for (auto& [key, function] : functions_) {
    std::tie(function.name, function.module, function.user) = key;
    profile_.functions.push_back(function);
  }
  keep_most(profile_.functions, kMostFunctions,
            [](const FunctionShare& f) { return std::pair(f.self, f.total); });
  for (auto& [frames, samples] : stacks_) profile_.stacks.push_back({frames, samples});
  keep_most(profile_.stacks, kMostStacks, [](const Stack& s) { return s.samples; });
  std::erase_if(profile_.processes, [](const ProcessShare& p) { return p.samples == 0; });
  keep_most(profile_.processes, profile_.processes.size(),
            [](const ProcessShare& p) { return p.samples; });
}

std::string Builder::place(std::uint64_t address, std::uint32_t process, bool user) const {
  if (address == 0) return "";
  const auto name = symbolizer_.name_of(address, user, hash_at(process, address));
  if (!name.known) return fmt::format("{:#x}", address);
  return name.start ? fmt::format("{}+{:#x}", name.function, address - name.start) : name.function;
}

void Builder::add_counts() {
  for (const Counter& counter : recording_.counters)
    profile_.counters.push_back({counter.name, counter.value});
  const CallOutCounts& c = recording_.call_outs;
  for (std::size_t row = 0; row < c.call_outs.size(); ++row)
    if (c.call_outs[row] || c.quick[row])
      profile_.sensitive.push_back(
          {std::string(translator::row_name(row)), c.call_outs[row], c.quick[row], 0});
  for (const auto& port : c.ports)
    if (port.reads || port.writes)
      profile_.ports.push_back({port.port, port_device(port.port), port.reads, port.writes});
  keep_most(profile_.ports, c.ports.size(), [](const PortCount& p) { return p.reads + p.writes; });
  for (const auto& page : c.device_pages)
    if (page.accesses)
      profile_.devices.push_back(
          {{page.number << guest::kPageShift}, page_device(page.number), page.accesses});
  for (std::size_t i = 0; i < c.exceptions.size(); ++i) {
    const auto vector = static_cast<unsigned>(i);
    if (c.exceptions[i]) profile_.exceptions.push_back({vector_name(vector), c.exceptions[i]});
    if (c.interrupts[i]) profile_.interrupts.push_back({fmt::format("{:#x}", i), c.interrupts[i]});
  }
  for (const auto& [page, write] : recording_.code_writes) {
    const bool user = write.linear >> 47 == 0 && recording_.kernel;
    profile_.written_pages.push_back({{page},
                                      place(write.linear, write.process, user),
                                      place(write.writer, write.process, user),
                                      write.blocks});
  }
  keep_most(profile_.written_pages, 100, [](const WrittenPage& p) { return p.blocks; });
}

void Builder::add_time() {
  const auto& points = recording_.timeline;
  for (std::size_t i = 1; i < points.size(); ++i)
    profile_.timeline.ms.push_back(static_cast<double>(points[i].when_ns) / 1e6);
  for (std::size_t c = 0; c < recording_.counters.size(); ++c) {
    if (recording_.counters[c].value == 0) continue;
    Series series{recording_.counters[c].name, {}};
    for (std::size_t i = 1; i < points.size(); ++i)
      series.values.push_back(points[i].values[c] - points[i - 1].values[c]);
    profile_.timeline.series.push_back(std::move(series));
  }
  for (const CachePicture& picture : recording_.cache) {
    CacheMap map{
        static_cast<double>(picture.when_ns) / 1e6, picture.used_bytes, picture.capacity_bytes, {}};
    for (const auto& cell : picture.cells)
      map.cells.push_back({cell.cold, cell.hot, cell.dead, cell.age_ms});
    profile_.cache.push_back(std::move(map));
  }
}

void Builder::list_code() {
  count_instructions(recording_, profile_);
  profile_.blocks_seen = recording_.blocks.size();
  if (!options_.listings) return;
  std::vector<const BlockRecord*> order;
  for (const BlockRecord& record : recording_.blocks) order.push_back(&record);
  keep_most(order, options_.most_blocks, [](const BlockRecord* b) {
    std::uint64_t samples = 0;
    for (const auto* by_offset : {&b->samples, &b->called})
      for (const auto& [offset, count] : *by_offset) samples += count;
    return std::pair(samples, b->runs);
  });
  for (const BlockRecord* record : order) {
    const bool user = translator::ModeKey(record->key.mode).cpl() == 3;
    const auto name = symbolizer_.name_of(record->linear, user, record->page_hash);
    BlockShare block = block_share(*record);
    block.function = name.function;
    block.module = name.module;
    block.function_offset = name.start ? record->linear - name.start : 0;
    profile_.blocks.push_back(std::move(block));
  }
  list_blocks(profile_, options_.syntax, [this](std::uint64_t address) -> std::string {
    if (const auto thunk = recording_.thunks.find(address); thunk != recording_.thunks.end())
      return thunk->second;
    const auto name = symbolizer_.name_of(address, address >> 47 == 0, 0);
    return name.known ? name.function : "";
  });
}

}  // namespace

Profile build_profile(const Recording& recording, const SymbolSources& sources,
                      const BuildOptions& options) {
  return Builder(recording, sources, options).run();
}

}  // namespace ringshift::runtime::profile
