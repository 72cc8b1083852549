// tests/differential/native_cpu.cc - loads and captures the processor's state in a signal handler.
#include "tests/differential/native_cpu.h"

#include <asm/ldt.h>
#include <fcntl.h>
#include <immintrin.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/differential/xsave_area.h"

namespace ringshift::differential {
namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
constexpr int kGregOf[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                             REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                             REG_R12, REG_R13, REG_R14, REG_R15};
constexpr std::size_t kAlternateStack = 256 * 1024;
constexpr unsigned kPageFault = 14;
constexpr unsigned kTicksForOneCase = 20;
constexpr std::uint64_t kUserEnd = 0x7ffffffff000;

NativeCpu* active = nullptr;  // signal handlers have no other way to find it
struct sigaction previous[NSIG];

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(2);
}

std::uint8_t* map(int fd, std::uint64_t at, std::size_t bytes, int rights) {
  void* want = reinterpret_cast<void*>(at);
  void* p =
      mmap(want, bytes, rights, MAP_SHARED | (at ? MAP_FIXED_NOREPLACE : 0) | MAP_POPULATE, fd, 0);
  if (p == MAP_FAILED || (at && p != want)) fail("cannot map the test's memory");
  return static_cast<std::uint8_t*>(p);
}

int memory_file(std::size_t bytes) {
  const int fd = memfd_create("differential", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(bytes)) != 0) fail("memfd_create");
  return fd;
}

void describe_segment(unsigned entry, std::uint32_t base) {
  user_desc d = {};
  d.entry_number = entry;
  d.base_addr = base;
  d.limit = 0xfffff;
  d.seg_32bit = 1;
  d.limit_in_pages = 1;
  d.useable = 1;
  constexpr int kWrite = 1;
  if (syscall(SYS_modify_ldt, kWrite, &d, sizeof d) != 0) fail("modify_ldt");
}

}  // namespace

struct NativeCpu::Saved {
  gregset_t gregs;
  std::array<std::uint8_t, kXsaveBytes> xsave;
};

NativeCpu::NativeCpu(unsigned bits) : saved_(new Saved) {
  using namespace layout;
  const int code = memory_file(kCodeBytes), data = memory_file(kDataBytes),
            stack = memory_file(kStackBytes);
  code_ = map(code, 0, kCodeBytes, PROT_READ | PROT_WRITE);
  data_ = map(data, 0, kDataBytes, PROT_READ | PROT_WRITE);
  stack_ = map(stack, 0, kStackBytes, PROT_READ | PROT_WRITE);
  map(code, kCode, kCodeBytes, PROT_READ | PROT_EXEC);
  map(stack, kStack, kStackBytes, PROT_READ | PROT_WRITE);
  for (std::uint64_t at : {kData, kHighData}) {
    map(data, at, kDataBytes, PROT_READ | PROT_WRITE);
    mprotect(reinterpret_cast<void*>(at + kReadOnlyFrom), kDataBytes - kReadOnlyFrom, PROT_READ);
  }
  stack_t alternate = {};
  alternate.ss_size = kAlternateStack;
  alternate.ss_sp = mmap(nullptr, kAlternateStack, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (alternate.ss_sp == MAP_FAILED || sigaltstack(&alternate, nullptr) != 0) fail("sigaltstack");
  if (bits == 32) {
    describe_segment(selector::kFs32 >> 3, kFsBase32);
    describe_segment(selector::kGs32 >> 3, kGsBase32);
  }
  host_fs_ = _readfsbase_u64();
  host_gs_ = _readgsbase_u64();
  active = this;
  for (int s : kSignals) {
    struct sigaction a = {};
    a.sa_sigaction = on_signal;
    a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigfillset(&a.sa_mask);
    sigaction(s, &a, &previous[s]);
  }
  struct sigaction a = {};
  a.sa_handler = on_alarm;
  a.sa_flags = SA_ONSTACK | SA_NODEFER;
  sigaction(SIGALRM, &a, nullptr);
}

NativeCpu::~NativeCpu() {
  ::signal(SIGALRM, SIG_IGN);
  for (int s : kSignals) sigaction(s, &previous[s], nullptr);
  active = nullptr;
  delete saved_;
}

void NativeCpu::on_alarm(int signal) {
  if (active && ++active->ticks_ < kTicksForOneCase) {
    if (active->ticks_ == 1 || active->phase_ != Phase::kRunning) return;
    _writefsbase_u64(active->host_fs_);
    _exit(kEndless);
  }
  ::signal(signal, SIG_DFL);
  raise(signal);
}

void NativeCpu::pass_on(int signal, siginfo_t* info, void* context) {
  const struct sigaction& p = previous[signal];
  if (p.sa_flags & SA_SIGINFO)
    p.sa_sigaction(signal, info, context);
  else
    ::signal(signal, SIG_DFL);
}

void NativeCpu::on_signal(int signal, siginfo_t* info, void* context) {
  // The test may have left AC set and FS anywhere; nothing before this touches thread-local data.
  asm volatile(
      "lea -128(%%rsp), %%rsp\n\tpushfq\n\tandl $~0x40000, (%%rsp)\n\tpopfq\n\t"
      "lea 128(%%rsp), %%rsp" ::
          : "memory", "cc");
  NativeCpu* cpu = active;
  switch (cpu->phase_) {
    case Phase::kIdle:
      return pass_on(signal, info, context);
    case Phase::kEntering:
      return cpu->enter(context);
    case Phase::kRunning:
      return cpu->capture(context);
  }
}

void NativeCpu::enter(void* context) {
  auto* uc = static_cast<ucontext_t*>(context);
  auto& g = uc->uc_mcontext.gregs;
  auto* xsave = reinterpret_cast<std::uint8_t*>(uc->uc_mcontext.fpregs);
  const std::size_t bytes = XsaveArea::host().bytes();
  std::memcpy(saved_->gregs, g, sizeof saved_->gregs);
  std::memcpy(saved_->xsave.data(), xsave, bytes);
  // The kernel's own words in the legacy region (464 to 511) stay.
  const auto& from = initial_->xsave;
  std::copy_n(from.data(), 416, xsave);
  std::copy_n(from.data() + 512, bytes - 512, xsave + 512);
  for (unsigned i = 0; i < 16; ++i) g[kGregOf[i]] = static_cast<greg_t>(initial_->gpr[i]);
  g[REG_RIP] = static_cast<greg_t>(initial_->rip);
  g[REG_EFL] = static_cast<greg_t>(initial_->rflags);
  const std::uint64_t cs = mode_ == Mode::k64 ? selector::kCode64 : selector::kCode32;
  g[REG_CSGSFS] = static_cast<greg_t>(cs | std::uint64_t{selector::kData} << 48);
  phase_ = Phase::kRunning;
  // 32-bit code needs usable DS and ES; 64-bit code does not look at them.
  asm volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(static_cast<std::uint32_t>(selector::kData)));
  // From here on nothing may use thread-local data.
  if (mode_ == Mode::k64) {
    _writegsbase_u64(initial_->gs_base);
    _writefsbase_u64(initial_->fs_base);
  } else {
    asm volatile("mov %0, %%fs\n\tmov %1, %%gs"
                 :
                 : "r"(static_cast<std::uint32_t>(selector::kFs32)),
                   "r"(static_cast<std::uint32_t>(selector::kGs32)));
  }
}

void NativeCpu::capture(void* context) {
  auto& out = *outcome_;
  out.registers.fs_base = _readfsbase_u64();
  out.registers.gs_base = _readgsbase_u64();
  _writefsbase_u64(host_fs_);
  _writegsbase_u64(host_gs_);
  auto* uc = static_cast<ucontext_t*>(context);
  auto& g = uc->uc_mcontext.gregs;
  auto* xsave = reinterpret_cast<std::uint8_t*>(uc->uc_mcontext.fpregs);
  const std::size_t bytes = XsaveArea::host().bytes();
  for (unsigned i = 0; i < 16; ++i)
    out.registers.gpr[i] = static_cast<std::uint64_t>(g[kGregOf[i]]);
  out.registers.rip = static_cast<std::uint64_t>(g[REG_RIP]);
  out.registers.rflags = static_cast<std::uint64_t>(g[REG_EFL]);
  out.vector = static_cast<unsigned>(g[REG_TRAPNO]);
  out.error_code = static_cast<std::uint64_t>(g[REG_ERR]);
  out.cr2 = static_cast<std::uint64_t>(g[REG_CR2]);
  // For addresses that are the kernel's, Linux always reports a protection violation.
  if (out.vector == kPageFault && out.cr2 >= kUserEnd) out.error_code &= ~std::uint64_t{1};
  std::memcpy(out.registers.xsave.data(), xsave, bytes);
  std::memcpy(g, saved_->gregs, sizeof saved_->gregs);
  std::copy_n(saved_->xsave.data(), 416, xsave);
  std::copy_n(saved_->xsave.data() + 512, bytes - 512, xsave + 512);
  phase_ = Phase::kIdle;
}

void NativeCpu::run(Mode mode, const Registers& initial, const Memory& memory, const Bytes& code,
                    Outcome& outcome) {
  using namespace layout;
  mode_ = mode;
  initial_ = &initial;
  outcome_ = &outcome;
  std::memset(code_, kFiller, kCodeBytes);
  std::memcpy(code_ + (initial.rip - kCode), code.data(), code.size());
  std::memcpy(data_, memory.data.data(), kDataBytes);
  std::memcpy(stack_, memory.stack.data(), kStackBytes);
  ticks_ = 0;
  phase_ = Phase::kEntering;
  // NT and ID are not among the flags that the kernel takes from a signal frame.
  asm volatile(
      "lea -128(%%rsp), %%rsp\n\t"
      "pushfq\n\torq %0, (%%rsp)\n\tpopfq\n\t"
      "int3\n\t"
      "pushfq\n\tandq $~0x204000, (%%rsp)\n\tpopfq\n\t"
      "lea 128(%%rsp), %%rsp"
      :
      : "r"(initial.rflags & 0x204000)
      : "memory", "cc");
  std::memcpy(outcome.memory.data.data(), data_, kDataBytes);
  std::memcpy(outcome.memory.stack.data(), stack_, kStackBytes);
}

}  // namespace ringshift::differential
