// runtime/kvm/calibration.cc - how fast this host's KVM runs ring 0.
#include "runtime/kvm/calibration.h"

#include <fmt/format.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>

#include "runtime/kvm/run_area.h"

namespace ringshift::runtime {
namespace {

constexpr unsigned kRounds = 1000, kInstructionsPerRound = 2, kTries = 3;
constexpr std::uint64_t kCode = 0x1000;
// dec ecx; jnz back; hlt
constexpr std::array<std::uint8_t, 4> kLoop{0x49, 0x75, 0xfd, 0xf4};

struct alignas(4096) Page {
  std::array<std::uint8_t, 4096> bytes{};
};

auto failed(const char* what) {
  return tl::unexpected(fmt::format("KVM's test machine: {}: {}", what, std::strerror(errno)));
}

// Flat 32-bit code of ring 0 without paging: every generation of hardware runs that by itself.
bool start(int vcpu) {
  kvm_sregs sregs{};
  if (::ioctl(vcpu, KVM_GET_SREGS, &sregs) != 0) return false;
  sregs.cr0 |= 1;
  kvm_segment data{};
  data.limit = 0xffffffff;
  data.selector = 0x10;
  data.type = 3;
  data.present = data.s = data.db = data.g = 1;
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
  sregs.cs = data;
  sregs.cs.selector = 8;
  sregs.cs.type = 0xb;
  kvm_regs regs{};
  regs.rip = kCode;
  regs.rcx = kRounds;
  regs.rflags = 2;
  return ::ioctl(vcpu, KVM_SET_SREGS, &sregs) == 0 && ::ioctl(vcpu, KVM_SET_REGS, &regs) == 0;
}

// Until HLT; other people's signals do not count.
bool run(int vcpu, const RunArea& area) {
  for (;;) {
    if (::ioctl(vcpu, KVM_RUN, 0) == 0) return area->exit_reason == KVM_EXIT_HLT;
    if (errno != EINTR && errno != EAGAIN) return false;
  }
}

}  // namespace

tl::expected<double, std::string> measure_ring0(const KvmDevice& device) {
  auto vm = device.create_vm();
  if (!vm) return tl::unexpected(vm.error());
  Page page;
  std::ranges::copy(kLoop, page.bytes.begin());
  const kvm_userspace_memory_region region{
      .guest_phys_addr = kCode,
      .memory_size = sizeof page,
      .userspace_addr = reinterpret_cast<std::uint64_t>(&page)};
  if (::ioctl(vm->get(), KVM_SET_USER_MEMORY_REGION, &region) != 0) return failed("memory");
  const FileDescriptor vcpu(::ioctl(vm->get(), KVM_CREATE_VCPU, 0));
  if (!vcpu.valid()) return failed("processor");
  const RunArea area(vcpu.get(), device.run_area_bytes());
  if (!area.valid()) return failed("shared memory");

  using Clock = std::chrono::steady_clock;
  double best = std::numeric_limits<double>::max();
  for (unsigned i = 0; i < kTries; ++i) {
    if (!start(vcpu.get())) return failed("registers");
    const auto before = Clock::now();
    if (!run(vcpu.get(), area)) return failed("loop");
    const std::chrono::duration<double, std::nano> took = Clock::now() - before;
    best = std::min(best, took.count() / (kRounds * kInstructionsPerRound));
  }
  return best;
}

}  // namespace ringshift::runtime
