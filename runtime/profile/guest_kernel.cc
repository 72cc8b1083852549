// runtime/profile/guest_kernel.cc - what a running Linux guest says of itself.
#include "runtime/profile/guest_kernel.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace ringshift::runtime::profile {
namespace {

// The image lies in one piece in the guest's memory, and so in the host's, but for what was given
// back after the boot: that lies behind text and read-only data. None of Debian's kernels has more
// than 30 MiB of both.
constexpr std::uint64_t kBehind = std::uint64_t{32} << 20, kAhead = std::uint64_t{48} << 20;

MemoryImage find_image(GuestReader& memory, std::uint64_t rip) {
  const std::uint64_t page = rip & ~guest::kPageOffsetMask;
  const std::uint8_t* const host = memory.page(page);
  if (!host) return {};
  std::uint64_t behind = 0, ahead = guest::kPageBytes;
  while (behind < kBehind &&
         memory.page(page - behind - guest::kPageBytes) == host - behind - guest::kPageBytes)
    behind += guest::kPageBytes;
  while (ahead < kAhead && memory.page(page + ahead) == host + ahead) ahead += guest::kPageBytes;
  return {page - behind, {host - behind, behind + ahead}};
}

// Linux maps its image into the last 2 GiB, or above 3 GiB of 32-bit linear memory.
bool may_be_image(std::uint64_t rip, unsigned code_bytes) {
  return code_bytes == 8 ? rip >= 0xffffffff80000000 : code_bytes == 4 && rip >= 0xc0000000;
}

}  // namespace

bool KernelSearch::note(guest::PhysicalMemory& memory, const guest::CpuState& state,
                        const softmmu::PagingFeatures& features, std::uint64_t rip,
                        unsigned code_bytes) {
  if (kernel_ || !may_be_image(rip, code_bytes) || ++seen_ < next_try_ || !state.paging())
    return false;
  next_try_ = 2 * seen_;
  GuestReader reader(memory, state, features);
  kernel_ = GuestKernel::find(reader, rip, code_bytes);
  return kernel_ != nullptr;
}

bool KernelSearch::note_reboot(GuestReader& memory) {
  if (!kernel_ || kernel_->still_there(memory)) return false;
  *this = {};
  return true;
}

std::unique_ptr<GuestKernel> GuestKernel::find(GuestReader& memory, std::uint64_t rip,
                                               unsigned word_bytes) {
  auto symbols = find_kallsyms(find_image(memory, rip), word_bytes);
  if (!symbols) return nullptr;
  std::unique_ptr<GuestKernel> kernel(new GuestKernel);
  kernel->symbols_ = SymbolTable(std::move(*symbols));
  kernel->read_banner(memory);
  if (word_bytes == 8) {
    kernel->read_orc(memory);
    kernel->find_current(memory);
  }
  return kernel;
}

void GuestKernel::read_banner(GuestReader& memory) {
  const Symbol* symbol = symbols_.find("linux_banner");
  std::array<char, 128> text{};
  if (!symbol || !memory.read(symbol->address, text.data(), text.size() - 1)) return;
  const std::string_view all(text.data());
  banner_ = all.substr(0, all.find(" ("));
}

bool GuestKernel::still_there(GuestReader& memory) const {
  const Symbol* symbol = symbols_.find("linux_banner");
  std::string text(banner_.size(), 0);
  return !symbol || !memory.read(symbol->address, text.data(), text.size()) || text == banner_;
}

OrcLayout GuestKernel::orc_layout() const {
  constexpr std::string_view kStart = "Linux version ";
  unsigned major = 0, minor = 0;
  if (banner_.starts_with(kStart)) {
    const char* const end = banner_.data() + banner_.size();
    const auto [dot, problem] = std::from_chars(banner_.data() + kStart.size(), end, major);
    if (problem == std::errc{} && dot != end) std::from_chars(dot + 1, end, minor);
  }
  return std::pair(major, minor) < std::pair(6u, 4u) ? OrcLayout::kBefore64 : OrcLayout::kSince64;
}

void GuestKernel::read_orc(GuestReader& memory) {
  constexpr std::uint64_t kMostEntries = 8u << 20;
  const Symbol* const ip = symbols_.find("__start_orc_unwind_ip");
  const Symbol* const ip_end = symbols_.find("__stop_orc_unwind_ip");
  const Symbol* const entries = symbols_.find("__start_orc_unwind");
  if (!ip || !ip_end || !entries || ip_end->address <= ip->address) return;
  const std::uint64_t count = (ip_end->address - ip->address) / sizeof(std::int32_t);
  if (count > kMostEntries) return;
  std::vector<std::int32_t> displacements(count);
  std::vector<std::uint8_t> bytes(count * OrcTable::kEntryBytes);
  if (!memory.read(ip->address, displacements.data(), count * sizeof(std::int32_t)) ||
      !memory.read(entries->address, bytes.data(), bytes.size()))
    return;
  orc_ = OrcTable::make(ip->address, displacements, bytes, orc_layout());
}

// The first task's name is known, and shows where every task has its name.
void GuestKernel::find_current(GuestReader& memory) {
  constexpr std::string_view kFirstName = "swapper";
  constexpr std::size_t kMostBytes = 16 * 1024;
  const Symbol* current = symbols_.find("current_task");
  if (!current) current = symbols_.find("pcpu_hot");  // 6.2 to 6.14: its first member
  const Symbol* const first = symbols_.find("init_task");
  if (!current || !first) return;
  std::vector<char> task(kMostBytes);
  if (!memory.read(first->address, task.data(), task.size())) return;
  const std::size_t at = std::string_view(task.data(), task.size()).find(kFirstName);
  if (at == std::string_view::npos) return;
  comm_offset_ = at;
  current_offset_ = current->address;
  knows_current_ = true;
}

bool GuestKernel::current_comm(GuestReader& memory, const guest::CpuState& state,
                               std::array<char, kCommBytes>& comm) const {
  if (!knows_current_) return false;
  // Which of the two is the kernel's depends on where its SWAPGS is.
  const std::uint64_t here = state.segment(guest::Seg::kGs).base;
  const std::uint64_t per_cpu = here >> 63 ? here : state.msr.kernel_gs_base;
  const auto task = memory.load<std::uint64_t>(per_cpu + current_offset_);
  if (!task || !memory.read(*task + comm_offset_, comm.data(), comm.size())) return false;
  comm.back() = 0;
  return true;
}

}  // namespace ringshift::runtime::profile
