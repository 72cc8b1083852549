// devices/bus.cc - routing of one access: whole, in halves, or to nobody.
#include "devices/bus.h"

namespace ringshift::devices {
namespace {

constexpr std::uint64_t kLastPort = 0xffff;

constexpr std::uint64_t ones(unsigned size) {
  return size >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * size)) - 1;
}

constexpr bool valid_width(unsigned widest, unsigned limit) {
  return widest != 0 && widest <= limit && (widest & (widest - 1)) == 0;
}

}  // namespace

bool PortBus::add(std::uint16_t first, std::uint32_t count, PortHandler& handler, unsigned widest) {
  return valid_width(widest, 4) && ranges_.add({first, count, &handler, widest}, kLastPort);
}

std::uint32_t PortBus::read_at(std::uint32_t port, unsigned size) {
  const auto* range = ranges_.find(port);
  if (range && size <= range->widest && range->holds(port, size)) {
    const auto offset = static_cast<std::uint16_t>(port - range->first);
    return range->handler->port_read(offset, size) & static_cast<std::uint32_t>(ones(size));
  }
  if (!ranges_.touches(port, size)) {
    if (unclaimed_) unclaimed_({port, size, false, 0});
    return static_cast<std::uint32_t>(ones(size));
  }
  const unsigned half = size / 2;
  const std::uint32_t low = read_at(port, half);
  return low | read_at(port + half, half) << (8 * half);
}

void PortBus::write_at(std::uint32_t port, unsigned size, std::uint32_t value) {
  value &= static_cast<std::uint32_t>(ones(size));
  const auto* range = ranges_.find(port);
  if (range && size <= range->widest && range->holds(port, size)) {
    range->handler->port_write(static_cast<std::uint16_t>(port - range->first), size, value);
    return;
  }
  if (!ranges_.touches(port, size)) {
    if (unclaimed_) unclaimed_({port, size, true, value});
    return;
  }
  const unsigned half = size / 2;
  write_at(port, half, value);
  write_at(port + half, half, value >> (8 * half));
}

bool MmioBus::add(std::uint64_t first, std::uint64_t count, MmioHandler& handler, unsigned widest) {
  return window_bytes_ != 0 && valid_width(widest, 8) &&
         ranges_.add({first, count, &handler, widest}, window_bytes_ - 1);
}

std::uint64_t MmioBus::mmio_read(std::uint64_t offset, unsigned size) {
  const auto* range = ranges_.find(offset);
  if (range && size <= range->widest && range->holds(offset, size))
    return range->handler->mmio_read(offset - range->first, size) & ones(size);
  if (!ranges_.touches(offset, size)) {
    if (unclaimed_) unclaimed_({offset, size, false, 0});
    return ones(size);
  }
  const unsigned half = size / 2;
  const std::uint64_t low = mmio_read(offset, half);
  return low | mmio_read(offset + half, half) << (8 * half);
}

void MmioBus::mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  value &= ones(size);
  const auto* range = ranges_.find(offset);
  if (range && size <= range->widest && range->holds(offset, size)) {
    range->handler->mmio_write(offset - range->first, size, value);
    return;
  }
  if (!ranges_.touches(offset, size)) {
    if (unclaimed_) unclaimed_({offset, size, true, value});
    return;
  }
  const unsigned half = size / 2;
  mmio_write(offset, half, value);
  mmio_write(offset + half, half, value >> (8 * half));
}

}  // namespace ringshift::devices
