// codecache/arena.cc - the memory that translated code lives in, mapped twice: written here, run
// there.
#include "codecache/arena.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace ringshift::codecache {
namespace {
constexpr std::size_t kBlockAlignment = 16;

void copy_bytes(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}
}  // namespace

// Shared memory without a file of its own: the host's perf looks for names (perf-PID.map) only there.
tl::expected<std::unique_ptr<Arena>, std::string> Arena::create(std::size_t bytes) {
  std::unique_ptr<Arena> arena(new Arena);
  arena->bytes_ = bytes;
  void* w = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (w == MAP_FAILED)
    return tl::unexpected("cannot create the code cache: " + std::string(std::strerror(errno)));
  arena->write_ = static_cast<std::uint8_t*>(w);
  // mremap(2): an old size of zero makes a second mapping of the same pages.
  void* x = mremap(w, 0, bytes, MREMAP_MAYMOVE);
  if (x != MAP_FAILED) arena->run_ = static_cast<std::uint8_t*>(x);
  if (x == MAP_FAILED || mprotect(x, bytes, PROT_READ | PROT_EXEC) != 0)
    return tl::unexpected("cannot map the code cache: " + std::string(std::strerror(errno)));
  return arena;
}

Arena::~Arena() {
  if (write_) munmap(write_, bytes_);
  if (run_) munmap(run_, bytes_);
}

std::uint8_t* Arena::append(std::span<const std::uint8_t> code) {
  std::uint8_t* at = run_ + used_;
  copy_bytes(write_ + used_, code.data(), code.size());
  used_ = (used_ + code.size() + kBlockAlignment - 1) & ~(kBlockAlignment - 1);
  if (used_ > bytes_) used_ = bytes_;
  return at;
}

void Arena::patch32(std::uint8_t* executable, std::uint32_t value) {
  auto* field = reinterpret_cast<std::uint32_t*>(write_ + (executable - run_));
  __atomic_store_n(field, value, __ATOMIC_RELEASE);
}

}  // namespace ringshift::codecache
