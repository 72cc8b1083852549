// runtime/block/disk.cc - the queue of a disk.
#include "runtime/block/disk.h"

#include "runtime/message.h"

namespace ringshift::runtime {

using devices::BlockRequest;

Disk::Disk(std::string name, std::string file, std::unique_ptr<BlockImage> image)
    : name_(std::move(name)),
      file_(std::move(file)),
      image_(std::move(image)),
      bytes_(image_->bytes()),
      read_only_(image_->read_only()),
      worker_([this] { work(); }) {}

Disk::~Disk() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  worker_.join();
}

bool Disk::in_range(const BlockRequest& request) const {
  if (request.kind == BlockRequest::Kind::kFlush) return true;
  const std::uint64_t bytes = request.pieces.empty() ? request.bytes : total_bytes(request.pieces);
  if (request.offset > bytes_ || bytes > bytes_ - request.offset) return false;
  return request.kind == BlockRequest::Kind::kRead || !read_only_;
}

void Disk::count(const BlockRequest& request) {
  switch (request.kind) {
    case BlockRequest::Kind::kRead:
      ++counters_.reads;
      counters_.read_bytes += total_bytes(request.pieces);
      break;
    case BlockRequest::Kind::kWrite:
      ++counters_.writes;
      counters_.written_bytes += total_bytes(request.pieces);
      break;
    case BlockRequest::Kind::kFlush:
      ++counters_.flushes;
      break;
    default:
      break;
  }
}

void Disk::submit(BlockRequest request, Done done) {
  count(request);
  if (!in_range(request)) {
    ++counters_.errors;
    return done(false);
  }
  std::unique_lock lock(mutex_);
  // What the host has in memory is not worth a change of threads. Nobody else uses the image now.
  if (request.kind == BlockRequest::Kind::kRead && queue_.empty() && !busy_ &&
      image_->read_cached(request.offset, request.pieces)) {
    lock.unlock();
    return done(true);
  }
  queue_.push_back({std::move(request), std::move(done)});
  changed_.notify_all();
}

BlockStatus Disk::perform(const BlockRequest& request) {
  switch (request.kind) {
    case BlockRequest::Kind::kRead:
      return image_->read(request.offset, request.pieces);
    case BlockRequest::Kind::kWrite:
      return image_->write(request.offset, request.pieces);
    case BlockRequest::Kind::kFlush:
      return image_->flush();
    case BlockRequest::Kind::kDiscard:
      return image_->write_zeroes(request.offset, request.bytes, true);
    case BlockRequest::Kind::kWriteZeroes:
      return image_->write_zeroes(request.offset, request.bytes, false);
  }
  return {};
}

void Disk::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Job job = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    const std::uint64_t generation = generation_;
    lock.unlock();
    const BlockStatus status = perform(job.request);
    if (!status) print_message("ringshift: drive {}: {}", name_, status.error());
    lock.lock();
    busy_ = false;
    changed_.notify_all();
    if (generation == generation_ && !ending_) {
      lock.unlock();
      complete(std::move(job), status.has_value(), generation);
      lock.lock();
    }
  }
}

void Disk::complete(Job job, bool worked, std::uint64_t generation) {
  if (!post_) return;
  auto shared = std::make_shared<Job>(std::move(job));
  post_([this, shared, worked, generation] {
    if (generation != generation_) return;
    if (!worked) ++counters_.errors;
    shared->done(worked);
  });
}

void Disk::forget() {
  std::unique_lock lock(mutex_);
  queue_.clear();
  changed_.wait(lock, [this] { return !busy_; });
  ++generation_;
}

}  // namespace ringshift::runtime
