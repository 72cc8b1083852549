// devices/uart_16550.cc - registers and interrupt rules of the 16550A.
// Facts: National Semiconductor PC16550D data sheet, "Registers" and "FIFO Interrupt Mode
// Operation".
#include "devices/uart_16550.h"

#include <algorithm>

namespace ringshift::devices {
namespace {

namespace ier {
constexpr std::uint8_t kReceived = 1, kTransmitterEmpty = 2, kLineStatus = 4, kModemStatus = 8;
}
// Interrupt identification, in the order of priority.
namespace iir {
constexpr std::uint8_t kLineStatus = 6, kReceived = 4, kTimeout = 0xc, kTransmitterEmpty = 2,
                       kModemStatus = 0, kNone = 1, kFifosEnabled = 0xc0;
}
namespace lsr {
constexpr std::uint8_t kDataReady = 1, kOverrun = 2, kBreak = 0x10, kTransmitterEmpty = 0x20,
                       kIdle = 0x40, kErrorInFifo = 0x80;
}
namespace msr {
constexpr std::uint8_t kDeltaClear = 1, kDeltaReady = 2, kRingEnded = 4, kDeltaCarrier = 8,
                       kDeltas = 0xf, kClear = 0x10, kReady = 0x20, kRing = 0x40, kCarrier = 0x80;
}
namespace mcr {
constexpr std::uint8_t kDtr = 1, kRts = 2, kOut1 = 4, kOut2 = 8, kMask = 0x1f;
}
enum Register : std::uint16_t {
  kData,
  kInterruptEnable,
  kIdentification,
  kLineControl,
  kModemControl,
  kLineStatus,
  kModemStatus,
  kScratch,
};

constexpr std::int64_t kClockHz = 1'843'200;

}  // namespace

Uart16550::Uart16550(TimerService& timers, Line& interrupt, CharacterSink& output)
    : interrupt_(interrupt),
      output_(output),
      clock_(timers.clock()),
      timeout_(timers.create([this] { on_timeout(); })) {
  reset();
}

void Uart16550::reset() {
  clear_receiver();
  divisor_ = 12;
  interrupt_enable_ = fifo_control_ = line_control_ = modem_control_ = 0;
  line_errors_ = scratch_ = last_received_ = 0;
  transmit_interrupt_ = false;
  modem_status_ = 0;
  refresh_modem_status();
  modem_status_ &= static_cast<std::uint8_t>(~msr::kDeltas);
  update_interrupt();
}

std::size_t Uart16550::receive_room() const { return loopback() ? 0 : capacity() - count_; }

std::size_t Uart16550::receive(std::span<const std::uint8_t> bytes) {
  const std::size_t taken = std::min(bytes.size(), receive_room());
  for (std::size_t i = 0; i < taken; ++i) push({bytes[i], 0});
  if (taken) update_interrupt();
  return taken;
}

void Uart16550::receive_break() {
  if (loopback()) return;
  push({0, lsr::kBreak});
  update_interrupt();
}

void Uart16550::set_modem_inputs(ModemInputs inputs) {
  inputs_ = inputs;
  refresh_modem_status();
  update_interrupt();
}

unsigned Uart16550::baud() const {
  return static_cast<unsigned>(kClockHz / 16 / std::max<int>(divisor_, 1));
}

std::uint8_t Uart16550::read_byte(std::uint16_t offset) {
  switch (offset & 7) {
    case kData:
      return divisor_access() ? static_cast<std::uint8_t>(divisor_) : read_receiver();
    case kInterruptEnable:
      return divisor_access() ? static_cast<std::uint8_t>(divisor_ >> 8) : interrupt_enable_;
    case kIdentification:
      return read_identification();
    case kLineControl:
      return line_control_;
    case kModemControl:
      return modem_control_;
    case kLineStatus:
      return read_line_status();
    case kModemStatus:
      return read_modem_status();
    default:
      return scratch_;
  }
}

void Uart16550::write_byte(std::uint16_t offset, std::uint8_t value) {
  switch (offset & 7) {
    case kData:
      if (divisor_access()) {
        divisor_ = static_cast<std::uint16_t>((divisor_ & 0xff00) | value);
      } else {
        write_transmitter(value);
      }
      break;
    case kInterruptEnable:
      if (divisor_access()) {
        divisor_ = static_cast<std::uint16_t>((divisor_ & 0xff) | value << 8);
      } else {
        write_interrupt_enable(value);
      }
      break;
    case kIdentification:
      write_fifo_control(value);
      break;
    case kLineControl:
      line_control_ = value;
      break;
    case kModemControl:
      write_modem_control(value);
      break;
    case kScratch:
      scratch_ = value;
      break;
    default:  // line and modem status are read-only (factory test registers)
      break;
  }
}

std::uint8_t Uart16550::read_receiver() {
  if (count_ == 0) return last_received_;
  last_received_ = fifo_[head_].data;
  head_ = (head_ + 1) % kFifoBytes;
  --count_;
  // An error becomes visible when its character reaches the top of the FIFO.
  if (count_) line_errors_ |= fifo_[head_].errors;
  restart_timeout();
  update_interrupt();
  if (count_ == 0) offer_room();
  return last_received_;
}

std::uint8_t Uart16550::read_identification() {
  const std::uint8_t source = identification();
  if (source == iir::kTransmitterEmpty) {
    transmit_interrupt_ = false;
    update_interrupt();
  }
  return source | (fifo_enabled() ? iir::kFifosEnabled : 0);
}

std::uint8_t Uart16550::read_line_status() {
  std::uint8_t status = line_errors_ | lsr::kTransmitterEmpty | lsr::kIdle;
  if (count_) status |= lsr::kDataReady;
  if (fifo_enabled()) {
    for (std::size_t i = 0; i < count_; ++i)
      if (fifo_[(head_ + i) % kFifoBytes].errors) status |= lsr::kErrorInFifo;
  }
  line_errors_ = 0;
  update_interrupt();
  return status;
}

std::uint8_t Uart16550::read_modem_status() {
  const std::uint8_t status = modem_status_;
  modem_status_ &= static_cast<std::uint8_t>(~msr::kDeltas);
  update_interrupt();
  return status;
}

// The interrupt goes away with the write and comes back when the byte has left the (always idle)
// transmitter: an edge-triggered controller must see both.
void Uart16550::write_transmitter(std::uint8_t value) {
  transmit_interrupt_ = false;
  update_interrupt();
  if (loopback()) {
    push({value, 0});
  } else {
    output_.write(value);
  }
  transmit_interrupt_ = true;
  update_interrupt();
}

void Uart16550::write_interrupt_enable(std::uint8_t value) {
  const bool was_enabled = interrupt_enable_ & ier::kTransmitterEmpty;
  interrupt_enable_ = value & 0xf;
  // Enabling the interrupt while the transmitter is empty raises it, even if it was acknowledged.
  if (!was_enabled && (value & ier::kTransmitterEmpty)) transmit_interrupt_ = true;
  update_interrupt();
}

void Uart16550::write_fifo_control(std::uint8_t value) {
  const bool enable = value & 1;
  const bool toggled = enable != fifo_enabled();
  // Bits other than the enable are programmed only together with it.
  fifo_control_ = enable ? value & 0xc9 : 0;
  const bool clear = toggled || (enable && (value & 2));
  if (clear) clear_receiver();
  if (toggled || (enable && (value & 4))) transmit_interrupt_ = true;
  update_interrupt();
  if (clear) offer_room();
}

void Uart16550::write_modem_control(std::uint8_t value) {
  const bool was_loopback = loopback();
  modem_control_ = value & mcr::kMask;
  refresh_modem_status();
  update_interrupt();
  if (was_loopback && !loopback() && count_ == 0) offer_room();
}

std::size_t Uart16550::trigger_level() const {
  static constexpr std::array<std::size_t, 4> kLevels{1, 4, 8, 14};
  return fifo_enabled() ? kLevels[fifo_control_ >> 6] : 1;
}

// Four character times without a receiver access: start bit, data bits, parity, stop bits.
std::int64_t Uart16550::timeout_ns() const {
  const int bits =
      1 + 5 + (line_control_ & 3) + ((line_control_ >> 3) & 1) + 1 + ((line_control_ >> 2) & 1);
  const std::int64_t clocks = std::int64_t{4} * bits * 16 * std::max<int>(divisor_, 1);
  return clocks * 1'000'000'000 / kClockHz;
}

void Uart16550::push(Received character) {
  if (count_ == capacity()) {
    line_errors_ |= lsr::kOverrun;
    // With FIFOs the new character is lost, without them the old one is.
    if (!fifo_enabled()) fifo_[head_] = character;
    return;
  }
  fifo_[(head_ + count_) % kFifoBytes] = character;
  if (count_++ == 0) line_errors_ |= character.errors;
  restart_timeout();
}

void Uart16550::clear_receiver() {
  head_ = count_ = 0;
  timed_out_ = false;
  timeout_->cancel();
}

void Uart16550::restart_timeout() {
  timed_out_ = false;
  if (fifo_enabled() && count_) {
    timeout_->arm(clock_.now_ns() + timeout_ns());
  } else {
    timeout_->cancel();
  }
}

void Uart16550::on_timeout() {
  timed_out_ = fifo_enabled() && count_;
  update_interrupt();
}

void Uart16550::refresh_modem_status() {
  std::uint8_t now = 0;
  const auto add = [&now](bool on, std::uint8_t bit) { now |= on ? bit : 0; };
  if (loopback()) {
    add(modem_control_ & mcr::kRts, msr::kClear);
    add(modem_control_ & mcr::kDtr, msr::kReady);
    add(modem_control_ & mcr::kOut1, msr::kRing);
    add(modem_control_ & mcr::kOut2, msr::kCarrier);
  } else {
    add(inputs_.clear_to_send, msr::kClear);
    add(inputs_.data_set_ready, msr::kReady);
    add(inputs_.ring, msr::kRing);
    add(inputs_.carrier, msr::kCarrier);
  }
  const auto changed = static_cast<std::uint8_t>(modem_status_ ^ now);
  std::uint8_t deltas = modem_status_ & msr::kDeltas;
  if (changed & msr::kClear) deltas |= msr::kDeltaClear;
  if (changed & msr::kReady) deltas |= msr::kDeltaReady;
  if ((changed & msr::kRing) && !(now & msr::kRing)) deltas |= msr::kRingEnded;
  if (changed & msr::kCarrier) deltas |= msr::kDeltaCarrier;
  modem_status_ = now | deltas;
}

std::uint8_t Uart16550::identification() const {
  if ((interrupt_enable_ & ier::kLineStatus) && line_errors_) return iir::kLineStatus;
  if (interrupt_enable_ & ier::kReceived) {
    if (count_ >= trigger_level()) return iir::kReceived;
    if (timed_out_) return iir::kTimeout;
  }
  if ((interrupt_enable_ & ier::kTransmitterEmpty) && transmit_interrupt_)
    return iir::kTransmitterEmpty;
  if ((interrupt_enable_ & ier::kModemStatus) && (modem_status_ & msr::kDeltas))
    return iir::kModemStatus;
  return iir::kNone;
}

// DEVIATION: the PC's wiring lets the line through only while OUT2 is set; guests that were written
// on other virtual machines leave OUT2 clear and still expect interrupts.
void Uart16550::update_interrupt() { interrupt_.set(identification() != iir::kNone); }

void Uart16550::offer_room() {
  if (receive_ready_ && !loopback()) receive_ready_();
}

}  // namespace ringshift::devices
