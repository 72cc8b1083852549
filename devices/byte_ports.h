// devices/byte_ports.h - port ranges made of byte-wide registers, and ranges made of two functions.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "devices/device.h"

namespace ringshift::devices {

// A wide access to byte-wide registers is one bus cycle per byte, lowest address first.
class BytePorts : public PortHandler {
 public:
  std::uint32_t port_read(std::uint16_t offset, unsigned size) final {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < size; ++i)
      value |= std::uint32_t{read_byte(static_cast<std::uint16_t>(offset + i))} << (8 * i);
    return value;
  }
  void port_write(std::uint16_t offset, unsigned size, std::uint32_t value) final {
    for (unsigned i = 0; i < size; ++i)
      write_byte(static_cast<std::uint16_t>(offset + i),
                 static_cast<std::uint8_t>(value >> (8 * i)));
  }

 protected:
  virtual std::uint8_t read_byte(std::uint16_t offset) = 0;
  virtual void write_byte(std::uint16_t offset, std::uint8_t value) = 0;
};

// One of several byte-wide ranges of a device.
class FunctionBytePorts final : public BytePorts {
 public:
  using Read = std::function<std::uint8_t(std::uint16_t)>;
  using Write = std::function<void(std::uint16_t, std::uint8_t)>;
  FunctionBytePorts(Read read, Write write) : read_(std::move(read)), write_(std::move(write)) {}

 private:
  std::uint8_t read_byte(std::uint16_t offset) override { return read_(offset); }
  void write_byte(std::uint16_t offset, std::uint8_t value) override { write_(offset, value); }
  Read read_;
  Write write_;
};

// One of several ranges of a device, with the access size left to the device.
class FunctionPorts final : public PortHandler {
 public:
  using Read = std::function<std::uint32_t(std::uint16_t, unsigned)>;
  using Write = std::function<void(std::uint16_t, unsigned, std::uint32_t)>;
  FunctionPorts(Read read, Write write) : read_(std::move(read)), write_(std::move(write)) {}
  std::uint32_t port_read(std::uint16_t offset, unsigned size) override {
    return read_(offset, size);
  }
  void port_write(std::uint16_t offset, unsigned size, std::uint32_t value) override {
    write_(offset, size, value);
  }

 private:
  Read read_;
  Write write_;
};

// All ones in an access of `size` bytes: what a bus without an answer reads as.
constexpr std::uint64_t all_ones(unsigned size) {
  return size >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * size)) - 1;
}

}  // namespace ringshift::devices
