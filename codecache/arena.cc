// codecache/arena.cc - the memory that translated code lives in, mapped twice: written here, run
// there.
#include "codecache/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ringshift::codecache {
namespace {
constexpr std::size_t kBlockAlignment = 16;

void copy_bytes(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}
}  // namespace

tl::expected<std::unique_ptr<Arena>, std::string> Arena::create(std::size_t bytes) {
  std::unique_ptr<Arena> arena(new Arena);
  arena->bytes_ = bytes;
  const int fd = memfd_create("ringshift-code", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    const std::string reason = std::strerror(errno);
    if (fd >= 0) close(fd);
    return tl::unexpected("cannot create the code cache: " + reason);
  }
  void* w = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  void* x = mmap(nullptr, bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  const std::string reason = std::strerror(errno);
  close(fd);
  if (w != MAP_FAILED) arena->write_ = static_cast<std::uint8_t*>(w);
  if (x != MAP_FAILED) arena->run_ = static_cast<std::uint8_t*>(x);
  if (w == MAP_FAILED || x == MAP_FAILED)
    return tl::unexpected("cannot map the code cache: " + reason);
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
