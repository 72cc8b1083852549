// guest/physical_memory.cc - RAM in one memfd, ROM copies and MMIO dispatch by physical address.
#include "guest/physical_memory.h"

#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <system_error>

namespace ringshift::guest {
namespace {

// The size of the next device access when [offset, offset + bytes) has to be split: as wide as the
// alignment and what is left allow.
unsigned split_size(std::uint64_t offset, std::size_t bytes) {
  if (bytes <= 8 && std::has_single_bit(bytes)) return static_cast<unsigned>(bytes);
  const std::uint64_t alignment = offset ? offset & -offset : 8;
  return static_cast<unsigned>(
      std::min({std::uint64_t{8}, alignment, std::uint64_t{std::bit_floor(bytes)}}));
}

bool wraps(std::uint64_t start, std::uint64_t bytes) { return start + (bytes - 1) < start; }

std::string system_error(const char* what, int error) {
  return std::string(what) + ": " + std::system_category().message(error);
}

}  // namespace

tl::expected<std::unique_ptr<PhysicalMemory>, std::string> PhysicalMemory::create(
    std::uint64_t ram_bytes) {
  if (ram_bytes == 0 || ram_bytes % kPageBytes != 0)
    return tl::unexpected("guest RAM must be a positive multiple of 4096 bytes, not " +
                          std::to_string(ram_bytes));
  // A memfd reserves nothing, so a guest larger than the host would start and be killed later.
  struct sysinfo host {};
  sysinfo(&host);
  const std::uint64_t available = (std::uint64_t{host.totalram} + host.totalswap) * host.mem_unit;
  if (ram_bytes > available)
    return tl::unexpected("guest RAM of " + std::to_string(ram_bytes >> 20) +
                          " MiB is more than the " + std::to_string(available >> 20) +
                          " MiB that this host has");

  std::unique_ptr<PhysicalMemory> memory(new PhysicalMemory);
  memory->memfd_ = memfd_create("guest-ram", MFD_CLOEXEC);
  if (memory->memfd_ < 0) return tl::unexpected(system_error("cannot create guest RAM", errno));
  if (ftruncate(memory->memfd_, static_cast<off_t>(ram_bytes)) != 0)
    return tl::unexpected(system_error("cannot size guest RAM", errno));
  void* host_address = mmap(nullptr, ram_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                            memory->memfd_, 0);
  if (host_address == MAP_FAILED)
    return tl::unexpected(system_error("cannot map guest RAM", errno));
  // Advice only: a host that has no huge pages for shared memory says no.
  madvise(host_address, ram_bytes, MADV_HUGEPAGE);
  memory->host_ = static_cast<std::uint8_t*>(host_address);
  memory->ram_bytes_ = ram_bytes;
  memory->low_bytes_ = std::min(ram_bytes, kLowRamLimit);
  memory->attributes_.resize(page_number(ram_bytes));
  return memory;
}

PhysicalMemory::~PhysicalMemory() {
  if (host_) munmap(host_, ram_bytes_);
  if (memfd_ >= 0) close(memfd_);
}

// --- The map
// --------------------------------------------------------------------------------------

bool PhysicalMemory::mmio_overlaps(std::uint64_t start, std::uint64_t bytes) const {
  const MmioRange* range = first_mmio_after(start);
  return range && (range->start <= start || range->start - start < bytes);
}

bool PhysicalMemory::rom_overlaps(std::uint64_t start, std::uint64_t bytes) const {
  return std::any_of(roms_.begin(), roms_.end(), [&](const Rom& rom) {
    return start <= rom.start ? rom.start - start < bytes : start - rom.start < rom.bytes;
  });
}

void PhysicalMemory::mark_overlaid(std::uint64_t start, std::uint64_t bytes) {
  const std::uint64_t first = page_number(start), last = page_number(start + (bytes - 1));
  const auto mark = [&](std::uint64_t ram_start, std::uint64_t ram_length, std::uint64_t ram_page) {
    if (ram_length == 0) return;
    const std::uint64_t from = std::max(first, page_number(ram_start));
    const std::uint64_t to = std::min(last, page_number(ram_start + ram_length - 1));
    for (std::uint64_t page = from; page <= to; ++page)
      attributes_[page - page_number(ram_start) + ram_page] |= kOverlaid;
  };
  mark(0, low_bytes_, 0);
  mark(kHighRamBase, high_ram_bytes(), page_number(low_bytes_));
}

bool PhysicalMemory::add_mmio(PhysicalAddress start, std::uint64_t bytes, MmioHandler& handler) {
  if (bytes == 0 || wraps(start.value, bytes) || mmio_overlaps(start.value, bytes)) return false;
  const auto after = std::upper_bound(
      mmio_.begin(), mmio_.end(), start.value,
      [](std::uint64_t address, const MmioRange& range) { return address < range.start; });
  mmio_.insert(after, {start.value, bytes, &handler});
  mark_overlaid(start.value, bytes);
  ++map_version_;
  return true;
}

bool PhysicalMemory::add_rom(PhysicalAddress start, std::span<const std::uint8_t> image) {
  if (image.empty() || wraps(start.value, image.size())) return false;
  const std::uint64_t first = start.value & ~kPageOffsetMask;
  const std::uint64_t last = (start.value + (image.size() - 1)) | kPageOffsetMask;
  const std::uint64_t bytes = last - first + 1;
  if (rom_overlaps(first, bytes)) return false;
  // Page by page, because the host's processor may map them into the guest.
  Rom rom{first, bytes, {}};
  rom.host.reset(static_cast<std::uint8_t*>(std::aligned_alloc(kPageBytes, bytes)));
  if (!rom.host) throw std::bad_alloc();
  std::fill_n(rom.host.get(), bytes, std::uint8_t{0xff});
  const std::uint64_t before = start.value - first;
  for (std::uint64_t i = 0; i < bytes; i += kPageBytes)
    if (const std::uint8_t* page = ram_page({first + i}))
      copy_bytes(rom.host.get() + i, page, kPageBytes);
  copy_bytes(rom.host.get() + before, image.data(), image.size());
  roms_.push_back(std::move(rom));
  mark_overlaid(first, bytes);
  ++map_version_;
  return true;
}

void PhysicalMemory::gate_ram(PhysicalAddress start, std::uint64_t bytes, bool reads_ram,
                              bool writes_ram) {
  const std::uint8_t gate = static_cast<std::uint8_t>(kGated | (reads_ram ? kRamReads : 0) |
                                                      (writes_ram ? kRamWrites : 0));
  for (std::uint64_t at = start.value; at < start.value + bytes; at += kPageBytes) {
    const std::uint64_t number = ram_page_number({at});
    if (number == kNoRam) continue;
    const bool plain = reads_ram && writes_ram && !mmio_overlaps(at, kPageBytes);
    const std::uint8_t kept = attributes(number) & kWatched;
    const auto next = static_cast<std::uint8_t>(kept | gate | (plain ? 0 : kOverlaid));
    __atomic_store_n(&attributes_[number], next, __ATOMIC_SEQ_CST);
  }
  ++map_version_;
}

bool PhysicalMemory::gate_leads_to_ram(std::uint64_t ram_page, bool write) const {
  return ram_page != kNoRam && (attributes(ram_page) & (write ? kRamWrites : kRamReads));
}

void PhysicalMemory::FreePages::operator()(std::uint8_t* pages) const { std::free(pages); }

// Pages of one piece of RAM or ROM: runs of those that are readable, with their hosts next to each
// other and of one kind.
void PhysicalMemory::add_mappings(std::vector<Mapping>& to, std::uint64_t start,
                                  std::uint64_t bytes) const {
  for (std::uint64_t at = start; at < start + bytes; at += kPageBytes) {
    const std::uint8_t* host = readable_page({at});
    if (!host) continue;
    const bool writable = ram_page({at}) != nullptr;
    Mapping* last = to.empty() ? nullptr : &to.back();
    if (last && last->writable == writable && last->start.value + last->bytes == at &&
        last->host + last->bytes == host)
      last->bytes += kPageBytes;
    else
      to.push_back({{at}, kPageBytes, const_cast<std::uint8_t*>(host), writable});
  }
}

std::vector<PhysicalMemory::Mapping> PhysicalMemory::mappings() const {
  std::vector<Mapping> all;
  add_mappings(all, 0, low_bytes_);
  add_mappings(all, kHighRamBase, high_ram_bytes());
  for (const Rom& rom : roms_)
    for (std::uint64_t at = 0; at < rom.bytes; at += kPageBytes)
      if (ram_page_number({rom.start + at}) == kNoRam)
        add_mappings(all, rom.start + at, kPageBytes);
  std::ranges::sort(all, {}, [](const Mapping& m) { return m.start.value; });
  return all;
}

// The range that holds `address`, else the next one above it.
const PhysicalMemory::MmioRange* PhysicalMemory::first_mmio_after(std::uint64_t address) const {
  const auto found = std::partition_point(
      mmio_.begin(), mmio_.end(),
      [address](const MmioRange& range) { return range.start + (range.bytes - 1) < address; });
  return found == mmio_.end() ? nullptr : &*found;
}

const PhysicalMemory::Rom* PhysicalMemory::find_rom(std::uint64_t address) const {
  for (const Rom& rom : roms_)
    if (address >= rom.start && address - rom.start < rom.bytes) return &rom;
  return nullptr;
}

const std::uint8_t* PhysicalMemory::readable_page(PhysicalAddress address) const {
  if (const std::uint8_t* ram = ram_page(address)) return ram;
  const std::uint64_t page = address.value & ~kPageOffsetMask;
  if (mmio_overlaps(page, kPageBytes)) return nullptr;
  if (const std::uint64_t number = ram_page_number(address); gate_leads_to_ram(number, false))
    return host_ + number * kPageBytes;
  const Rom* rom = find_rom(page);
  if (!rom) return nullptr;
  return rom->host.get() + (page - rom->start);
}

// MMIO lies over ROM, and ROM over RAM but where a gate is open. Nothing but MMIO is followed past
// the end of its page.
PhysicalMemory::Target PhysicalMemory::resolve(std::uint64_t address, std::size_t bytes,
                                               bool write) const {
  Target target;
  target.bytes = bytes;
  const MmioRange* next = first_mmio_after(address);
  if (next && next->start <= address) {
    target.mmio = next;
    target.bytes = std::min<std::uint64_t>(bytes, next->bytes - (address - next->start));
    return target;
  }
  if (next) target.bytes = std::min<std::uint64_t>(target.bytes, next->start - address);
  target.bytes = std::min<std::uint64_t>(target.bytes, kPageBytes - page_offset(address));
  const std::uint64_t number = ram_page_number({address});
  const bool gate_open = gate_leads_to_ram(number, write);
  if (const Rom* rom = gate_open ? nullptr : find_rom(address)) {
    target.rom = rom->host.get() + (address - rom->start);
  } else if (number != kNoRam && (gate_open || !(attributes(number) & kGated))) {
    target.ram = host_ + number * kPageBytes + page_offset(address);
  }
  return target;
}

// --- Accesses
// -------------------------------------------------------------------------------------

std::uint64_t PhysicalMemory::read(PhysicalAddress address, unsigned size) {
  std::uint64_t value = 0;
  read_bytes(address, {reinterpret_cast<std::uint8_t*>(&value), size});
  return value;
}

void PhysicalMemory::write(PhysicalAddress address, unsigned size, std::uint64_t value) {
  write_bytes(address, {reinterpret_cast<const std::uint8_t*>(&value), size});
}

void PhysicalMemory::read_bytes(PhysicalAddress start, std::span<std::uint8_t> out) {
  std::uint64_t address = start.value;
  while (!out.empty()) {
    const std::uint64_t in_page = kPageBytes - page_offset(address);
    if (const std::uint8_t* page = ram_page({address}); page && out.size() <= in_page) {
      copy_bytes(out.data(), page + page_offset(address), out.size());
      return;
    }
    const Target target = resolve(address, out.size(), false);
    std::size_t done = target.bytes;
    if (target.mmio) {
      const std::uint64_t offset = address - target.mmio->start;
      const unsigned size = split_size(offset, done);
      if (mmio_prologue_) mmio_prologue_({address});
      const std::uint64_t value = target.mmio->handler->mmio_read(offset, size);
      copy_bytes(out.data(), &value, size);
      done = size;
    } else if (target.rom || target.ram) {
      copy_bytes(out.data(), target.rom ? target.rom : target.ram, done);
    } else {
      for (std::uint8_t& byte : out.first(done)) {
        byte = 0xff;
        asm volatile("" : : : "memory");  // stays a loop: memset would use SIMD registers
      }
    }
    out = out.subspan(done);
    address += done;
  }
}

void PhysicalMemory::write_bytes(PhysicalAddress start, std::span<const std::uint8_t> in) {
  std::uint64_t address = start.value;
  while (!in.empty()) {
    if (const std::uint64_t number = ram_page_number({address});
        number != kNoRam && !(attributes(number) & (kWatched | kOverlaid)) &&
        in.size() <= kPageBytes - page_offset(address)) {
      copy_bytes(host_ + number * kPageBytes + page_offset(address), in.data(), in.size());
      return;
    }
    const Target target = resolve(address, in.size(), true);
    std::size_t done = target.bytes;
    if (target.mmio) {
      const std::uint64_t offset = address - target.mmio->start;
      const unsigned size = split_size(offset, done);
      std::uint64_t value = 0;
      copy_bytes(&value, in.data(), size);
      if (mmio_prologue_) mmio_prologue_({address});
      target.mmio->handler->mmio_write(offset, size, value);
      done = size;
    } else if (target.ram) {
      report_write(address, done);
      copy_bytes(target.ram, in.data(), done);
    }
    in = in.subspan(done);
    address += done;
  }
}

// SDM Vol. 3 "Accessed and Dirty Flags": the processor updates them with a locked operation.
bool PhysicalMemory::compare_exchange(PhysicalAddress address, unsigned size,
                                      std::uint64_t expected, std::uint64_t desired) {
  std::uint8_t* page = ram_page(address);
  const std::uint64_t offset = page_offset(address.value);
  if (!page || offset % size != 0) return true;
  if (expected != desired) report_write(address.value, size);
  if (size == 8)
    return __atomic_compare_exchange_n(reinterpret_cast<std::uint64_t*>(page + offset), &expected,
                                       desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  auto expected32 = static_cast<std::uint32_t>(expected);
  return __atomic_compare_exchange_n(reinterpret_cast<std::uint32_t*>(page + offset), &expected32,
                                     static_cast<std::uint32_t>(desired), false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST);
}

// --- Watched pages
// --------------------------------------------------------------------------------

void PhysicalMemory::watch(PhysicalAddress page, bool on) {
  const std::uint64_t number = ram_page_number(page);
  if (number == kNoRam) return;
  if (on)
    __atomic_fetch_or(&attributes_[number], kWatched, __ATOMIC_SEQ_CST);
  else
    __atomic_fetch_and(&attributes_[number], static_cast<std::uint8_t>(~kWatched),
                       __ATOMIC_SEQ_CST);
}

PhysicalMemory::PageRun PhysicalMemory::uniform_pages(std::uint64_t number,
                                                      std::uint64_t limit) const {
  const std::uint64_t end = number + std::min(limit, attributes_.size() - number);
  const std::uint8_t kind = attributes(number);
  const std::uint64_t word_of_kind = kind * std::uint64_t{0x0101010101010101};
  std::uint64_t at = number + 1;
  while (at < end) {
    std::uint64_t word = 0;
    if (end - at >= sizeof word) std::memcpy(&word, &attributes_[at], sizeof word);
    if (end - at >= sizeof word && word == word_of_kind)
      at += sizeof word;
    else if (attributes(at) == kind)
      ++at;
    else
      break;
  }
  return {at - number, !(kind & kOverlaid), (kind & kWatched) != 0};
}

void PhysicalMemory::report_transfer(PhysicalAddress start, std::uint64_t bytes) {
  std::uint64_t at = start.value;
  while (bytes != 0) {
    const std::uint64_t here = std::min(bytes, kPageBytes - page_offset(at));
    report_write(at, here);
    at += here;
    bytes -= here;
  }
}

void PhysicalMemory::report_write(std::uint64_t address, std::size_t bytes) {
  if (observer_ && watched({address})) observer_->on_watched_write({address}, bytes);
}

}  // namespace ringshift::guest
