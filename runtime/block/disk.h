// runtime/block/disk.h - a disk image with a thread of its own: what controllers call.
// submit() and forget() are called with the device lock held; completions come back through the
// function given to connect(), which brings them to the vCPU's thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "devices/block_device.h"
#include "runtime/block/block_image.h"

namespace ringshift::runtime {

struct DiskCounters {
  std::uint64_t reads = 0, writes = 0, flushes = 0, read_bytes = 0, written_bytes = 0, errors = 0;
};

class Disk final : public devices::BlockDevice {
 public:
  using Post = std::function<void(std::function<void()>)>;

  Disk(std::string name, std::string file, std::unique_ptr<BlockImage> image);
  // Ends what was submitted.
  ~Disk() override;

  void connect(Post post) { post_ = std::move(post); }
  // What has not begun is dropped, what has ends first; nobody is told of either.
  void forget();

  std::uint64_t bytes() const override { return bytes_; }
  bool read_only() const override { return read_only_; }
  void submit(devices::BlockRequest request, Done done) override;

  const std::string& name() const { return name_; }
  const std::string& file() const { return file_; }
  std::string_view format() const { return image_->format(); }
  const DiskCounters& counters() const { return counters_; }

 private:
  struct Job {
    devices::BlockRequest request;
    Done done;
  };
  bool in_range(const devices::BlockRequest& request) const;
  void count(const devices::BlockRequest& request);
  BlockStatus perform(const devices::BlockRequest& request);
  void work();
  void complete(Job job, bool worked, std::uint64_t generation);

  std::string name_, file_;
  std::unique_ptr<BlockImage> image_;  // the worker's while busy_, else the submitter's
  std::uint64_t bytes_;
  bool read_only_;
  Post post_;
  DiskCounters counters_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> queue_;
  bool busy_ = false, ending_ = false;
  std::uint64_t generation_ = 0;
  std::thread worker_;
};

}  // namespace ringshift::runtime
