// shadowpt/window.cc - the host mappings of a window.
#include "shadowpt/window.h"

#include <sys/mman.h>

#include <cstdlib>

namespace ringshift::shadowpt {
namespace {

using softmmu::kWindowAlignment;
using softmmu::kWindowBytes;

constexpr int kNoAccess = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
constexpr std::uint64_t kReservation = 3 * kWindowBytes;

std::uint64_t bytes_of(PageRange range) { return std::uint64_t{range.pages()} * guest::kPageBytes; }

}  // namespace

std::uint8_t* reserve_window() {
  void* const memory = mmap(nullptr, kReservation + kWindowAlignment, PROT_NONE, kNoAccess, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* const start = static_cast<std::uint8_t*>(memory);
  const std::uint64_t before = -reinterpret_cast<std::uint64_t>(start) & (kWindowAlignment - 1);
  if (before != 0) munmap(start, before);
  munmap(start + before + kReservation, kWindowAlignment - before);
  return start + before + kWindowBytes;
}

void release_window(std::uint8_t* host) { munmap(host - kWindowBytes, kReservation); }

// Never PROT_EXEC: guest code runs only as its translation.
bool map_host(const Window& window, const Run& run, int memfd, bool populate) {
  const int rights = run.writable ? PROT_READ | PROT_WRITE : PROT_READ;
  const int flags = MAP_SHARED | MAP_FIXED | MAP_NORESERVE | (populate ? MAP_POPULATE : 0);
  if (mmap(window.host_page(run.range.begin), bytes_of(run.range), rights, flags, memfd,
           static_cast<off_t>(std::uint64_t{run.frame} * guest::kPageBytes)) != MAP_FAILED)
    return true;
  unmap_host(window, run.range);
  return false;
}

bool set_host_rights(const Window& window, PageRange range, bool writable) {
  const int rights = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  if (mprotect(window.host_page(range.begin), bytes_of(range), rights) == 0) return true;
  unmap_host(window, range);
  return false;
}

void unmap_host(const Window& window, PageRange range) {
  // The budget keeps the process far from where the host refuses. If it does, the guest would go on
  // with memory that it has no right to.
  if (mmap(window.host_page(range.begin), bytes_of(range), PROT_NONE, kNoAccess | MAP_FIXED, -1,
           0) == MAP_FAILED)
    std::abort();
}

}  // namespace ringshift::shadowpt
