// devices/fw_cfg.cc - item selection, data port, DMA and file directory of fw_cfg.
// Facts: QEMU's docs/specs/fw_cfg.
#include "devices/fw_cfg.h"

#include <algorithm>
#include <array>
#include <utility>

namespace ringshift::devices {
namespace {

constexpr std::uint32_t kTraditional = 1, kDma = 2;
constexpr std::uint16_t kWriteChannel = 0x4000;  // a selector bit without effect nowadays

namespace dma {
constexpr std::uint32_t kError = 1, kRead = 2, kSkip = 4, kSelect = 8, kWrite = 16;
constexpr std::uint64_t kSignature = 0x51454d5520434647;  // "QEMU CFG"
}  // namespace dma

template <typename T>
std::vector<std::uint8_t> little_endian(T value) {
  std::vector<std::uint8_t> bytes(sizeof value);
  for (auto& byte : bytes) {
    byte = static_cast<std::uint8_t>(value);
    value = static_cast<T>(std::uint64_t{value} >> 8);
  }
  return bytes;
}

void append_big_endian(std::vector<std::uint8_t>& out, std::uint64_t value, unsigned bytes) {
  while (bytes--) out.push_back(static_cast<std::uint8_t>(value >> (8 * bytes)));
}

std::uint64_t big_endian(std::span<const std::uint8_t> bytes) {
  std::uint64_t value = 0;
  for (const auto byte : bytes) value = value << 8 | byte;
  return value;
}

constexpr std::uint32_t swap(std::uint32_t value) { return __builtin_bswap32(value); }

}  // namespace

FwCfg::FwCfg(guest::PhysicalMemory& memory)
    : memory_(memory),
      ports_(
          [this](std::uint16_t offset, unsigned size) -> std::uint32_t {
            return offset == 1 && size == 1 ? read_data() : 0;
          },
          [this](std::uint16_t offset, unsigned size, std::uint32_t value) {
            if (offset == 0 && size == 2) select(static_cast<std::uint16_t>(value));
          }),
      dma_ports_([this](std::uint16_t offset, unsigned size) { return read_dma(offset, size); },
                 [this](std::uint16_t offset, unsigned size, std::uint32_t value) {
                   write_dma(offset, size, value);
                 }) {
  set(FwCfgKey::kSignature, {'Q', 'E', 'M', 'U'});
  set_u32(FwCfgKey::kFeatures, kTraditional | kDma);
  set(FwCfgKey::kUuid, std::vector<std::uint8_t>(16));
  build_directory();
}

void FwCfg::reset() {
  selected_ = nullptr;
  offset_ = 0;
  dma_high_ = 0;
}

void FwCfg::describe_machine(std::uint64_t ram_bytes, unsigned cpus, unsigned maximum_cpus) {
  set_u64(FwCfgKey::kRamSize, ram_bytes);
  set_u16(FwCfgKey::kCpuCount, static_cast<std::uint16_t>(cpus));
  set_u16(FwCfgKey::kMaximumCpus, static_cast<std::uint16_t>(maximum_cpus));
  set_u16(FwCfgKey::kNoGraphic, 1);
  set_u16(FwCfgKey::kBootMenu, 0);
  set_u32(FwCfgKey::kIrq0Override, 1);
}

void FwCfg::set(FwCfgKey key, std::vector<std::uint8_t> bytes) {
  auto& item = items_[static_cast<std::uint16_t>(key)];
  item = std::move(bytes);
  if (selected_ == &item) offset_ = 0;
}
void FwCfg::set_u16(FwCfgKey key, std::uint16_t value) { set(key, little_endian(value)); }
void FwCfg::set_u32(FwCfgKey key, std::uint32_t value) { set(key, little_endian(value)); }
void FwCfg::set_u64(FwCfgKey key, std::uint64_t value) { set(key, little_endian(value)); }

void FwCfg::set_string(FwCfgKey key, std::string_view text) {
  std::vector<std::uint8_t> bytes(text.begin(), text.end());
  bytes.push_back(0);
  set(key, std::move(bytes));
}

bool FwCfg::add_file(std::string_view name, std::vector<std::uint8_t> bytes) {
  if (name.empty() || name.size() >= kNameBytes || files_.size() == kMostFiles) return false;
  if (std::find(files_.begin(), files_.end(), name) != files_.end()) return false;
  const auto key = static_cast<std::uint16_t>(FwCfgKey::kFirstFile) + files_.size();
  set(static_cast<FwCfgKey>(key), std::move(bytes));
  files_.emplace_back(name);
  build_directory();
  return true;
}

void FwCfg::build_directory() {
  std::vector<std::uint8_t> directory;
  append_big_endian(directory, files_.size(), 4);
  auto key = static_cast<std::uint16_t>(FwCfgKey::kFirstFile);
  for (const auto& name : files_) {
    append_big_endian(directory, items_[key].size(), 4);
    append_big_endian(directory, key++, 2);
    append_big_endian(directory, 0, 2);
    directory.insert(directory.end(), name.begin(), name.end());
    directory.resize(directory.size() + kNameBytes - name.size());
  }
  set(FwCfgKey::kFileDirectory, std::move(directory));
}

void FwCfg::refresh_file(std::string_view name,
                         std::function<std::vector<std::uint8_t>()> bytes) {
  const auto found = std::find(files_.begin(), files_.end(), name);
  if (found == files_.end()) return;
  const auto index = static_cast<std::uint16_t>(found - files_.begin());
  refreshers_[static_cast<std::uint16_t>(FwCfgKey::kFirstFile) + index] = std::move(bytes);
}

void FwCfg::select(std::uint16_t key) {
  key &= static_cast<std::uint16_t>(~kWriteChannel);
  if (const auto refresher = refreshers_.find(key); refresher != refreshers_.end())
    items_[key] = refresher->second();
  const auto found = items_.find(key);
  selected_ = found == items_.end() ? nullptr : &found->second;
  offset_ = 0;
}

std::uint8_t FwCfg::read_data() {
  return selected_ && offset_ < selected_->size() ? (*selected_)[offset_++] : 0;
}

std::uint32_t FwCfg::read_dma(std::uint16_t offset, unsigned size) const {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < size; ++i) {
    const unsigned at = (offset + i) % kDmaBytes;
    value |= static_cast<std::uint32_t>(dma::kSignature >> (8 * (7 - at)) & 0xff) << (8 * i);
  }
  return value;
}

void FwCfg::write_dma(std::uint16_t offset, unsigned size, std::uint32_t value) {
  if (size != 4) return;
  if (offset == 0) dma_high_ = swap(value);
  if (offset == 4) {
    const std::uint64_t address = std::uint64_t{std::exchange(dma_high_, 0)} << 32 | swap(value);
    run_dma({address});
  }
}

void FwCfg::run_dma(guest::PhysicalAddress descriptor) {
  std::array<std::uint8_t, 16> raw{};
  memory_.read_bytes(descriptor, raw);
  const std::span<const std::uint8_t> bytes(raw);
  const auto control = static_cast<std::uint32_t>(big_endian(bytes.first(4)));
  const auto length = static_cast<std::uint32_t>(big_endian(bytes.subspan(4, 4)));
  const bool done = transfer(control, length, big_endian(bytes.subspan(8)));
  memory_.write(descriptor, 4, swap(done ? 0 : dma::kError));
}

// DEVIATION: a read longer than the guest's memory is refused rather than carried out, and so is
// every write: no item here is writable.
bool FwCfg::transfer(std::uint32_t control, std::uint32_t length, std::uint64_t address) {
  if (control & dma::kSelect) select(static_cast<std::uint16_t>(control >> 16));
  if (control & dma::kRead) {
    if (length > memory_.ram_bytes()) return false;
    copy_to_guest(address, length);
  } else if (control & dma::kWrite) {
    return false;
  } else if (control & dma::kSkip) {
    skip(length);
  }
  return true;
}

// What lies past the end of the item reads as zeros.
void FwCfg::copy_to_guest(std::uint64_t address, std::uint64_t length) {
  static constexpr std::array<std::uint8_t, 4096> kZeros{};
  while (length) {
    const std::size_t left = selected_ ? selected_->size() - offset_ : 0;
    const std::span<const std::uint8_t> source =
        left ? std::span<const std::uint8_t>(*selected_).subspan(offset_) : kZeros;
    const auto chunk = source.first(std::min<std::uint64_t>(source.size(), length));
    memory_.write_bytes({address}, chunk);
    if (left) offset_ += chunk.size();
    address += chunk.size();
    length -= chunk.size();
  }
}

void FwCfg::skip(std::uint64_t length) {
  if (selected_) offset_ += std::min<std::uint64_t>(length, selected_->size() - offset_);
}

}  // namespace ringshift::devices
