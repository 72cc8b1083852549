// devices/flash.cc - commands of the flash chip.
#include "devices/flash.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>

namespace ringshift::devices {
namespace {

namespace command {
constexpr std::uint8_t kProgram = 0x10, kErase = 0x20, kProgramAlternate = 0x40,
                       kClearStatus = 0x50, kLock = 0x60, kReadStatus = 0x70, kReadId = 0x90,
                       kQuery = 0x98, kConfirm = 0xd0, kBufferedProgram = 0xe8, kReadArray = 0xff;
}
constexpr std::uint8_t kReady = 0x80, kSequenceError = 0x30;
constexpr std::uint64_t kBufferBytes = 32;

}  // namespace

Flash::Flash(std::vector<std::uint8_t> contents, BlockDevice* backing)
    : contents_(std::move(contents)), backing_(backing) {}

// Only what firmware looks at: the signature, the command set and the geometry.
std::uint8_t Flash::query(std::uint64_t offset) const {
  const auto blocks = static_cast<std::uint32_t>(contents_.size() / kBlockBytes - 1);
  switch (offset & 0xff) {
    case 0x10:
      return 'Q';
    case 0x11:
      return 'R';
    case 0x12:
      return 'Y';
    case 0x13:
      return 1;  // Intel extended
    case 0x27:
      return static_cast<std::uint8_t>(std::bit_width(contents_.size()) - 1);
    case 0x2a:
      return 5;  // 32-byte buffer
    case 0x2c:
      return 1;
    case 0x2d:
      return static_cast<std::uint8_t>(blocks);
    case 0x2e:
      return static_cast<std::uint8_t>(blocks >> 8);
    case 0x2f:
      return static_cast<std::uint8_t>(kBlockBytes / 256);
    case 0x30:
      return static_cast<std::uint8_t>(kBlockBytes / 256 >> 8);
    default:
      return 0;
  }
}

std::uint64_t Flash::mmio_read(std::uint64_t offset, unsigned size) {
  std::uint64_t value = 0;
  switch (mode_) {
    case Mode::kArray:
      std::memcpy(&value, &contents_[offset], size);
      return value;
    case Mode::kId:
      return (offset & 0xff) == 0 ? 0x89 : 0x18;
    case Mode::kQuery:
      return query(offset);
    default:
      return status_;
  }
}

void Flash::store(std::uint64_t offset, std::span<const std::uint8_t> bytes) {
  if (offset > contents_.size() || bytes.size() > contents_.size() - offset) {
    status_ = kReady | kSequenceError;
    return;
  }
  std::copy(bytes.begin(), bytes.end(), contents_.begin() + static_cast<std::ptrdiff_t>(offset));
  if (!backing_) return;
  // Whole sectors, because disks are made of them.
  constexpr std::uint64_t kSector = 512;
  const std::uint64_t first = offset / kSector * kSector;
  const std::uint64_t end = (offset + bytes.size() + kSector - 1) / kSector * kSector;
  auto copy = std::make_shared<std::vector<std::uint8_t>>(
      contents_.begin() + static_cast<std::ptrdiff_t>(first),
      contents_.begin() +
          static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(end, contents_.size())));
  backing_->submit({BlockRequest::Kind::kWrite, first, {{copy->data(), copy->size()}}, 0},
                   [copy](bool) {});
}

void Flash::command(std::uint64_t offset, std::uint8_t code) {
  switch (code) {
    case command::kReadArray:
    case 0x00:
    case 0xf0:
      mode_ = Mode::kArray;
      return;
    case command::kReadStatus:
      mode_ = Mode::kStatus;
      return;
    case command::kClearStatus:
      status_ = kReady;
      return;
    case command::kReadId:
      mode_ = Mode::kId;
      return;
    case command::kQuery:
      mode_ = Mode::kQuery;
      return;
    case command::kProgram:
    case command::kProgramAlternate:
      mode_ = Mode::kProgram;
      return;
    case command::kErase:
      mode_ = Mode::kErase;
      return;
    case command::kLock:
      mode_ = Mode::kLock;
      return;
    case command::kBufferedProgram:
      mode_ = Mode::kBufferCount;
      buffer_at_ = offset;
      status_ = kReady;
      return;
    default:
      return;
  }
}

void Flash::mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  const auto code = static_cast<std::uint8_t>(value);
  std::array<std::uint8_t, 8> bytes{};
  std::memcpy(bytes.data(), &value, sizeof value);
  switch (mode_) {
    case Mode::kProgram:
      store(offset, std::span(bytes).first(size));
      mode_ = Mode::kStatus;
      return;
    case Mode::kErase: {
      mode_ = Mode::kStatus;
      if (code != command::kConfirm) {
        status_ = kReady | kSequenceError;
        return;
      }
      const std::vector<std::uint8_t> blank(kBlockBytes, 0xff);
      return store(offset / kBlockBytes * kBlockBytes, blank);
    }
    case Mode::kBufferCount:
      buffer_left_ = std::min<std::uint64_t>(code + std::uint64_t{1}, kBufferBytes);
      buffer_.clear();
      mode_ = Mode::kBufferData;
      return;
    case Mode::kBufferData:
      if (buffer_.empty()) buffer_at_ = offset;
      buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + size);
      buffer_left_ -= std::min<std::uint64_t>(buffer_left_, size);
      if (buffer_left_ == 0) mode_ = Mode::kBufferConfirm;
      return;
    case Mode::kBufferConfirm:
      if (code == command::kConfirm)
        store(buffer_at_, buffer_);
      else
        status_ = kReady | kSequenceError;
      mode_ = Mode::kStatus;
      return;
    case Mode::kLock:
      mode_ = Mode::kStatus;
      return;
    default:
      return command(offset, code);
  }
}

}  // namespace ringshift::devices
