// runtime/bt/frame_stack.cc - the stack that translated code runs on.
#include "runtime/bt/frame_stack.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <new>

namespace ringshift::runtime {
namespace {
constexpr std::size_t kFrameBytes = (sizeof(translator::Frame) + 4095) & ~std::size_t{4095};
constexpr std::size_t kGuardBytes = 4096;
constexpr std::size_t kTotalBytes = kGuardBytes + FrameStack::kStackBytes + kFrameBytes;
}  // namespace

tl::expected<FrameStack, std::string> FrameStack::create() {
  void* memory = mmap(nullptr, kTotalBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, kGuardBytes, PROT_NONE) != 0)
    return tl::unexpected(std::string("cannot allocate the vCPU's stack: ") + std::strerror(errno));
  FrameStack stack;
  stack.memory_ = memory;
  stack.frame_ = new (static_cast<char*>(memory) + kGuardBytes + kStackBytes) translator::Frame;
  return stack;
}

FrameStack::~FrameStack() {
  if (memory_) munmap(memory_, kTotalBytes);
}

}  // namespace ringshift::runtime
