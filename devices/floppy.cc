// devices/floppy.cc - commands of the floppy controller.
#include "devices/floppy.h"

#include <algorithm>

namespace ringshift::devices {
namespace {

constexpr unsigned kSectorBytes = 512, kDmaChannel = 2;
constexpr std::uint16_t kStatusA = 0, kStatusB = 1, kOutput = 2, kTapeDrive = 3, kMainStatus = 4,
                        kData = 5;
constexpr std::uint8_t kNotReset = 0x04, kDmaEnable = 0x08;               // digital output
constexpr std::uint8_t kRequest = 0x80, kToHost = 0x40, kBusyBit = 0x10;  // main status
constexpr std::uint8_t kSeekEnd = 0x20, kAbnormal = 0x40, kInvalid = 0x80, kPolled = 0xc0;  // ST0
constexpr std::uint8_t kNoData = 0x04, kNotWritable = 0x02, kMissingMark = 0x01;            // ST1

namespace command {
constexpr std::uint8_t kSpecify = 0x03, kSenseDrive = 0x04, kWrite = 0x05, kRead = 0x06,
                       kRecalibrate = 0x07, kSenseInterrupt = 0x08, kReadId = 0x0a, kFormat = 0x0d,
                       kDumpRegisters = 0x0e, kSeek = 0x0f, kVersion = 0x10, kPerpendicular = 0x12,
                       kConfigure = 0x13, kLock = 0x14;
}

// Bytes of a command, by its low five bits; 0: there is no such command.
std::size_t command_bytes(std::uint8_t first) {
  switch (first & 0x1f) {
    case command::kSpecify:
      return 3;
    case command::kSenseDrive:
    case command::kRecalibrate:
    case command::kReadId:
    case command::kPerpendicular:
      return 2;
    case command::kWrite:
    case command::kRead:
      return 9;
    case command::kFormat:
      return 6;
    case command::kSeek:
      return 3;
    case command::kConfigure:
      return 4;
    default:
      return 1;
  }
}

struct Format {
  unsigned cylinders, heads, sectors;
};
constexpr std::array kFormats = std::to_array<Format>({{80, 2, 18},
                                                       {80, 2, 36},
                                                       {80, 2, 15},
                                                       {80, 2, 9},
                                                       {40, 2, 9},
                                                       {40, 2, 8},
                                                       {40, 1, 9},
                                                       {40, 1, 8},
                                                       {80, 2, 21},
                                                       {82, 2, 21},
                                                       {83, 2, 21}});

}  // namespace

Floppy::Floppy(guest::PhysicalMemory& memory, IsaDma& dma, Line& interrupt)
    : memory_(memory),
      dma_(dma),
      interrupt_(interrupt),
      ports_([this](std::uint16_t offset) { return read(offset); },
             [this](std::uint16_t offset, std::uint8_t value) { write(offset, value); }),
      dir_port_(
          // Digital input: whether the disk was changed.
          [this](std::uint16_t) -> std::uint8_t { return selected().changed ? 0x80 : 0x00; },
          [this](std::uint16_t, std::uint8_t value) { data_rate_ = value & 3; }) {}

// An image of another size than disks have is a shorter 1.44 MB or 2.88 MB disk.
void Floppy::attach(unsigned index, BlockDevice* disk) {
  Drive& drive = drives_.at(index);
  drive.present = true;
  drive.disk = disk;
  if (!disk) return;
  const std::uint64_t sectors = disk->bytes() / kSectorBytes;
  for (const Format& f : kFormats)
    if (sectors == std::uint64_t{f.cylinders} * f.heads * f.sectors) {
      drive.geometry = {f.cylinders, f.heads, f.sectors};
      return;
    }
  if (sectors > 2880) drive.geometry.sectors = 36;
}

std::uint8_t Floppy::drive_type(unsigned index) const {
  const Drive& drive = drives_.at(index);
  if (!drive.present) return 0;
  return drive.geometry.sectors > 21 ? kType288 : kType144;
}

void Floppy::set_interrupt(bool level) {
  level = level && (output_ & kDmaEnable);
  if (level == line_) return;
  line_ = level;
  interrupt_.set(level);
}

void Floppy::reset() {
  ++*epoch_;
  phase_ = Phase::kCommand;
  command_.clear();
  result_.clear();
  resets_to_sense_ = 4;
  set_interrupt(true);
}

std::uint8_t Floppy::read(std::uint16_t offset) {
  switch (offset) {
    case kStatusA:
    case kStatusB:
      return 0;
    case kOutput:
      return output_;
    case kTapeDrive:
      return 0x20;
    case kMainStatus:
      if (!(output_ & kNotReset)) return 0;
      switch (phase_) {
        case Phase::kCommand:
          return static_cast<std::uint8_t>(kRequest | (command_.empty() ? 0 : kBusyBit));
        case Phase::kBusy:
          return kBusyBit;
        case Phase::kResult:
          return kRequest | kToHost | kBusyBit;
      }
      return 0;
    case kData:
      return read_data();
    default:
      return 0xff;
  }
}

void Floppy::write(std::uint16_t offset, std::uint8_t value) {
  if (offset == kOutput) return write_output(value);
  if (offset == kMainStatus) {  // data rate select, whose bit 7 is a reset
    data_rate_ = value & 3;
    if (value & 0x80) reset();
    return;
  }
  if (offset == kData) write_data(value);
}

void Floppy::write_output(std::uint8_t value) {
  const bool leaves_reset = !(output_ & kNotReset) && (value & kNotReset);
  output_ = value;
  drive_ = value & 1;
  if (!(value & kNotReset)) {
    ++*epoch_;
    phase_ = Phase::kCommand;
    command_.clear();
    set_interrupt(false);
  } else if (leaves_reset) {
    reset();
  }
}

void Floppy::write_data(std::uint8_t value) {
  if (phase_ != Phase::kCommand || !(output_ & kNotReset)) return;
  command_.push_back(value);
  if (command_.size() < command_bytes(command_[0])) return;
  execute();
}

std::uint8_t Floppy::read_data() {
  if (phase_ != Phase::kResult) return 0;
  set_interrupt(false);
  const std::uint8_t value = result_[result_at_++];
  if (result_at_ >= result_.size()) {
    phase_ = Phase::kCommand;
    command_.clear();
  }
  return value;
}

void Floppy::answer(std::vector<std::uint8_t> result, bool interrupt) {
  result_ = std::move(result);
  result_at_ = 0;
  phase_ = Phase::kResult;
  if (interrupt) set_interrupt(true);
}

void Floppy::finish_seek(std::uint8_t cylinder) {
  Drive& drive = selected();
  drive.cylinder = cylinder;
  if (drive.disk) drive.changed = false;
  status0_ = static_cast<std::uint8_t>(kSeekEnd | drive_ | (drive.present ? 0 : kAbnormal | 0x10));
  phase_ = Phase::kCommand;
  command_.clear();
  set_interrupt(true);
}

void Floppy::execute() {
  const std::vector<std::uint8_t> c = command_;
  const auto choose = [&](std::uint8_t bits) {
    drive_ = bits & 1;
    head_ = bits >> 2 & 1;
  };
  const auto done = [this] {
    phase_ = Phase::kCommand;
    command_.clear();
  };
  switch (c[0] & 0x1f) {
    case command::kSpecify:
    case command::kConfigure:
    case command::kPerpendicular:
      return done();
    case command::kSenseDrive:
      choose(c[1]);
      return answer({static_cast<std::uint8_t>(
                        0x28 | drive_ | head_ << 2 | (selected().cylinder == 0 ? 0x10 : 0) |
                        (selected().disk && selected().disk->read_only() ? 0x40 : 0))},
                    false);
    case command::kRecalibrate:
      choose(c[1] & 3);
      return finish_seek(0);
    case command::kSeek:
      choose(c[1]);
      return finish_seek(c[2]);
    case command::kSenseInterrupt: {
      set_interrupt(false);
      if (resets_to_sense_ != 0) {
        const unsigned drive = 4 - resets_to_sense_--;
        return answer({static_cast<std::uint8_t>(kPolled | drive), 0}, false);
      }
      const std::uint8_t st0 = std::exchange(status0_, kInvalid);
      if (st0 == kInvalid) return answer({kInvalid}, false);
      return answer({st0, selected().cylinder}, false);
    }
    case command::kReadId:
      choose(c[1]);
      cylinder_ = selected().cylinder;
      sector_ = 1;
      if (!selected().disk) return end_transfer(kAbnormal, kMissingMark);
      return end_transfer(0, 0);
    case command::kRead:
    case command::kWrite:
      choose(c[1]);
      cylinder_ = c[2];
      head_ = c[3] & 1;
      sector_ = c[4];
      return transfer((c[0] & 0x1f) == command::kWrite);
    case command::kFormat:
      choose(c[1]);
      cylinder_ = selected().cylinder;
      sector_ = 1;
      return end_transfer(selected().disk ? 0 : kAbnormal, 0);
    case command::kDumpRegisters:
      return answer({drives_[0].cylinder, drives_[1].cylinder, 0, 0, 0xaf, 0x02,
                     static_cast<std::uint8_t>(selected().geometry.sectors), 0, 0x57, 0},
                    false);
    case command::kVersion:
      return answer({0x90}, false);  // an enhanced controller
    case command::kLock:
      return answer({static_cast<std::uint8_t>(c[0] & 0x80 ? 0x10 : 0)}, false);
    default:
      status0_ = kInvalid;
      return answer({kInvalid}, false);
  }
}

void Floppy::end_transfer(std::uint8_t st0, std::uint8_t st1) {
  const auto first = static_cast<std::uint8_t>(st0 | drive_ | head_ << 2);
  status0_ = first;
  answer({first, st1, 0, static_cast<std::uint8_t>(cylinder_), static_cast<std::uint8_t>(head_),
          static_cast<std::uint8_t>(sector_), 2},
         true);
}

void Floppy::transfer(bool write) {
  Drive& drive = selected();
  const Geometry& g = drive.geometry;
  if (!drive.disk || cylinder_ >= g.cylinders || head_ >= g.heads || sector_ == 0 ||
      sector_ > g.sectors)
    return end_transfer(kAbnormal, drive.disk ? kNoData : kMissingMark);
  if (write && drive.disk->read_only()) return end_transfer(kAbnormal, kNotWritable);
  phase_ = Phase::kBusy;
  move_sectors(write);
}

// All that the DMA channel asks for, as far as the track goes; with the multi-track bit both sides.
void Floppy::move_sectors(bool write) {
  Drive& drive = selected();
  const Geometry& g = drive.geometry;
  const IsaDma::Window window = dma_.window(kDmaChannel);
  if (window.range.bytes < kSectorBytes || window.to_memory == write)
    return end_transfer(kAbnormal, 0x10);  // overrun
  const bool both_sides = command_[0] & 0x80;
  const unsigned last_sector = std::min<unsigned>(command_[6], g.sectors);
  unsigned left = last_sector >= sector_ ? last_sector - sector_ + 1 : 0;
  if (both_sides && head_ == 0) left += last_sector;
  const auto count = std::min<std::uint64_t>(left, window.range.bytes / kSectorBytes);
  if (count == 0) return end_transfer(kAbnormal, 0x80);  // end of cylinder
  const std::uint64_t at = (std::uint64_t{cylinder_} * g.heads + head_) * g.sectors + sector_ - 1;
  const std::uint64_t bytes = count * kSectorBytes;
  if (at * kSectorBytes + bytes > drive.disk->bytes()) return end_transfer(kAbnormal, kNoData);
  auto moved = std::make_shared<GuestTransfer>(
      memory_, std::vector<GuestRange>{{window.range.start, bytes}},
      write ? GuestTransfer::Direction::kFromGuest : GuestTransfer::Direction::kToGuest);
  BlockRequest request{write ? BlockRequest::Kind::kWrite : BlockRequest::Kind::kRead,
                       at * kSectorBytes, moved->pieces(), 0};
  drive.disk->submit(std::move(request), [this, moved, count, alive = std::weak_ptr(epoch_),
                                          epoch = *epoch_, last_sector](bool worked) {
    const auto now = alive.lock();
    if (!now || *now != epoch) return;
    if (!worked) return end_transfer(kAbnormal, kNoData);
    moved->finish();
    dma_.advance(kDmaChannel, static_cast<std::uint32_t>(count * kSectorBytes));
    for (std::uint64_t i = 0; i < count; ++i)
      if (++sector_ > last_sector) {
        sector_ = 1;
        if ((command_[0] & 0x80) && head_ == 0)
          head_ = 1;
        else
          head_ = 0, ++cylinder_;
      }
    end_transfer(0, 0);
  });
}

}  // namespace ringshift::devices
