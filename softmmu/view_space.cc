// softmmu/view_space.cc - reserving the address space around a view.
#include "softmmu/view_space.h"

#include <sys/mman.h>
#include <unistd.h>

namespace ringshift::softmmu {
namespace {

constexpr int kReadWrite = PROT_READ | PROT_WRITE;
constexpr int kPrivate = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

// `bytes` of address space at a multiple of kWindowAlignment, or nullptr.
std::uint8_t* reserve_aligned(std::uint64_t bytes) {
  void* const memory = mmap(nullptr, bytes + kWindowAlignment, PROT_NONE, kPrivate, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* const start = static_cast<std::uint8_t*>(memory);
  const std::uint64_t before = -reinterpret_cast<std::uint64_t>(start) & (kWindowAlignment - 1);
  if (before != 0) munmap(start, before);
  munmap(start + before + bytes, kWindowAlignment - before);
  return start + before;
}

}  // namespace

UnusedWindows::UnusedWindows() {
  file_ = memfd_create("unused-windows", MFD_CLOEXEC);
  if (file_ < 0) return;
  void* memory = MAP_FAILED;
  if (ftruncate(file_, kWindowTableBytes) == 0)
    memory = mmap(nullptr, kWindowTableBytes, kReadWrite, MAP_SHARED, file_, 0);
  if (memory == MAP_FAILED) {
    close(file_);
    file_ = -1;
    return;
  }
  auto* const table = static_cast<std::uint64_t*>(memory);
  for (std::size_t i = 0; i < kWindowTableEntries; ++i) table[i] = unused_window_delta(i);
  munmap(memory, kWindowTableBytes);
}

UnusedWindows::~UnusedWindows() {
  if (file_ >= 0) close(file_);
}

ViewSpace map_view_space(std::size_t view_bytes, const UnusedWindows* unused) {
  if (unused && unused->file() >= 0) {
    if (std::uint8_t* const start = reserve_aligned(kViewSpaceBytes)) {
      void* const table = mmap(start + view_bytes, kWindowTableBytes, kReadWrite,
                               MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, unused->file(), 0);
      if (table != MAP_FAILED && mprotect(start, view_bytes, kReadWrite) == 0) return {start, true};
      munmap(start, kViewSpaceBytes);
    }
  }
  // Translated code reads the table whether there are windows or not.
  void* const memory = mmap(nullptr, view_bytes + kWindowTableBytes, kReadWrite, kPrivate, -1, 0);
  return {memory == MAP_FAILED ? nullptr : memory, false};
}

void unmap_view_space(const ViewSpace& space, std::size_t view_bytes) {
  munmap(space.start, space.has_windows ? kViewSpaceBytes : view_bytes + kWindowTableBytes);
}

}  // namespace ringshift::softmmu
