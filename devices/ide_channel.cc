// devices/ide_channel.cc - registers of an IDE channel and its bus master.
#include "devices/ide_channel.h"

#include <algorithm>
#include <utility>

namespace ringshift::devices {
namespace {

// The command block.
constexpr std::uint16_t kData = 0, kFeature = 1, kCount = 2, kLbaLow = 3, kLbaMid = 4, kLbaHigh = 5,
                        kDevice = 6, kCommand = 7;
constexpr std::uint8_t kSecondDrive = 0x10;

namespace control {
constexpr std::uint8_t kNoInterrupt = 0x02, kReset = 0x04, kHighOrder = 0x80;
}
namespace dma {
constexpr std::uint8_t kStart = 0x01, kToMemory = 0x08;  // command
constexpr std::uint8_t kActive = 0x01, kError = 0x02, kInterrupt = 0x04, kCapable = 0x60;  // status
constexpr std::uint16_t kCommandAt = 0, kStatusAt = 2, kTableAt = 4;
constexpr std::size_t kMostEntries = 8192;  // 64 KiB of table
}  // namespace dma

}  // namespace

IdeChannel::IdeChannel(guest::PhysicalMemory& memory, Line& interrupt)
    : memory_(memory),
      interrupt_(interrupt),
      command_ports_(
          [this](std::uint16_t offset, unsigned size) { return read_command(offset, size); },
          [this](std::uint16_t offset, unsigned size, std::uint32_t value) {
            write_command(offset, size, value);
          }),
      control_port_(
          // Alternate status: as the status, but the interrupt stays.
          [this](std::uint16_t) -> std::uint8_t { return selected() ? selected()->status() : 0; },
          [this](std::uint16_t, std::uint8_t value) { write_control(value); }) {}

void IdeChannel::attach(unsigned drive, IdeDrive::Kind kind, BlockDevice* disk,
                        std::string serial) {
  drives_.at(drive) = std::make_unique<IdeDrive>(kind, disk, std::move(serial),
                                                 [this, drive] { drive_wants_interrupt(drive); });
}

void IdeChannel::reset() {
  for (auto& drive : drives_)
    if (drive) drive->reset(true);
  drive_index_ = 0;
  control_ = 0;
  interrupt_pending_ = false;
  dma_command_ = dma_status_ = 0;
  dma_table_ = 0;
  set_line(false);
}

// --- Interrupts ---

void IdeChannel::set_line(bool level) {
  level = level && !(control_ & control::kNoInterrupt);
  if (level == line_) return;
  line_ = level;
  interrupt_.set(level);
}

void IdeChannel::drive_wants_interrupt(unsigned drive) {
  if (drive != drive_index_) return;
  interrupt_pending_ = true;
  dma_status_ |= dma::kInterrupt;
  set_line(true);
}

std::uint8_t IdeChannel::status() {
  interrupt_pending_ = false;
  set_line(false);
  return selected() ? selected()->status() : 0;
}

// --- The command block ---

std::uint32_t IdeChannel::read_command(std::uint16_t offset, unsigned size) {
  IdeDrive* drive = selected();
  if (offset == kData && size >= 2) {
    if (!drive) return static_cast<std::uint32_t>(all_ones(size));
    std::uint32_t value = drive->read_data();
    if (size == 4) value |= std::uint32_t{drive->read_data()} << 16;
    return value;
  }
  if (size != 1) return static_cast<std::uint32_t>(all_ones(size));
  // Without the drive, the other one answers for it; without any, the bus is pulled low.
  if (offset == kCommand) return status();
  if (!drive) drive = drives_[1 - drive_index_].get();
  if (!drive) return offset == kData ? 0xff : 0;
  const AtaRegisters& r = drive->registers();
  const unsigned which = control_ & control::kHighOrder ? 1 : 0;
  switch (offset) {
    case kFeature:
      return selected() ? drive->error() : 0;
    case kCount:
      return r.count[which];
    case kLbaLow:
      return r.lba_low[which];
    case kLbaMid:
      return r.lba_mid[which];
    case kLbaHigh:
      return r.lba_high[which];
    case kDevice:
      return static_cast<std::uint32_t>(r.device | 0xa0 | (drive_index_ ? kSecondDrive : 0));
    default:
      return 0xff;
  }
}

void IdeChannel::write_command(std::uint16_t offset, unsigned size, std::uint32_t value) {
  if (offset == kData && size >= 2) {
    if (!selected()) return;
    selected()->write_data(static_cast<std::uint16_t>(value));
    if (size == 4) selected()->write_data(static_cast<std::uint16_t>(value >> 16));
    return;
  }
  if (size == 1 && offset != kData) write_register(offset, static_cast<std::uint8_t>(value));
}

void IdeChannel::write_register(std::uint16_t offset, std::uint8_t value) {
  control_ &= static_cast<std::uint8_t>(~control::kHighOrder);
  const auto push = [value](std::array<std::uint8_t, 2>& reg) {
    reg[1] = reg[0];
    reg[0] = value;
  };
  if (offset == kCommand) {
    interrupt_pending_ = false;
    set_line(false);
    if (value == 0x90) {  // EXECUTE DEVICE DIAGNOSTIC is both drives'
      for (auto& drive : drives_)
        if (drive) drive->reset(true);
      drive_index_ = 0;
      drive_wants_interrupt(0);
      return;
    }
    if (selected()) selected()->execute(value);
    start_dma_if_ready();
    return;
  }
  if (offset == kDevice) drive_index_ = value & kSecondDrive ? 1 : 0;
  for (auto& drive : drives_) {
    if (!drive) continue;
    AtaRegisters& r = drive->registers();
    switch (offset) {
      case kFeature:
        push(r.feature);
        break;
      case kCount:
        push(r.count);
        break;
      case kLbaLow:
        push(r.lba_low);
        break;
      case kLbaMid:
        push(r.lba_mid);
        break;
      case kLbaHigh:
        push(r.lba_high);
        break;
      case kDevice:
        r.device = value;
        break;
      default:
        break;
    }
  }
}

void IdeChannel::write_control(std::uint8_t value) {
  const bool falls = (control_ & control::kReset) && !(value & control::kReset);
  control_ = value;
  if (falls) {
    for (auto& drive : drives_)
      if (drive) drive->reset(true);
    drive_index_ = 0;
    interrupt_pending_ = false;
  }
  set_line(interrupt_pending_);
}

// --- The bus master ---

std::uint8_t IdeChannel::read_bus_master(std::uint16_t offset) const {
  if (offset == dma::kCommandAt) return dma_command_;
  if (offset == dma::kStatusAt) return dma_status_;
  if (offset >= dma::kTableAt && offset < dma::kTableAt + 4)
    return static_cast<std::uint8_t>(dma_table_ >> (8 * (offset - dma::kTableAt)));
  return 0;
}

void IdeChannel::write_bus_master(std::uint16_t offset, unsigned size, std::uint32_t value) {
  for (unsigned i = 0; i < size; ++i) {
    const auto at = static_cast<std::uint16_t>(offset + i);
    const auto byte = static_cast<std::uint8_t>(value >> (8 * i));
    if (at == dma::kCommandAt) {
      const bool starts = (byte & dma::kStart) && !(dma_command_ & dma::kStart);
      dma_command_ = byte & (dma::kStart | dma::kToMemory);
      if (starts) dma_status_ |= dma::kActive;
      if (!(byte & dma::kStart)) dma_status_ &= static_cast<std::uint8_t>(~dma::kActive);
      start_dma_if_ready();
    } else if (at == dma::kStatusAt) {
      const std::uint8_t cleared = byte & (dma::kError | dma::kInterrupt);
      dma_status_ = static_cast<std::uint8_t>((dma_status_ & ~cleared & ~dma::kCapable) |
                                              (byte & dma::kCapable));
    } else if (at >= dma::kTableAt && at < dma::kTableAt + 4) {
      const unsigned shift = 8u * (at - dma::kTableAt);
      dma_table_ = (dma_table_ & ~(0xffu << shift)) | std::uint32_t{byte} << shift;
      dma_table_ &= ~3u;
    }
  }
}

// "Physical Region Descriptor": address, a count of which 0 is 64 KiB, the end in bit 31.
std::vector<GuestRange> IdeChannel::read_table() const {
  constexpr std::uint32_t kEnd = 0x80000000;
  std::vector<GuestRange> ranges;
  for (std::size_t i = 0; i < dma::kMostEntries; ++i) {
    const std::uint32_t address = memory_.load<std::uint32_t>({dma_table_ + i * 8});
    const std::uint32_t word = memory_.load<std::uint32_t>({dma_table_ + i * 8 + 4});
    const std::uint32_t bytes = word & 0xfffe;
    ranges.push_back({address & ~1u, bytes ? bytes : 0x10000});
    if (word & kEnd) break;
  }
  return ranges;
}

void IdeChannel::start_dma_if_ready() {
  IdeDrive* drive = selected();
  if (!(dma_command_ & dma::kStart) || !(dma_status_ & dma::kActive) || !drive) return;
  const IdeDma* pending = drive->pending_dma();
  if (!pending || pending->to_guest != ((dma_command_ & dma::kToMemory) != 0)) return;
  drive->run_dma(memory_, read_table(), [this](bool worked) {
    dma_status_ &= static_cast<std::uint8_t>(~dma::kActive);
    if (!worked) dma_status_ |= dma::kError;
  });
}

}  // namespace ringshift::devices
