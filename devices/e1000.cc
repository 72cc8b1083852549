// devices/e1000.cc - registers, EEPROM, PHY and descriptor rings of the 82540EM.
#include "devices/e1000.h"

#include <algorithm>
#include <utility>

#include "devices/byte_ports.h"

namespace ringshift::devices {
namespace {

constexpr std::uint32_t kBarBytes = 0x20000, kPortBytes = 64;
namespace reg {
constexpr std::uint32_t kControl = 0x0000, kStatus = 0x0008, kEecd = 0x0010, kEepromRead = 0x0014,
                        kPhy = 0x0020, kCauseRead = 0x00c0, kCauseSet = 0x00c8, kMaskSet = 0x00d0,
                        kMaskClear = 0x00d8, kReceiveControl = 0x0100, kTransmitControl = 0x0400,
                        kReceiveRing = 0x2800, kTransmitRing = 0x3800, kMulticast = 0x5200,
                        kMulticastEnd = 0x5400, kAddressLow = 0x5400, kAddressHigh = 0x5404;
}
namespace eecd {
constexpr std::uint32_t kClock = 1, kSelect = 2, kIn = 4, kOut = 8, kRequest = 0x40,
                        kGranted = 0x80, kPresent = 0x100;
}
namespace cause {
constexpr std::uint32_t kTransmitted = 1 << 0, kQueueEmpty = 1 << 1, kLink = 1 << 2,
                        kReceived = 1 << 7, kPhy = 1 << 9;
}
constexpr std::uint32_t kControlReset = 1u << 26, kPhyReset = 1u << 31;
constexpr std::uint32_t kStatusValue = 0x80080783;  // full duplex, link up, 1000 Mb/s, bus type
constexpr std::uint32_t kReceiveEnable = 1 << 1, kUnicastAll = 1 << 3, kMulticastAll = 1 << 4,
                        kBroadcast = 1 << 15, kStripChecksum = 1 << 26, kTransmitEnable = 1 << 1;
constexpr std::uint8_t kEndOfFrame = 0x01, kReportStatus = 0x08, kExtended = 0x20, kSegment = 0x04;
constexpr std::uint8_t kDone = 0x01, kLastOfFrame = 0x02;
constexpr std::size_t kMostFrame = 64 << 10, kLeastFrame = 60;

std::uint64_t little(std::span<const std::uint8_t> bytes, std::size_t at, unsigned count) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < count; ++i) value |= std::uint64_t{bytes[at + i]} << (8 * i);
  return value;
}

// The sum of big-endian words that the Internet's checksums are made of.
std::uint32_t word_sum(std::span<const std::uint8_t> bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) sum += bytes[i] << (i % 2 ? 0 : 8);
  return sum;
}
void put_checksum(std::vector<std::uint8_t>& frame, std::size_t start, std::size_t at,
                  std::size_t end) {
  end = end == 0 ? frame.size() : std::min(end + 1, frame.size());
  if (start >= end || at + 2 > frame.size()) return;
  std::uint32_t sum = word_sum(std::span(frame).subspan(start, end - start));
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  frame[at] = static_cast<std::uint8_t>(~sum >> 8);
  frame[at + 1] = static_cast<std::uint8_t>(~sum);
}
void put_word(std::vector<std::uint8_t>& frame, std::size_t at, std::size_t value) {
  if (at + 2 > frame.size()) return;
  frame[at] = static_cast<std::uint8_t>(value >> 8);
  frame[at + 1] = static_cast<std::uint8_t>(value);
}

}  // namespace

E1000::E1000(guest::PhysicalMemory& memory, NetBackend& net,
             const std::array<std::uint8_t, 6>& address)
    : PciDevice({.vendor = 0x8086,
                 .device = 0x100e,
                 .class_code = 0x020000,
                 .revision = 3,
                 .subsystem_vendor = 0x1af4,
                 .subsystem = 0x1100}),
      memory_(memory),
      net_(net),
      address_(address),
      // IOADDR and IODATA.
      ports_(
          [this](std::uint16_t offset, unsigned) -> std::uint32_t {
            return offset == 0 ? port_address_ : offset == 4 ? read(port_address_) : 0;
          },
          [this](std::uint16_t offset, unsigned, std::uint32_t value) {
            if (offset == 0) port_address_ = value;
            if (offset == 4) write(port_address_, value);
          }) {
  set_interrupt_pin(1);
  add_memory_bar(0, kBarBytes, registers_);
  add_port_bar(1, kPortBytes, ports_);
  net_.set_receiver([this](std::span<const std::uint8_t> frame) { return receive(frame); });
  reset_card();
}

E1000::~E1000() { net_.set_receiver({}); }

void E1000::reset() {
  PciDevice::reset();
  reset_card();
}

void E1000::reset_card() {
  stored_.clear();
  control_ = interrupt_cause_ = interrupt_mask_ = eeprom_read_ = phy_access_ = 0;
  receive_control_ = transmit_control_ = 0;
  receive_ = transmit_ = {};
  frame_.clear();
  context_ = {};
  serial_ = {};
  phy_ = {};
  phy_[0] = 0x1140;  // auto-negotiation on
  phy_[1] = 0x796d;  // and done, link up
  phy_[2] = 0x0141;  // Marvell 88E1011
  phy_[3] = 0x0c20;
  phy_[4] = 0x0de1;
  phy_[5] = 0x01e1;
  phy_[9] = 0x0e00;
  phy_[10] = 0x3c00;
  phy_[17] = 0xac00;  // 1000 Mb/s, resolved
  // The card loads its address from the EEPROM.
  stored_[reg::kAddressLow] = static_cast<std::uint32_t>(little(address_, 0, 4));
  stored_[reg::kAddressHigh] = static_cast<std::uint32_t>(little(address_, 4, 2)) | 0x80000000;
  update_interrupt();
}

// Address, identity, and a checksum that makes the words add up to BABAH.
std::uint16_t E1000::eeprom(unsigned word) const {
  constexpr unsigned kChecksum = 0x3f;
  constexpr std::uint16_t kSum = 0xbaba;
  if (word < 3) return static_cast<std::uint16_t>(little(address_, word * 2, 2));
  switch (word) {
    case 0x0a:
      return 0x448b;
    case 0x0b:
      return 0x1100;
    case 0x0c:
      return 0x1af4;
    case 0x0d:
      return 0x100e;
    case 0x0e:
      return 0x8086;
    case kChecksum: {
      std::uint16_t sum = 0;
      for (unsigned i = 0; i < kChecksum; ++i) sum = static_cast<std::uint16_t>(sum + eeprom(i));
      return static_cast<std::uint16_t>(kSum - sum);
    }
    default:
      return 0;
  }
}

// "EEPROM/Flash Control & Data Register", "Microwire": a start bit, two of operation and six of
// address go in at rising edges of the clock, most significant first; falling edges bring the
// word's bits out.
void E1000::write_eeprom_pins(std::uint32_t value) {
  constexpr std::uint32_t kPins = eecd::kClock | eecd::kSelect | eecd::kIn | eecd::kRequest;
  constexpr unsigned kCommandBits = 9, kReadOperation = 6, kWords = 64;
  const std::uint32_t before = std::exchange(serial_.pins, value & kPins);
  if (!(value & eecd::kSelect)) {
    serial_ = {.pins = serial_.pins};
    return;
  }
  if ((before & eecd::kClock) == (value & eecd::kClock)) return;
  if (!(value & eecd::kClock)) {
    ++serial_.bits_out;
    return;
  }
  serial_.in = serial_.in << 1 | (value & eecd::kIn ? 1 : 0);
  if (++serial_.bits_in != kCommandBits) return;
  serial_.address = serial_.in % kWords;
  serial_.reading = serial_.in / kWords == kReadOperation;
  serial_.bits_out = -1;
}

bool E1000::eeprom_output() const {
  if (!serial_.reading || serial_.bits_out < 0) return true;
  const auto out = static_cast<unsigned>(serial_.bits_out);
  return eeprom((serial_.address + out / 16) % 64) >> (15 - out % 16) & 1;
}

void E1000::raise(std::uint32_t causes) {
  interrupt_cause_ |= causes;
  update_interrupt();
}
void E1000::update_interrupt() { set_interrupt(interrupt_cause_ & interrupt_mask_); }

std::uint32_t* E1000::ring_register(std::uint32_t offset, Ring*& ring) {
  for (const auto& [base, which] :
       {std::pair{reg::kReceiveRing, &receive_}, std::pair{reg::kTransmitRing, &transmit_}}) {
    if (offset < base || offset > base + 0x18) continue;
    ring = which;
    if (offset == base + 0x08) return &which->bytes;
    if (offset == base + 0x10) return &which->head;
    if (offset == base + 0x18) return &which->tail;
    return nullptr;
  }
  return nullptr;
}

std::uint32_t E1000::read(std::uint32_t offset) {
  Ring* ring = nullptr;
  if (const std::uint32_t* value = ring_register(offset, ring)) return *value;
  if (ring && (offset & 0xff) == 0x00) return static_cast<std::uint32_t>(ring->base);
  if (ring && (offset & 0xff) == 0x04) return static_cast<std::uint32_t>(ring->base >> 32);
  switch (offset) {
    case reg::kControl:
      return control_;
    case reg::kStatus:
      return kStatusValue;
    case reg::kEecd:
      return serial_.pins | eecd::kPresent | (serial_.pins & eecd::kRequest ? eecd::kGranted : 0u) |
             (eeprom_output() ? eecd::kOut : 0u);
    case reg::kEepromRead:
      return eeprom_read_;
    case reg::kPhy:
      return phy_access_;
    case reg::kCauseRead: {
      const std::uint32_t causes = interrupt_cause_;
      interrupt_cause_ = 0;
      update_interrupt();
      return causes;
    }
    case reg::kMaskSet:
      return interrupt_mask_;
    case reg::kReceiveControl:
      return receive_control_;
    case reg::kTransmitControl:
      return transmit_control_;
    default: {
      const auto found = stored_.find(offset);
      return found == stored_.end() ? 0 : found->second;
    }
  }
}

// "MDI Control Register": data, register, PHY 1, operation; ready in bit 28.
void E1000::write_phy(std::uint32_t value) {
  constexpr std::uint32_t kReady = 1u << 28, kError = 1u << 30, kRead = 2u << 26,
                          kOperation = 3u << 26;
  const unsigned index = value >> 16 & 31, phy = value >> 21 & 31;
  phy_access_ = value | kReady;
  if (phy != 1) {
    phy_access_ |= kError;
  } else if ((value & kOperation) == kRead) {
    phy_access_ = (phy_access_ & 0xffff0000) | phy_[index];
  } else if (index != 1 && index != 2 && index != 3 && index != 17) {
    // Reset and restart of the negotiation are over at once.
    phy_[index] = static_cast<std::uint16_t>(index == 0 ? value & 0x7dff : value);
  }
}

void E1000::write(std::uint32_t offset, std::uint32_t value) {
  Ring* ring = nullptr;
  if (std::uint32_t* target = ring_register(offset, ring)) {
    *target = target == &ring->bytes ? value & 0xfff80 : value & 0xffff;
    if (target != &ring->tail) return;
    return ring == &transmit_ ? transmit() : net_.receiver_ready();
  }
  if (ring && (offset & 0xff) == 0x00) {
    ring->base = (ring->base & ~std::uint64_t{0xffffffff}) | (value & ~15u);
    return;
  }
  if (ring && (offset & 0xff) == 0x04) {
    ring->base = (ring->base & 0xffffffff) | std::uint64_t{value} << 32;
    return;
  }
  switch (offset) {
    case reg::kControl:
      if (value & kControlReset) return reset_card();
      control_ = value & ~kPhyReset;
      return;
    case reg::kEecd:
      return write_eeprom_pins(value);
    case reg::kEepromRead:
      if (value & 1)
        eeprom_read_ = (value & 0xff00) | 0x10 | std::uint32_t{eeprom(value >> 8 & 0xff)} << 16;
      return;
    case reg::kPhy:
      write_phy(value);
      return raise(cause::kPhy);
    case reg::kCauseRead:
      interrupt_cause_ &= ~value;
      return update_interrupt();
    case reg::kCauseSet:
      return raise(value);
    case reg::kMaskSet:
      interrupt_mask_ |= value;
      return update_interrupt();
    case reg::kMaskClear:
      interrupt_mask_ &= ~value;
      return update_interrupt();
    case reg::kReceiveControl:
      receive_control_ = value;
      return net_.receiver_ready();
    case reg::kTransmitControl:
      transmit_control_ = value;
      return transmit();
    default:
      if (offset < kBarBytes) stored_[offset] = value;
      return;
  }
}

std::uint64_t E1000::Registers::mmio_read(std::uint64_t offset, unsigned size) {
  const std::uint64_t value = card_.read(static_cast<std::uint32_t>(offset & ~3ull));
  return size >= 4 ? value : value >> (8 * (offset & 3));
}

void E1000::Registers::mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  if (size < 4 || offset % 4) return;  // registers are whole
  card_.write(static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(value));
}

// --- Going out ---

void E1000::transmit() {
  if (!(transmit_control_ & kTransmitEnable) || transmit_.entries() == 0) return;
  bool any = false;
  // At most one round, whatever the driver says.
  for (std::uint32_t i = 0; i < transmit_.entries() && transmit_.head != transmit_.tail; ++i) {
    if (transmit_.head >= transmit_.entries()) transmit_.head = 0;
    const std::uint64_t at = transmit_.base + std::uint64_t{transmit_.head} * 16;
    std::array<std::uint8_t, 16> descriptor;
    memory_.read_bytes({at}, descriptor);
    take_descriptor(descriptor);
    if (descriptor[11] & kReportStatus) memory_.write({at + 12}, 1, descriptor[12] | kDone);
    transmit_.head = (transmit_.head + 1) % transmit_.entries();
    any = true;
  }
  if (any) raise(cause::kTransmitted | cause::kQueueEmpty);
}

void E1000::take_descriptor(const std::array<std::uint8_t, 16>& d) {
  const std::uint8_t command = d[11];
  const unsigned type = d[10] >> 4;
  if ((command & kExtended) && type == 0) {  // a context
    context_ = {d[0],
                d[1],
                d[4],
                d[5],
                d[13],
                static_cast<std::uint16_t>(little(d, 2, 2)),
                static_cast<std::uint16_t>(little(d, 6, 2)),
                static_cast<std::uint16_t>(little(d, 14, 2)),
                (command & 1) != 0,
                (command & 2) != 0};
    return;
  }
  const auto bytes = static_cast<std::size_t>(little(d, 8, command & kExtended ? 3 : 2) & 0xfffff);
  if (frame_.empty()) {
    frame_options_ = command & kExtended ? d[13] : 0;
    segments_ = (command & kExtended) && (command & kSegment);
  }
  const std::size_t before = frame_.size();
  if (before + bytes <= kMostFrame + 256) {
    frame_.resize(before + bytes);
    memory_.read_bytes({little(d, 0, 8)}, std::span(frame_).subspan(before));
  }
  if (command & kEndOfFrame) finish_frame();
}

// One frame, or as many as its payload makes segments; checksums where the driver left them to us.
void E1000::finish_frame() {
  std::vector<std::uint8_t> whole = std::exchange(frame_, {});
  const auto send = [this](std::vector<std::uint8_t>& frame) {
    constexpr std::uint8_t kIpChecksum = 1, kTcpChecksum = 2;
    if (frame_options_ & kTcpChecksum)
      put_checksum(frame, context_.tcp_start, context_.tcp_offset, context_.tcp_end);
    if (frame_options_ & kIpChecksum)
      put_checksum(frame, context_.ip_start, context_.ip_offset, context_.ip_end);
    if (frame.size() < kLeastFrame) frame.resize(kLeastFrame);
    net_.send(frame);
  };
  const std::size_t header = context_.header_bytes, segment = context_.segment_bytes;
  if (!segments_ || segment == 0 || header == 0 || header >= whole.size() ||
      context_.tcp_start + 14u > header)
    return send(whole);
  constexpr std::size_t kSequenceAt = 4, kFlagsAt = 13;
  const std::size_t payload = whole.size() - header;
  for (std::size_t done = 0, number = 0; done < payload; done += segment, ++number) {
    const std::size_t here = std::min(segment, payload - done);
    std::vector<std::uint8_t> frame(whole.begin(),
                                    whole.begin() + static_cast<std::ptrdiff_t>(header));
    const auto from = whole.begin() + static_cast<std::ptrdiff_t>(header + done);
    frame.insert(frame.end(), from, from + static_cast<std::ptrdiff_t>(here));
    const std::size_t ip = context_.ip_start, tcp = context_.tcp_start;
    if (context_.is_ip) {
      put_word(frame, ip + 2, frame.size() - ip);
      const std::size_t id = frame[ip + 4] << 8 | frame[ip + 5];
      put_word(frame, ip + 4, id + number);
    } else {
      put_word(frame, ip + 4, frame.size() - ip - 40);
    }
    std::uint32_t extra = static_cast<std::uint32_t>(frame.size() - tcp);
    if (context_.is_tcp) {
      std::uint32_t sequence = 0;
      for (unsigned i = 0; i < 4; ++i) sequence = sequence << 8 | frame[tcp + kSequenceAt + i];
      sequence += static_cast<std::uint32_t>(done);
      for (unsigned i = 0; i < 4; ++i)
        frame[tcp + kSequenceAt + i] = static_cast<std::uint8_t>(sequence >> (24 - 8 * i));
      // FIN and PSH belong to the last.
      if (done + here < payload) frame[tcp + kFlagsAt] &= 0xf6;
    } else {
      put_word(frame, tcp + 4, extra);
    }
    // The pseudo header's sum lacks the length, which differs from segment to segment.
    if (context_.tcp_offset + 2u <= frame.size()) {
      std::uint32_t sum =
          (frame[context_.tcp_offset] << 8 | frame[context_.tcp_offset + 1u]) + extra;
      while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
      put_word(frame, context_.tcp_offset, sum);
    }
    send(frame);
  }
}

// --- Coming in ---

bool E1000::wanted(std::span<const std::uint8_t> frame) const {
  if (frame.size() < 14) return false;
  if (receive_control_ & kUnicastAll) return true;
  if (frame[0] == 0xff) return receive_control_ & kBroadcast;
  // The hash of a multicast filter may let too much in, and so may we.
  if (frame[0] & 1) return true;
  return std::equal(address_.begin(), address_.end(), frame.begin()) ||
         little(frame, 0, 4) == stored_.at(reg::kAddressLow);
}

bool E1000::receive(std::span<const std::uint8_t> frame) {
  constexpr std::array<std::uint32_t, 4> kSizes{2048, 1024, 512, 256};
  if (!(receive_control_ & kReceiveEnable) || !wanted(frame)) return true;
  const std::uint32_t entries = receive_.entries();
  if (entries == 0) return true;
  std::uint32_t buffer = kSizes[receive_control_ >> 16 & 3];
  if (receive_control_ & (1 << 25)) buffer *= 16;
  if (receive_.head >= entries) receive_.head = 0;
  const std::uint32_t free = (receive_.tail + entries - receive_.head) % entries;
  std::vector<std::uint8_t> padded(frame.begin(), frame.end());
  if (padded.size() < kLeastFrame) padded.resize(kLeastFrame);
  if (!(receive_control_ & kStripChecksum)) padded.resize(padded.size() + 4);
  const std::size_t parts = (padded.size() + buffer - 1) / buffer;
  if (parts > free) return parts >= entries;  // no room now, or never
  for (std::size_t i = 0; i < parts; ++i) {
    const std::uint64_t at = receive_.base + std::uint64_t{receive_.head} * 16;
    const std::size_t from = i * buffer, here = std::min<std::size_t>(buffer, padded.size() - from);
    memory_.write_bytes({memory_.load<std::uint64_t>({at})}, std::span(padded).subspan(from, here));
    memory_.store<std::uint16_t>({at + 8}, static_cast<std::uint16_t>(here));
    const bool last = i + 1 == parts;
    memory_.store<std::uint32_t>({at + 12}, kDone | (last ? kLastOfFrame : 0u) | 0x04);  // no check
    receive_.head = (receive_.head + 1) % entries;
  }
  raise(cause::kReceived);
  return true;
}

}  // namespace ringshift::devices
