// tests/unit/shadowpt/window_guest.h - a guest with windows, and what an access through them does:
// asked from the host's kernel, which knows what is mapped and never raises a signal.
#pragma once

#include <sys/uio.h>
#include <unistd.h>

#include <memory>
#include <optional>

#include "shadowpt/windows.h"
#include "tests/unit/softmmu/paging_guest.h"

namespace ringshift::shadowpt {

using guest::LinearAddress;
using guest::PhysicalAddress;
using softmmu::kA, softmmu::kD, softmmu::kG, softmmu::kP, softmmu::kPs, softmmu::kRw, softmmu::kUs,
    softmmu::kXd;
using softmmu::View;

inline constexpr std::uint64_t kPage = 4096, k2M = 0x200000, k4M = 0x400000, k1G = 0x40000000;
inline constexpr std::uint64_t kRights = kP | kRw | kUs | kA | kD;  // a page for everybody

inline std::uint64_t& fake_time() {
  static std::uint64_t time = 1;
  return time;
}

struct WindowGuest {
  explicit WindowGuest(std::uint64_t ram_bytes = 16 << 20) : g(ram_bytes) {}

  void start(WindowOptions options = {}) {
    options.clock = [] { return fake_time(); };
    mmu = std::make_unique<softmmu::Mmu>(*g.memory, g.state, model);
    windows = std::make_unique<Windows>(*mmu, options);
    mmu->select_view();
  }
  void start_64bit(const WindowOptions& options = {}) {
    g.enter_long_mode();
    g.state.segment(guest::Seg::kCs).attributes = 0xa09b;  // L
    start(options);
  }
  ~WindowGuest() {
    if (windows) {
      EXPECT_EQ(windows->check_invariants(), "");
    }
  }

  View& view() { return mmu->current(); }
  void set_privilege(unsigned cpl, bool ac = false) {
    g.state.cpl = static_cast<std::uint8_t>(cpl);
    g.state.rflags = (g.state.rflags & ~guest::flags::kAc) | (ac ? guest::flags::kAc : 0);
    mmu->select_view();
  }

  // The processor's access, then the window's turn.
  bool touch(std::uint64_t a, bool write) {
    if (!mmu->host_address({a}, 1, write)) return false;
    return windows->cover(view(), {a}, write);
  }

  // What translated code adds up.
  std::uint8_t* host(std::uint64_t a) {
    if (!g.state.in_64bit_code()) return view().flat_window() + static_cast<std::uint32_t>(a);
    return reinterpret_cast<std::uint8_t*>(a + view().window_delta()[(a >> 32) & 0xffff]);
  }
  // The word at `a` if an access through the window reads it.
  std::optional<std::uint64_t> read(std::uint64_t a) {
    std::uint64_t value = 0;
    const iovec local{&value, sizeof value}, remote{host(a), sizeof value};
    if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != sizeof value) return std::nullopt;
    return value;
  }
  bool write(std::uint64_t a, std::uint64_t value) {
    const iovec local{&value, sizeof value}, remote{host(a), sizeof value};
    return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == sizeof value;
  }
  bool reads(std::uint64_t a) { return read(a).has_value(); }
  // Writes what is there already.
  bool writes(std::uint64_t a) {
    const auto value = read(a);
    return value && write(a, *value);
  }

  softmmu::PagingGuest g;
  guest::CpuModel model = *guest::CpuModel::create("max");
  std::unique_ptr<softmmu::Mmu> mmu;
  std::unique_ptr<Windows> windows;
};

}  // namespace ringshift::shadowpt
