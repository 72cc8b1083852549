// runtime/profile/recorder.h - records a running vCPU: samples, blocks, counters over time. All of
// it on the vCPU's thread, and start, take and stop between two runs of run().
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "runtime/accelerator.h"
#include "runtime/profile/recording.h"
#include "runtime/profile/sampler.h"

namespace ringshift::runtime::profile {

struct RecordOptions {
  unsigned hz = 1000;
  bool exact = false;
};
inline constexpr unsigned kMostHz = 20000;

class Recorder final : private BlockObserver {
 public:
  // On the vCPU's thread. `idle_ns` tells how long the guest has waited so far. The error is one
  // line for the user.
  static tl::expected<std::unique_ptr<Recorder>, std::string> start(
      Vcpu& vcpu, const RecordOptions& options, std::function<std::int64_t()> idle_ns);
  ~Recorder() override;
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // What was recorded since the start, or the last take().
  Recording take();

 private:
  // Of each block since the last flush, by its number.
  struct LiveBlock {
    std::uint64_t linear = 0;  // 0: not known
    std::size_t bytes_at = 0;  // of the guest's, in live_bytes_
    std::int64_t made_ns = 0;
    std::int32_t record = -1;  // its place in recording_.blocks
  };
  struct Totals {
    std::vector<Counter> counters;
    CallOutCounts call_outs;
    std::int64_t wall_ns = 0, cpu_ns = 0, idle_ns = 0;
    std::uint64_t lost = 0;
  };

  Recorder(Vcpu& vcpu, const RecordOptions& options, std::function<std::int64_t()> idle_ns);

  // BlockObserver
  void translated(const codecache::Block& block, guest::LinearAddress linear,
                  std::span<const std::uint8_t> bytes) override;
  void removed(const codecache::Block& block, codecache::Removal why) override;
  void before_flush() override;
  void look() override;

  void begin();
  Totals totals() const;
  void adopt_blocks();
  LiveBlock& adopt(std::span<const std::uint8_t> bytes);
  void drain();
  void add(const Sample& sample);
  void add_to_block(const Sample& sample, const codecache::Block& block);
  Work work_of(const Sample& sample, const codecache::Block* block) const;
  std::uint32_t process_of(const Sample& sample);
  void hash_pages(const StackKey& key, std::uint64_t cr3);
  BlockRecord& record_of(const codecache::Block& block, std::uint32_t process);
  void collect_runs();
  void follow_reboots();
  void add_time_point(std::int64_t now);
  void add_cache_picture(std::int64_t now);
  std::uint64_t writer_now() const;

  Vcpu& vcpu_;
  TranslatingVcpu& translating_;
  TranslatingVcpu::Parts parts_;
  const softmmu::PagingFeatures features_;
  const RecordOptions options_;
  const std::function<std::int64_t()> idle_ns_;
  const std::map<std::uint64_t, std::string> thunks_;
  std::unique_ptr<Sampler> sampler_;
  std::vector<LiveBlock> live_;
  std::vector<std::uint8_t> live_bytes_;
  std::int64_t now_ns_ = 0;  // when it was looked at last
  Recording recording_;
  Totals at_start_;
  std::map<ProcessKey, std::uint32_t> process_index_;
  KernelSearch kernel_;
  std::int64_t time_step_ns_, cache_step_ns_;
};

}  // namespace ringshift::runtime::profile
