// devices/pci_testdev.cc - the tests of pci-testdev and what each counts.
// Facts: QEMU's docs/specs/pci-testdev.
#include "devices/pci_testdev.h"

namespace ringshift::devices {
namespace {

enum Offset : std::uint32_t {
  kTest = 0,
  kWidth = 1,
  kTarget = 4,
  kData = 8,
  kCount = 12,
  kName = 16,
};

struct Test {
  std::string_view name;
  bool any_data;  // counts whatever is written, not only kSignature
};
// The names say how QEMU wires each to its host; here all take the same way.
constexpr std::array<Test, 3> kTests{{
    {"no-eventfd", false},
    {"wildcard-eventfd", true},
    {"datamatch-eventfd", false},
}};
constexpr std::uint8_t kAccessWidth = 1, kSignature = 0xfa;

}  // namespace

PciTestdev::PciTestdev()
    : PciDevice({.vendor = 0x1b36,
                 .device = 0x0005,
                 .class_code = 0x00ff00,
                 .subsystem_vendor = 0x1af4,
                 .subsystem = 0x1100}) {
  add_memory_bar(0, kMemoryBytes, memory_);
  add_port_bar(1, kPortBytes, ports_);
}

void PciTestdev::reset() {
  PciDevice::reset();
  memory_.reset();
  ports_.reset();
}

void PciTestdev::Area::reset() { select(0); }

void PciTestdev::Area::select(std::uint8_t test) {
  test_ = test;
  count_ = 0;
}

// The area to write to is the second half of the BAR, far from the header.
std::uint8_t PciTestdev::Area::read_byte(std::uint64_t offset) const {
  const auto byte_of = [](std::uint32_t word, std::uint64_t at) {
    return static_cast<std::uint8_t>(word >> (8 * at));
  };
  const bool known = test_ < kTests.size();
  if (offset == kTest) return test_;
  if (offset == kWidth) return known ? kAccessWidth : 0;
  if (offset < kTarget) return 0;
  if (offset < kData) return byte_of(bytes_ / 2, offset - kTarget);
  if (offset < kCount) return byte_of(kSignature, offset - kData);
  if (offset < kName) return byte_of(count_, offset - kCount);
  if (!known || offset >= bytes_ / 2) return 0;
  const std::uint64_t at = offset - kName;
  const std::string_view name = kTests[test_].name;
  if (at < prefix_.size()) return static_cast<std::uint8_t>(prefix_[at]);
  return at - prefix_.size() < name.size() ? static_cast<std::uint8_t>(name[at - prefix_.size()])
                                           : 0;
}

std::uint64_t PciTestdev::Area::mmio_read(std::uint64_t offset, unsigned size) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i) value |= std::uint64_t{read_byte(offset + i)} << (8 * i);
  return value;
}

void PciTestdev::Area::mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  if (offset == kTest) {
    select(static_cast<std::uint8_t>(value));
  } else if (offset == bytes_ / 2 && size == kAccessWidth && test_ < kTests.size()) {
    if (kTests[test_].any_data || value == kSignature) ++count_;
  }
}

std::uint32_t PciTestdev::Area::port_read(std::uint16_t offset, unsigned size) {
  return static_cast<std::uint32_t>(mmio_read(offset, size));
}

void PciTestdev::Area::port_write(std::uint16_t offset, unsigned size, std::uint32_t value) {
  mmio_write(offset, size, value);
}

}  // namespace ringshift::devices
