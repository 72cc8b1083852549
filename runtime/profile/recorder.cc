// runtime/profile/recorder.cc - records a running vCPU: samples, blocks, counters over time.
#include "runtime/profile/recorder.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "runtime/profile/page_hash.h"
#include "runtime/profile/thin_out.h"
#include "runtime/profile/thunk_names.h"

namespace ringshift::runtime::profile {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::size_t kMostTimePoints = 512, kMostPictures = 48, kCells = 128;
// Beyond, samples keep their place and lose their callers.
constexpr std::size_t kMostStacks = 200'000;
constexpr std::size_t kMostPages = 200'000;
constexpr std::size_t kMostWrittenPages = 4096;

std::int64_t now_ns(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return t.tv_sec * kNsPerSecond + t.tv_nsec;
}

const std::uint8_t* host_pointer(std::uint64_t address) {
  return reinterpret_cast<const std::uint8_t*>(address);
}

}  // namespace

Recorder::Recorder(Vcpu& vcpu, const RecordOptions& options, std::function<std::int64_t()> idle_ns)
    : vcpu_(vcpu),
      translating_(*vcpu.translating()),
      parts_(translating_.parts()),
      features_(softmmu::PagingFeatures::of(parts_.model)),
      options_(options),
      idle_ns_(std::move(idle_ns)),
      thunks_(thunk_names(parts_.thunks)) {}

tl::expected<std::unique_ptr<Recorder>, std::string> Recorder::start(
    Vcpu& vcpu, const RecordOptions& options, std::function<std::int64_t()> idle_ns) {
  if (!vcpu.translating())
    return tl::unexpected(std::string("this accelerator does not translate: nothing to profile"));
  std::unique_ptr<Recorder> recorder(new Recorder(vcpu, options, std::move(idle_ns)));
  auto sampler =
      Sampler::start(recorder->translating_, static_cast<pid_t>(::syscall(SYS_gettid)), options.hz);
  if (!sampler) return tl::unexpected(sampler.error());
  recorder->sampler_ = std::move(*sampler);
  if (options.exact) recorder->translating_.count_runs(true);
  recorder->adopt_blocks();
  recorder->translating_.add_observer(*recorder);
  recorder->begin();
  return recorder;
}

Recorder::~Recorder() {
  sampler_.reset();
  translating_.remove_observer(*this);
  translating_.count_runs(false);
}

// Blocks from before: what they were made of can still be read, unless they are gone.
void Recorder::adopt_blocks() {
  now_ns_ = now_ns(CLOCK_MONOTONIC);
  std::vector<std::uint8_t> bytes;
  for (const codecache::Block& block : parts_.cache.blocks()) {
    bytes.assign(block.guest_bytes, 0);
    const std::uint8_t* page = parts_.memory.readable_page({block.key.physical});
    if (page && block.valid && block.second_page == codecache::Block::kNoPage)
      std::memcpy(bytes.data(), page + block.start_offset(), bytes.size());
    adopt(bytes);
  }
}

// The next block's, in the order of their numbers.
Recorder::LiveBlock& Recorder::adopt(std::span<const std::uint8_t> bytes) {
  LiveBlock live{.bytes_at = live_bytes_.size(), .made_ns = now_ns_};
  live_bytes_.insert(live_bytes_.end(), bytes.begin(), bytes.end());
  return live_.emplace_back(live);
}

void Recorder::begin() {
  recording_ = {};
  recording_.hz = options_.hz;
  recording_.exact = options_.exact;
  recording_.sample_ns = sampler_->period_ns();
  recording_.began_unix_s = std::chrono::duration_cast<std::chrono::seconds>(
                                std::chrono::system_clock::now().time_since_epoch())
                                .count();
  process_index_.clear();
  for (LiveBlock& live : live_) live.record = -1;
  for (const codecache::Block& block : parts_.cache.blocks())
    if (block.runs) *block.runs = 0;
  at_start_ = totals();
  time_step_ns_ = kNsPerSecond / 10;
  cache_step_ns_ = kNsPerSecond / 2;
  add_time_point(at_start_.wall_ns);
}

Recorder::Totals Recorder::totals() const {
  Totals t;
  t.counters = vcpu_.counters();
  t.call_outs = translating_.call_out_counts();
  t.wall_ns = now_ns(CLOCK_MONOTONIC);
  t.cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
  t.idle_ns = idle_ns_();
  t.lost = sampler_->ring().lost();
  return t;
}

namespace {

void subtract(std::vector<std::uint64_t>& from, const std::vector<std::uint64_t>& what) {
  for (std::size_t i = 0; i < what.size(); ++i) from[i] -= what[i];
}

template <typename T, typename Key, typename Subtract>
void subtract_list(std::vector<T>& from, const std::vector<T>& what, Key key, Subtract subtract) {
  for (T& item : from)
    for (const T& before : what)
      if (key(item) == key(before)) subtract(item, before);
}

// Both only grow.
CallOutCounts difference(CallOutCounts now, const CallOutCounts& before) {
  subtract(now.call_outs, before.call_outs);
  subtract(now.quick, before.quick);
  subtract_list(
      now.ports, before.ports, [](const auto& p) { return p.port; },
      [](auto& a, const auto& b) {
        a.reads -= b.reads;
        a.writes -= b.writes;
      });
  subtract_list(
      now.device_pages, before.device_pages, [](const auto& p) { return p.number; },
      [](auto& a, const auto& b) { a.accesses -= b.accesses; });
  for (std::size_t i = 0; i < now.exceptions.size(); ++i) {
    now.exceptions[i] -= before.exceptions[i];
    now.interrupts[i] -= before.interrupts[i];
  }
  return now;
}

}  // namespace

Recording Recorder::take() {
  drain();
  collect_runs();
  const Totals now = totals();
  add_time_point(now.wall_ns);
  add_cache_picture(now.wall_ns);
  recording_.wall_ns = now.wall_ns - at_start_.wall_ns;
  recording_.cpu_ns = now.cpu_ns - at_start_.cpu_ns;
  recording_.idle_ns = now.idle_ns - at_start_.idle_ns;
  recording_.lost = now.lost - at_start_.lost;
  recording_.counters = now.counters;
  for (std::size_t i = 0; i < at_start_.counters.size(); ++i)
    recording_.counters[i].value -= at_start_.counters[i].value;
  recording_.call_outs = difference(now.call_outs, at_start_.call_outs);
  recording_.thunks = thunks_;
  recording_.kernel = kernel_.kernel();
  Recording result = std::move(recording_);
  begin();
  return result;
}

// --- BlockObserver -------------------------------------------------------------------------------

void Recorder::translated(const codecache::Block&, guest::LinearAddress linear,
                          std::span<const std::uint8_t> bytes) {
  adopt(bytes).linear = linear.value;
}

void Recorder::removed(const codecache::Block& block, codecache::Removal why) {
  const LiveBlock& live = live_[block.number];
  if (live.record >= 0) recording_.blocks[static_cast<std::size_t>(live.record)].removed = true;
  if (why != codecache::Removal::kStore) return;
  if (recording_.code_writes.size() >= kMostWrittenPages &&
      !recording_.code_writes.contains(block.physical_page()))
    return;
  CodeWrite& write = recording_.code_writes[block.physical_page()];
  write.page = block.physical_page();
  ++write.blocks;
  write.writer = writer_now();
  write.linear = live.linear;
  const ProcessKey key{parts_.frame.state.cr3, {}};
  for (std::size_t i = 0; i < recording_.processes.size(); ++i)
    if (recording_.processes[i].cr3 == key.cr3) write.process = static_cast<std::uint32_t>(i);
}

// The call-out that a block made, or what the dispatcher is about to run.
std::uint64_t Recorder::writer_now() const {
  const translator::Frame& f = parts_.frame;
  if (is_between_blocks(ActivityWord::what(parts_.activity.get()))) return f.state.rip;
  const void* site;
  std::memcpy(&site, reinterpret_cast<const std::uint8_t*>(&f) - sizeof site, sizeof site);
  const codecache::Block* block = parts_.cache.find_host(site);
  if (!block) return f.state.rip;
  const auto* point = block->fault_point(static_cast<const std::uint8_t*>(site));
  return f.rip_base + block->start_offset() + (point ? point->guest_offset : 0);
}

void Recorder::before_flush() {
  drain();
  collect_runs();
  add_cache_picture(now_ns(CLOCK_MONOTONIC));
  live_.clear();
  live_bytes_.clear();
}

void Recorder::look() {
  drain();
  const std::int64_t now = now_ns_ = now_ns(CLOCK_MONOTONIC);
  const auto is_due = [&](const auto& list, std::int64_t step) {
    return list.empty() || now - at_start_.wall_ns - list.back().when_ns >= step;
  };
  if (is_due(recording_.timeline, time_step_ns_)) {
    add_time_point(now);
    follow_reboots();
  }
  if (is_due(recording_.cache, cache_step_ns_)) add_cache_picture(now);
}

void Recorder::follow_reboots() {
  if (!parts_.frame.state.paging()) return;
  GuestReader memory(parts_.memory, parts_.frame.state, features_);
  const auto known = kernel_.kernel();
  if (!kernel_.note_reboot(memory)) return;
  sampler_->set_kernel(nullptr);
  recording_.kernel = known;  // alive while this function, which the handler interrupts, is
}

// --- Samples -------------------------------------------------------------------------------------

void Recorder::drain() {
  SampleRing& ring = sampler_->ring();
  while (const Sample* sample = ring.front()) {
    add(*sample);
    ring.pop();
  }
}

std::uint32_t Recorder::process_of(const Sample& sample) {
  // Bits of CR3 that are not the table's address: PCID and the rest.
  ProcessKey key{sample.paging ? sample.cr3 & ~guest::kPageOffsetMask : 0, sample.comm};
  const auto [at, is_new] =
      process_index_.emplace(key, static_cast<std::uint32_t>(recording_.processes.size()));
  if (is_new) recording_.processes.push_back(key);
  return at->second;
}

Work Recorder::work_of(const Sample& sample, const codecache::Block* block) const {
  Work work{sample.activity, Work::Code::kNone};
  const Activity what = ActivityWord::what(sample.activity);
  if (what != Activity::kGuestCode) return work;
  if (block && sample.host_ip == sample.site)
    work.code = block->hot ? Work::Code::kHot : Work::Code::kCold;
  else if (parts_.cache.arena().contains(host_pointer(sample.host_ip))) {
    work.code = Work::Code::kThunk;
    const auto after = thunks_.upper_bound(sample.host_ip);
    work.activity = ActivityWord::pack(
        what, static_cast<std::uint64_t>(std::distance(thunks_.begin(), after)) - 1);
  }
  return work;
}

void Recorder::add(const Sample& sample) {
  ++recording_.samples;
  const bool known = sample.site != 0 && sample.flushes == parts_.cache.counters().flushes;
  const codecache::Block* block =
      known ? parts_.cache.find_host(host_pointer(sample.site)) : nullptr;
  StackKey key;
  key.process = process_of(sample);
  key.cpl = sample.cpl;
  key.word_bytes = sample.code_bytes;
  key.work = work_of(sample, block);
  key.frames.push_back(sample.rip + sample.cs_base);
  if (recording_.stacks.size() < kMostStacks)
    key.frames.insert(key.frames.end(), sample.frames.begin(),
                      sample.frames.begin() + sample.depth);
  hash_pages(key, sample.cr3);
  ++recording_.stacks[std::move(key)];
  if (block) add_to_block(sample, *block);
  if (sample.cpl != 3 &&
      kernel_.note(parts_.memory, parts_.frame.state, features_, sample.rip, sample.code_bytes))
    sampler_->set_kernel(kernel_.kernel().get());
}

void Recorder::add_to_block(const Sample& sample, const codecache::Block& block) {
  BlockRecord& record = record_of(block, process_of(sample));
  if (record.linear == 0) record.linear = sample.rip_base + sample.cs_base + block.start_offset();
  const auto offset = static_cast<std::uint32_t>(sample.site - record.host_address);
  ++(sample.host_ip == sample.site ? record.samples : record.called)[offset];
}

BlockRecord& Recorder::record_of(const codecache::Block& block, std::uint32_t process) {
  LiveBlock& live = live_[block.number];
  if (live.record >= 0) return recording_.blocks[static_cast<std::size_t>(live.record)];
  live.record = static_cast<std::int32_t>(recording_.blocks.size());
  BlockRecord& record = recording_.blocks.emplace_back();
  record.key = block.key;
  record.linear = live.linear;
  record.hot = block.hot;
  record.removed = !block.valid;
  record.process = process;
  const auto bytes = live_bytes_.begin() + static_cast<std::ptrdiff_t>(live.bytes_at);
  record.guest.assign(bytes, bytes + block.guest_bytes);
  record.host_bytes = block.host_bytes;
  record.host.assign(block.host, block.host + block.code_bytes);
  record.host_address = reinterpret_cast<std::uint64_t>(block.host);
  for (const codecache::FaultPoint& point : block.fault_points)
    if (record.starts.empty() || point.guest_offset != record.starts.back().guest_offset)
      record.starts.push_back({point.host_offset, point.guest_offset});
  if (const std::uint8_t* page = parts_.memory.ram_page({block.key.physical}))
    record.page_hash = page_hash(page);
  return record;
}

void Recorder::collect_runs() {
  if (!options_.exact) return;
  for (const codecache::Block& block : parts_.cache.blocks())
    if (block.runs && *block.runs) record_of(block, 0).runs = *block.runs;
}

// Names the pages of user code, while the address space is there to read them.
void Recorder::hash_pages(const StackKey& key, std::uint64_t cr3) {
  guest::CpuState state;
  const guest::CpuState& now = parts_.frame.state;
  if (!now.paging() || recording_.page_hashes.size() > kMostPages) return;
  state.cr0 = now.cr0;
  state.cr4 = now.cr4;
  state.msr.efer = now.msr.efer;
  state.pdpte = now.pdpte;
  state.cr3 = cr3;
  GuestReader memory(parts_.memory, state, features_);
  for (std::size_t i = 0; i < key.frames.size(); ++i) {
    if (i == 0 ? key.cpl != 3 : key.frames[i] >> 47 != 0) continue;
    const std::pair at{key.process, guest::page_number(key.frames[i])};
    if (recording_.page_hashes.contains(at)) continue;
    if (const std::uint8_t* page = memory.page(key.frames[i]))
      recording_.page_hashes.emplace(at, page_hash(page));
  }
}

// --- Over time -----------------------------------------------------------------------------------

void Recorder::add_time_point(std::int64_t now) {
  thin_out(recording_.timeline, kMostTimePoints, time_step_ns_);
  TimePoint point{now - at_start_.wall_ns, {}};
  const auto counters = vcpu_.counters();
  for (std::size_t i = 0; i < counters.size(); ++i)
    point.values.push_back(counters[i].value - at_start_.counters[i].value);
  recording_.timeline.push_back(std::move(point));
}

void Recorder::add_cache_picture(std::int64_t now) {
  thin_out(recording_.cache, kMostPictures, cache_step_ns_);
  const auto& blocks = parts_.cache.blocks();
  CachePicture picture;
  picture.when_ns = now - at_start_.wall_ns;
  picture.used_bytes = parts_.cache.arena().used_bytes();
  picture.capacity_bytes = picture.used_bytes + parts_.cache.arena().free_bytes();
  if (!blocks.empty()) {
    const std::uint8_t* const first = blocks.front().host;
    const auto bytes = static_cast<std::uint64_t>(parts_.cache.arena().next() - first);
    const std::uint64_t per_cell = std::max<std::uint64_t>((bytes + kCells - 1) / kCells, 1);
    picture.cells.resize(kCells);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ages(kCells);  // sum, count
    for (const codecache::Block& block : blocks) {
      const std::size_t cell = static_cast<std::uint64_t>(block.host - first) / per_cell;
      CachePicture::Cell& c = picture.cells[cell];
      (!block.valid ? c.dead : block.hot ? c.hot : c.cold) += block.host_bytes;
      if (!block.valid) continue;
      ages[cell].first += static_cast<std::uint64_t>(now - live_[block.number].made_ns) / 1'000'000;
      ++ages[cell].second;
    }
    for (std::size_t i = 0; i < kCells; ++i)
      if (ages[i].second)
        picture.cells[i].age_ms = static_cast<std::uint32_t>(ages[i].first / ages[i].second);
  }
  recording_.cache.push_back(std::move(picture));
}

}  // namespace ringshift::runtime::profile
