// devices/scsi_cd.cc - what a read-only disc drive answers.
#include "devices/scsi_cd.h"

#include <algorithm>
#include <string_view>

namespace ringshift::devices {
namespace {

using Bytes = std::vector<std::uint8_t>;
using Command = std::span<const std::uint8_t, 12>;

constexpr ScsiSense kNoSense{}, kNoDisc{0x02, 0x3a, 0x00}, kUnknownCommand{0x05, 0x20, 0x00},
    kOutOfRange{0x05, 0x21, 0x00}, kInvalidField{0x05, 0x24, 0x00};
constexpr std::uint8_t kCdDevice = 0x05, kRemovable = 0x80;
constexpr unsigned kLeadInFrames = 150;
constexpr std::uint32_t kMostSectors = 0xffff;  // of one command

namespace op {
constexpr std::uint8_t kTestUnitReady = 0x00, kRequestSense = 0x03, kInquiry = 0x12,
                       kModeSense6 = 0x1a, kStartStop = 0x1b, kPreventRemoval = 0x1e,
                       kReadCapacity = 0x25, kRead10 = 0x28, kSeek = 0x2b, kReadSubchannel = 0x42,
                       kReadToc = 0x43, kGetConfiguration = 0x46, kEventStatus = 0x4a,
                       kReadDiscInformation = 0x51, kModeSense10 = 0x5a, kRead12 = 0xa8,
                       kSetSpeed = 0xbb, kMechanismStatus = 0xbd, kReadCd = 0xbe;
}

std::uint32_t big(Command c, std::size_t at, unsigned bytes) {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < bytes; ++i) value = value << 8 | c[at + i];
  return value;
}
void put(Bytes& out, std::uint64_t value, unsigned bytes) {
  while (bytes--)
    out.push_back(bytes < sizeof value ? static_cast<std::uint8_t>(value >> (8 * bytes)) : 0);
}
void put(Bytes& out, std::string_view text, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i)
    out.push_back(static_cast<std::uint8_t>(i < text.size() ? text[i] : ' '));
}
ScsiCd::Answer answer(Bytes data, std::size_t most) {
  data.resize(std::min(data.size(), most));
  return {.data = std::move(data)};
}
// Minutes, seconds and frames, after the lead-in.
void put_address(Bytes& out, std::uint32_t sector, bool msf) {
  if (!msf) return put(out, sector, 4);
  const std::uint32_t frames = sector + kLeadInFrames;
  put(out, 0, 1);
  put(out, frames / 75 / 60, 1);
  put(out, frames / 75 % 60, 1);
  put(out, frames % 75, 1);
}

}  // namespace

ScsiCd::Answer ScsiCd::fail(const ScsiSense& sense) {
  sense_ = sense;
  return {.failed = true};
}

ScsiCd::Answer ScsiCd::read(std::uint64_t first, std::uint32_t count) {
  if (!disc_) return fail(kNoDisc);
  if (first + count > sector_count() || count > kMostSectors) return fail(kOutOfRange);
  return {.first_sector = first, .sectors = count};
}

ScsiCd::Answer ScsiCd::inquiry(Command c) const {
  const std::size_t most = big(c, 3, 2);
  Bytes out;
  if (c[1] & 1) {  // vital product data: none but the list of pages
    put(out, kCdDevice, 1);
    put(out, 0, 2);
    put(out, 1, 1);
    put(out, 0, 1);
    return answer(std::move(out), most);
  }
  put(out, kCdDevice, 1);
  put(out, kRemovable, 1);
  put(out, 0x05, 1);  // SPC-3
  put(out, 0x21, 1);  // response format 2, and ATAPI's
  put(out, 31, 1);
  put(out, 0, 3);
  put(out, "RINGSHFT", 8);
  put(out, "DVD-ROM", 16);
  put(out, "1.0", 4);
  return answer(std::move(out), most);
}

// SPC "Fixed format sense data"; asking forgets.
ScsiCd::Answer ScsiCd::request_sense(Command c) {
  Bytes out;
  put(out, 0x70, 1);
  put(out, 0, 1);
  put(out, sense_.key, 1);
  put(out, 0, 4);
  put(out, 10, 1);
  put(out, 0, 4);
  put(out, sense_.code, 1);
  put(out, sense_.qualifier, 1);
  put(out, 0, 4);
  sense_ = kNoSense;
  return answer(std::move(out), c[4]);
}

ScsiCd::Answer ScsiCd::capacity() {
  if (!disc_) return fail(kNoDisc);
  Bytes out;
  put(out, sector_count() - 1, 4);
  put(out, kSectorBytes, 4);
  return answer(std::move(out), 8);
}

// One data track, from sector 0.
ScsiCd::Answer ScsiCd::table_of_contents(Command c) {
  if (!disc_) return fail(kNoDisc);
  const bool msf = c[1] & 2;
  const std::size_t most = big(c, 7, 2);
  const unsigned format = c[2] & 15 ? c[2] & 15 : c[9] >> 6;
  constexpr std::uint8_t kDataTrack = 0x14, kLeadOut = 0xaa;
  Bytes out;
  if (format == 0) {
    if (c[6] > 1 && c[6] != kLeadOut) return fail(kInvalidField);
    const bool with_track = c[6] <= 1;
    put(out, with_track ? 18 : 10, 2);
    put(out, 0x0101, 2);  // first and last track
    for (const bool lead_out : {false, true}) {
      if (!lead_out && !with_track) continue;
      put(out, 0, 1);
      put(out, kDataTrack, 1);
      put(out, lead_out ? kLeadOut : 1, 1);
      put(out, 0, 1);
      put_address(out, lead_out ? sector_count() : 0, msf);
    }
  } else if (format == 1) {
    put(out, 10, 2);
    put(out, 0x0101, 2);
    put(out, 0, 1);
    put(out, kDataTrack, 1);
    put(out, 1, 1);
    put(out, 0, 1);
    put_address(out, 0, msf);
  } else {
    return fail(kInvalidField);
  }
  return answer(std::move(out), most);
}

ScsiCd::Answer ScsiCd::mode_sense(Command c, bool six) {
  const std::size_t most = six ? c[4] : big(c, 7, 2);
  const unsigned page = c[2] & 0x3f;
  Bytes pages;
  if (page == 0x01 || page == 0x3f) {  // error recovery
    put(pages, 0x0106, 2);
    put(pages, 0, 6);
  }
  if (page == 0x2a || page == 0x3f) {  // capabilities: reads, no audio, a tray, no lock
    put(pages, 0x2a14, 2);
    put(pages, 0x3b00, 2);  // CD-R, CD-RW, method 2, DVD-ROM, DVD-R
    put(pages, 0x7100, 2);
    put(pages, 0x2800, 2);
    put(pages, 706 * 4, 2);
    put(pages, 0, 2);
    put(pages, 512, 2);  // buffer, KiB
    put(pages, 706 * 4, 2);
    put(pages, 0, 6);
  }
  if (pages.empty()) return fail(kInvalidField);
  const std::uint8_t medium = disc_ ? 0x01 : 0x70;
  Bytes out;
  if (six) {
    put(out, pages.size() + 3, 1);
    put(out, medium, 1);
    put(out, 0, 2);
  } else {
    put(out, pages.size() + 6, 2);
    put(out, medium, 1);
    put(out, 0, 5);
  }
  out.insert(out.end(), pages.begin(), pages.end());
  return answer(std::move(out), most);
}

// Profiles DVD-ROM and CD-ROM, the core, and the removable medium.
ScsiCd::Answer ScsiCd::configuration(Command c) const {
  constexpr std::uint32_t kCdSectors = 1'151'850 / 3;  // what fits on a CD, roughly 80 minutes
  const unsigned profile = !disc_ ? 0 : sector_count() > kCdSectors ? 0x10 : 0x08;
  Bytes features;
  put(features, 0x0000, 2);
  put(features, 0x03, 1);
  put(features, 8, 1);
  put(features, 0x0010, 2);
  put(features, profile == 0x10, 1);
  put(features, 0, 1);
  put(features, 0x0008, 2);
  put(features, profile == 0x08, 1);
  put(features, 0, 1);
  put(features, 0x0001, 2);
  put(features, 0x0b, 1);
  put(features, 8, 1);
  put(features, 2, 4);  // ATAPI
  put(features, 1, 1);
  put(features, 0, 3);
  put(features, 0x0003, 2);
  put(features, 0x07, 1);
  put(features, 4, 1);
  put(features, 0x28, 1);
  put(features, 0, 3);
  Bytes out;
  put(out, features.size() + 4, 4);
  put(out, 0, 2);
  put(out, profile, 2);
  out.insert(out.end(), features.begin(), features.end());
  return answer(std::move(out), big(c, 7, 2));
}

ScsiCd::Answer ScsiCd::execute(Command c) {
  if (c[0] != op::kRequestSense) sense_ = kNoSense;
  switch (c[0]) {
    case op::kTestUnitReady:
      return disc_ ? Answer{} : fail(kNoDisc);
    case op::kRequestSense:
      return request_sense(c);
    case op::kInquiry:
      return inquiry(c);
    case op::kModeSense6:
      return mode_sense(c, true);
    case op::kModeSense10:
      return mode_sense(c, false);
    case op::kStartStop:
    case op::kPreventRemoval:
    case op::kSetSpeed:
      return {};
    case op::kSeek:
      return big(c, 2, 4) < sector_count() ? Answer{} : fail(disc_ ? kOutOfRange : kNoDisc);
    case op::kReadCapacity:
      return capacity();
    case op::kRead10:
      return read(big(c, 2, 4), big(c, 7, 2));
    case op::kRead12:
      return read(big(c, 2, 4), big(c, 6, 4));
    case op::kReadCd:
      // Only the user's data, or nothing at all.
      if ((c[9] & 0xf8) == 0) return {};
      return (c[9] & 0xf8) == 0x10 ? read(big(c, 2, 4), big(c, 6, 3)) : fail(kInvalidField);
    case op::kReadToc:
      return table_of_contents(c);
    case op::kGetConfiguration:
      return configuration(c);
    case op::kEventStatus: {
      if (!(c[1] & 1)) return fail(kInvalidField);  // only polling
      Bytes out;
      if (c[4] & 0x10) {
        put(out, 0x0006, 2);
        put(out, 0x0410, 2);  // media class, no event
        put(out, 0x00, 1);
        put(out, disc_ ? 0x02 : 0x00, 1);
        put(out, 0, 2);
      } else {
        put(out, 0x0002, 2);
        put(out, 0x8010, 2);
      }
      return answer(std::move(out), big(c, 7, 2));
    }
    case op::kReadDiscInformation: {
      if (!disc_) return fail(kNoDisc);
      Bytes out;
      put(out, 32, 2);
      put(out, 0x0e, 1);        // complete, finalized
      put(out, 0x01010101, 4);  // tracks and sessions
      put(out, 0x20, 1);
      put(out, 0, 26);
      return answer(std::move(out), big(c, 7, 2));
    }
    case op::kMechanismStatus: {
      Bytes out;
      put(out, 0, 2);
      put(out, 0, 3);
      put(out, 1, 1);
      put(out, 0, 2);
      return answer(std::move(out), big(c, 8, 2));
    }
    default:
      return fail(kUnknownCommand);
  }
}

}  // namespace ringshift::devices
