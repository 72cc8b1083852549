// devices/ide_drive.cc - the commands and data phases of ATA and ATAPI drives.
#include "devices/ide_drive.h"

#include <algorithm>
#include <utility>

#include "devices/ata_identify.h"

namespace ringshift::devices {
namespace {

using ata::kAbort, ata::kNoId;

constexpr std::uint8_t kLbaMode = 0x40;
constexpr std::uint8_t kIdle = ata::kReady | ata::kSeekComplete;

namespace command {
constexpr std::uint8_t kNop = 0x00, kDeviceReset = 0x08, kReadSectors = 0x20,
                       kReadSectorsOnce = 0x21, kReadExt = 0x24, kReadDmaExt = 0x25,
                       kNativeMaxExt = 0x27, kReadMultipleExt = 0x29, kWriteSectors = 0x30,
                       kWriteSectorsOnce = 0x31, kWriteExt = 0x34, kWriteDmaExt = 0x35,
                       kWriteMultipleExt = 0x39, kVerify = 0x40, kVerifyOnce = 0x41,
                       kVerifyExt = 0x42, kSeek = 0x70, kDiagnostic = 0x90,
                       kInitializeParameters = 0x91, kPacket = 0xa0, kIdentifyPacket = 0xa1,
                       kReadMultiple = 0xc4, kWriteMultiple = 0xc5, kSetMultiple = 0xc6,
                       kReadDma = 0xc8, kReadDmaOnce = 0xc9, kWriteDma = 0xca, kWriteDmaOnce = 0xcb,
                       kStandbyNow = 0xe0, kIdleNow = 0xe1, kStandby = 0xe2, kIdleTimer = 0xe3,
                       kCheckPower = 0xe5, kSleep = 0xe6, kFlush = 0xe7, kFlushExt = 0xea,
                       kIdentify = 0xec, kSetFeatures = 0xef, kNativeMax = 0xf8;
}

}  // namespace

IdeDrive::IdeDrive(Kind kind, BlockDevice* disk, std::string serial,
                   std::function<void()> interrupt)
    : kind_(kind),
      disk_(disk),
      serial_(std::move(serial)),
      interrupt_(std::move(interrupt)),
      cd_(kind == Kind::kCd ? disk : nullptr) {
  reset(true);
}

// ATA/ATAPI-6 "Signature and persistence".
void IdeDrive::signature() {
  r_.count = r_.lba_low = {1, 0};
  r_.lba_mid = {static_cast<std::uint8_t>(is_cd() ? 0x14 : 0), 0};
  r_.lba_high = {static_cast<std::uint8_t>(is_cd() ? 0xeb : 0), 0};
  r_.device &= 0x10;
}

void IdeDrive::reset(bool diagnostic) {
  ++*epoch_;
  phase_ = Phase::kIdle;
  dma_.reset();
  cd_.reset();
  signature();
  status_ = is_cd() ? 0 : kIdle;
  error_ = diagnostic ? 1 : 0;  // passed
}

void IdeDrive::raise() { interrupt_(); }

void IdeDrive::succeed() {
  status_ = kIdle;
  error_ = 0;
  phase_ = Phase::kIdle;
  raise();
}

void IdeDrive::fail(std::uint8_t error) {
  status_ = kIdle | ata::kError;
  error_ = error;
  phase_ = Phase::kIdle;
  raise();
}

void IdeDrive::submit(BlockRequest request, std::function<void(bool)> done) {
  disk_->submit(std::move(request),
                [alive = std::weak_ptr(epoch_), epoch = *epoch_, done = std::move(done)](bool ok) {
                  const auto now = alive.lock();
                  if (now && *now == epoch) done(ok);
                });
}

// --- The data port ---

void IdeDrive::offer(std::vector<std::uint8_t> data, Continue next) {
  buffer_ = std::move(data);
  at_ = 0;
  next_ = next;
  phase_ = Phase::kDataIn;
  status_ = kIdle | ata::kDataRequest;
  raise();
}

void IdeDrive::ask(std::size_t bytes, Continue next) {
  buffer_.assign(bytes, 0);
  at_ = 0;
  next_ = next;
  phase_ = Phase::kDataOut;
  status_ = kIdle | ata::kDataRequest;
}

std::uint16_t IdeDrive::read_data() {
  if (phase_ != Phase::kDataIn) return 0xffff;
  const std::uint16_t low = buffer_[at_];
  const std::uint16_t high = at_ + 1 < buffer_.size() ? buffer_[at_ + 1] : 0;
  at_ += 2;
  if (at_ >= buffer_.size()) {
    phase_ = Phase::kIdle;
    (this->*next_)();
  }
  return static_cast<std::uint16_t>(low | high << 8);
}

void IdeDrive::write_data(std::uint16_t value) {
  if (phase_ != Phase::kDataOut && phase_ != Phase::kPacket) return;
  buffer_[at_] = static_cast<std::uint8_t>(value);
  if (at_ + 1 < buffer_.size()) buffer_[at_ + 1] = static_cast<std::uint8_t>(value >> 8);
  at_ += 2;
  if (at_ >= buffer_.size()) {
    phase_ = Phase::kIdle;
    (this->*next_)();
  }
}

// --- Addresses ---

std::uint64_t IdeDrive::sector_address(bool lba48) const {
  const std::uint64_t low =
      r_.lba_low[0] | r_.lba_mid[0] << 8 | std::uint32_t{r_.lba_high[0]} << 16;
  if (lba48)
    return low |
           (std::uint64_t{r_.lba_low[1]} | r_.lba_mid[1] << 8 | std::uint64_t{r_.lba_high[1]} << 16)
               << 24;
  const std::uint32_t top = r_.device & 15;
  if (r_.device & kLbaMode) return low | std::uint64_t{top} << 24;
  const AtaGeometry g = geometry_of(disk_->bytes() / ata::kSectorBytes);
  const std::uint32_t cylinder = r_.lba_mid[0] | r_.lba_high[0] << 8;
  return (std::uint64_t{cylinder} * g.heads + top) * g.sectors + r_.lba_low[0] - 1;
}

std::uint32_t IdeDrive::sector_count(bool lba48) const {
  if (!lba48) return r_.count[0] ? r_.count[0] : 256;
  const std::uint32_t count = r_.count[0] | r_.count[1] << 8;
  return count ? count : 65536;
}

bool IdeDrive::begin_transfer(bool lba48, std::uint32_t block) {
  transfer_ = {sector_address(lba48), sector_count(lba48), std::max(block, 1u), ata::kSectorBytes};
  const std::uint64_t sectors = disk_->bytes() / ata::kSectorBytes;
  if (transfer_.sector < sectors && transfer_.left <= sectors - transfer_.sector) return true;
  fail(kNoId);
  return false;
}

// --- PIO ---

void IdeDrive::read_block() {
  const std::uint32_t count = std::min(transfer_.left, transfer_.block);
  if (count == 0) {
    status_ = kIdle;
    return;
  }
  status_ = ata::kBusy;
  auto data = std::make_shared<std::vector<std::uint8_t>>(std::size_t{count} * ata::kSectorBytes);
  BlockRequest request{BlockRequest::Kind::kRead,
                       transfer_.sector * ata::kSectorBytes,
                       {{data->data(), data->size()}}};
  submit(std::move(request), [this, data, count](bool ok) {
    if (!ok) return fail(kNoId);
    transfer_.sector += count;
    transfer_.left -= count;
    offer(std::move(*data), &IdeDrive::read_block);
  });
}

void IdeDrive::ask_for_block() {
  const std::uint32_t count = std::min(transfer_.left, transfer_.block);
  if (count == 0) return succeed();
  ask(std::size_t{count} * ata::kSectorBytes, &IdeDrive::store_block);
}

void IdeDrive::store_block() {
  status_ = ata::kBusy;
  auto data = std::make_shared<std::vector<std::uint8_t>>(std::move(buffer_));
  const auto count = static_cast<std::uint32_t>(data->size() / ata::kSectorBytes);
  BlockRequest request{BlockRequest::Kind::kWrite,
                       transfer_.sector * ata::kSectorBytes,
                       {{data->data(), data->size()}}};
  submit(std::move(request), [this, data, count](bool ok) {
    if (!ok) return fail(kAbort);
    transfer_.sector += count;
    transfer_.left -= count;
    const bool more = transfer_.left != 0;
    ask_for_block();
    if (more) raise();
  });
}

// --- DMA ---

void IdeDrive::run_dma(guest::PhysicalMemory& memory, std::vector<GuestRange> ranges,
                       std::function<void(bool)> done) {
  const IdeDma dma = *std::exchange(dma_, std::nullopt);
  std::uint64_t given = 0;
  for (GuestRange& range : ranges) {
    range.bytes = std::min(range.bytes, dma.bytes - given);
    given += range.bytes;
  }
  if (given < dma.bytes) {
    fail(kAbort);
    return done(false);
  }
  const auto direction =
      dma.to_guest ? GuestTransfer::Direction::kToGuest : GuestTransfer::Direction::kFromGuest;
  auto transfer = std::make_shared<GuestTransfer>(memory, std::move(ranges), direction);
  if (!answer_.empty()) {  // a packet's data, which the drive has already
    std::size_t at = 0;
    for (const BlockPiece& piece : transfer->pieces()) {
      std::copy_n(answer_.begin() + static_cast<std::ptrdiff_t>(at), piece.bytes, piece.data);
      at += piece.bytes;
    }
    answer_.clear();
    transfer->finish();
    done(true);
    return finish_packet();
  }
  const std::uint64_t offset = transfer_.sector * transfer_.sector_bytes;
  BlockRequest request{dma.to_guest ? BlockRequest::Kind::kRead : BlockRequest::Kind::kWrite,
                       offset, transfer->pieces()};
  submit(std::move(request), [this, transfer, done = std::move(done)](bool ok) {
    if (ok) transfer->finish();
    done(ok);
    if (is_cd()) {
      if (ok) return finish_packet();
      cd_.report_read_error();
      return packet_error();
    }
    if (ok)
      succeed();
    else
      fail(kNoId);
  });
}

// --- Commands ---

void IdeDrive::execute(std::uint8_t code) {
  if ((status_ & (ata::kBusy | ata::kDataRequest)) && code != command::kDeviceReset) return;
  error_ = 0;
  answer_.clear();
  dma_.reset();
  if (common_command(code)) return;
  if (is_cd())
    command_on_cd(code);
  else
    command_on_disk(code);
}

bool IdeDrive::common_command(std::uint8_t code) {
  switch (code) {
    case command::kNop:
      fail(kAbort);
      return true;
    case command::kSetFeatures:
      set_features();
      return true;
    case command::kCheckPower:
    case 0x98:
      r_.count[0] = 0xff;  // active
      succeed();
      return true;
    case command::kStandbyNow:
    case command::kIdleNow:
    case command::kStandby:
    case command::kIdleTimer:
    case command::kSleep:
    case 0x94:
    case 0x95:
    case 0x96:
    case 0x97:
    case 0x99:
      succeed();
      return true;
    default:
      return false;
  }
}

void IdeDrive::set_features() {
  constexpr std::uint8_t kTransferMode = 0x03, kUltraDma = 0x40;
  switch (r_.feature[0]) {
    case kTransferMode: {
      const std::uint8_t mode = r_.count[0];
      if ((mode & 0xf8) == kUltraDma) {
        if ((mode & 7) > 5) return fail(kAbort);
        udma_mode_ = mode & 7;
      }
      return succeed();
    }
    case 0x02:  // write cache, read-ahead, power management, defaults: on or off, all the same here
    case 0x82:
    case 0xaa:
    case 0x55:
    case 0x05:
    case 0x85:
    case 0x66:
    case 0xcc:
    case 0x67:
      return succeed();
    default:
      return fail(kAbort);
  }
}

void IdeDrive::command_on_disk(std::uint8_t code) {
  using namespace command;
  const auto pio_read = [this](bool lba48, std::uint32_t block) {
    if (begin_transfer(lba48, block)) read_block();
  };
  const auto pio_write = [this](bool lba48, std::uint32_t block) {
    if (begin_transfer(lba48, block)) ask_for_block();
  };
  const auto dma = [this](bool lba48, bool to_guest) {
    if (!begin_transfer(lba48, 1)) return;
    status_ = kIdle | ata::kDataRequest;
    dma_ = {to_guest, std::uint64_t{transfer_.left} * ata::kSectorBytes};
  };
  switch (code) {
    case kIdentify:
      transfer_ = {};
      return offer(
          identify_disk(disk_->bytes() / ata::kSectorBytes, serial_, multiple_, udma_mode_),
          &IdeDrive::read_block);
    case kReadSectors:
    case kReadSectorsOnce:
      return pio_read(false, 1);
    case kReadExt:
      return pio_read(true, 1);
    case kReadMultiple:
      return multiple_ ? pio_read(false, multiple_) : fail(kAbort);
    case kReadMultipleExt:
      return multiple_ ? pio_read(true, multiple_) : fail(kAbort);
    case kWriteSectors:
    case kWriteSectorsOnce:
      return pio_write(false, 1);
    case kWriteExt:
      return pio_write(true, 1);
    case kWriteMultiple:
      return multiple_ ? pio_write(false, multiple_) : fail(kAbort);
    case kWriteMultipleExt:
      return multiple_ ? pio_write(true, multiple_) : fail(kAbort);
    case kReadDma:
    case kReadDmaOnce:
      return dma(false, true);
    case kReadDmaExt:
      return dma(true, true);
    case kWriteDma:
    case kWriteDmaOnce:
      return dma(false, false);
    case kWriteDmaExt:
      return dma(true, false);
    case kVerify:
    case kVerifyOnce:
    case kVerifyExt:
      if (begin_transfer(code == kVerifyExt, 1)) succeed();
      return;
    case kSetMultiple: {
      const std::uint8_t count = r_.count[0];
      if (count > 16 || (count & (count - 1))) return fail(kAbort);
      multiple_ = count;
      return succeed();
    }
    case kFlush:
    case kFlushExt:
      status_ = ata::kBusy;
      return submit({BlockRequest::Kind::kFlush, 0, {}, 0},
                    [this](bool ok) { return ok ? succeed() : fail(kAbort); });
    case kNativeMax:
    case kNativeMaxExt: {
      const std::uint64_t last = disk_->bytes() / ata::kSectorBytes - 1;
      const auto byte = [last](unsigned i) { return static_cast<std::uint8_t>(last >> (8 * i)); };
      r_.lba_low = {byte(0), byte(3)};
      r_.lba_mid = {byte(1), byte(4)};
      r_.lba_high = {byte(2), byte(5)};
      if (code == kNativeMax)
        r_.device = static_cast<std::uint8_t>((r_.device & 0xf0) | (byte(3) & 15));
      return succeed();
    }
    case kInitializeParameters:
    case kSeek:
      return succeed();
    default:
      if ((code & 0xf0) == 0x10) return succeed();  // RECALIBRATE
      return fail(kAbort);
  }
}

void IdeDrive::command_on_cd(std::uint8_t code) {
  switch (code) {
    case command::kIdentifyPacket:
      transfer_ = {};
      return offer(identify_cd(serial_, udma_mode_), &IdeDrive::read_block);
    case command::kPacket:
      packet_dma_ = r_.feature[0] & 1;
      ask(12, &IdeDrive::packet_received);
      phase_ = Phase::kPacket;
      set_packet_reason(false, true);
      return;
    case command::kDeviceReset:
      reset(false);
      return;
    case command::kIdentify:
    case command::kReadSectors:
      signature();  // how a host tells an ATAPI drive
      return fail(kAbort);
    default:
      return fail(kAbort);
  }
}

// --- Packets ---

// The interrupt reason: bit 0 a command, bit 1 data to the host.
void IdeDrive::set_packet_reason(bool to_host, bool is_command) {
  r_.count[0] = static_cast<std::uint8_t>((to_host ? 2 : 0) | (is_command ? 1 : 0));
}

void IdeDrive::finish_packet() {
  set_packet_reason(true, true);
  succeed();
}

void IdeDrive::packet_error() {
  set_packet_reason(true, true);
  fail(static_cast<std::uint8_t>(cd_.sense().key << 4 | kAbort));
}

void IdeDrive::packet_received() {
  std::array<std::uint8_t, 12> packet{};
  std::copy_n(buffer_.begin(), packet.size(), packet.begin());
  packet_limit_ = r_.lba_mid[0] | r_.lba_high[0] << 8;
  if (packet_limit_ == 0 || packet_limit_ == 0xffff) packet_limit_ = 0xfffe;
  auto answer = cd_.execute(packet);
  if (answer.failed) return packet_error();
  if (answer.sectors != 0) {
    transfer_ = {answer.first_sector, answer.sectors, 1, ScsiCd::kSectorBytes};
    if (packet_dma_) {
      status_ = kIdle | ata::kDataRequest;
      dma_ = {true, std::uint64_t{answer.sectors} * ScsiCd::kSectorBytes};
      return;
    }
    answer_.clear();
    answer_at_ = 0;
    return packet_data();
  }
  transfer_ = {};
  if (answer.data.empty()) return finish_packet();
  answer_ = std::move(answer.data);
  answer_at_ = 0;
  if (packet_dma_) {
    status_ = kIdle | ata::kDataRequest;
    dma_ = {true, answer_.size()};
    return;
  }
  packet_data();
}

// The next part through the data port: at most the byte count that the host gave, an even number
// but for the last.
void IdeDrive::packet_data() {
  if (answer_at_ >= answer_.size()) {
    if (transfer_.left == 0) return finish_packet();
    status_ = ata::kBusy;
    constexpr std::uint32_t kSectorsAtOnce = 16;
    const std::uint32_t count = std::min(transfer_.left, kSectorsAtOnce);
    auto data =
        std::make_shared<std::vector<std::uint8_t>>(std::size_t{count} * ScsiCd::kSectorBytes);
    BlockRequest request{BlockRequest::Kind::kRead,
                         transfer_.sector * ScsiCd::kSectorBytes,
                         {{data->data(), data->size()}}};
    return submit(std::move(request), [this, data, count](bool ok) {
      if (!ok) {
        cd_.report_read_error();
        return packet_error();
      }
      transfer_.sector += count;
      transfer_.left -= count;
      answer_ = std::move(*data);
      answer_at_ = 0;
      packet_data();
    });
  }
  std::size_t count = std::min(answer_.size() - answer_at_, packet_limit_);
  if (count < answer_.size() - answer_at_) count &= ~std::size_t{1};
  if (count == 0) count = std::min<std::size_t>(2, answer_.size() - answer_at_);
  r_.lba_mid[0] = static_cast<std::uint8_t>(count);
  r_.lba_high[0] = static_cast<std::uint8_t>(count >> 8);
  set_packet_reason(true, false);
  const auto first = answer_.begin() + static_cast<std::ptrdiff_t>(answer_at_);
  answer_at_ += count;
  offer({first, first + static_cast<std::ptrdiff_t>(count)}, &IdeDrive::packet_data);
}

}  // namespace ringshift::devices
