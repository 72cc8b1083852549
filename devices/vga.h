// devices/vga.h - a VGA adapter with the Bochs display extension (PCI 1234:1111): registers and
// video memory. What it shows is in vga_screen.h. Facts: IBM VGA as FreeVGA describes it; Bochs
// "VBE DISPI interface"; QEMU's docs/specs/standard-vga.
//
// Video memory is one array, in which address a of plane p is byte 4a + p: the linear framebuffer
// of the extension, chain-4 addressing and the four planes are then views of the same bytes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "devices/byte_ports.h"
#include "devices/pci_device.h"

namespace ringshift::devices {

// Registers of the Bochs extension, in the order of their index.
enum class Dispi : std::uint8_t {
  kId,
  kWidth,
  kHeight,
  kBitsPerPixel,
  kEnable,
  kBank,
  kVirtualWidth,
  kVirtualHeight,
  kXOffset,
  kYOffset,
  kMemory64K,
};

class Vga final : public PciDevice {
 public:
  static constexpr std::uint16_t kPortBase = 0x3b0, kPortBytes = 0x30;
  static constexpr std::uint16_t kDispiBase = 0x1ce, kDispiBytes = 3;
  static constexpr std::uint64_t kLegacyBase = 0xa0000, kLegacyBytes = 0x20000;
  static constexpr std::uint32_t kMemoryBytes = 16u << 20;

  explicit Vga(Clock& clock);
  void reset() override;

  PortHandler& ports() { return ports_; }              // kPortBase
  PortHandler& dispi_ports() { return dispi_ports_; }  // kDispiBase
  MmioHandler& legacy_memory() { return legacy_; }     // kLegacyBase

  // What decides about the picture; for VgaScreen.
  static constexpr unsigned kCrtcCount = 0x19, kAttributeCount = 0x15;
  std::uint8_t crtc(unsigned index) const { return crtc_[index]; }
  std::uint8_t graphics(unsigned index) const { return graphics_[index]; }
  std::uint8_t sequencer(unsigned index) const { return sequencer_[index]; }
  std::uint8_t attribute(unsigned index) const { return attribute_[index]; }
  std::uint8_t misc() const { return misc_; }
  bool screen_on() const { return attribute_index_ & 0x20; }
  std::uint16_t dispi(Dispi reg) const { return dispi_[static_cast<std::size_t>(reg)]; }
  bool extension_on() const { return dispi(Dispi::kEnable) & 1; }
  // Bytes from one line of the extension's picture to the next, and where the picture begins.
  std::uint32_t extension_pitch() const;
  std::uint32_t extension_start() const;
  // Red, green and blue, 0 to 255.
  std::array<std::uint8_t, 3> palette(unsigned index) const;
  std::span<const std::uint8_t> memory() const { return memory_; }
  // Grows with every change that may be visible.
  std::uint64_t version() const { return version_; }

 private:
  // One of the three ways to the memory.
  class Memory final : public MmioHandler {
   public:
    using Read = std::uint8_t (Vga::*)(std::uint64_t);
    using Write = void (Vga::*)(std::uint64_t, std::uint8_t);
    Memory(Vga& vga, Read read, Write write) : vga_(vga), read_(read), write_(write) {}
    std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override;
    void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override;

   private:
    Vga& vga_;
    Read read_;
    Write write_;
  };
  class Linear final : public MmioHandler {
   public:
    explicit Linear(Vga& vga) : vga_(vga) {}
    std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override;
    void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override;

   private:
    Vga& vga_;
  };
  // BAR 2: the ports again, for machines without ports.
  class Registers final : public MmioHandler {
   public:
    explicit Registers(Vga& vga) : vga_(vga) {}
    std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override;
    void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override;

   private:
    Vga& vga_;
  };

  std::uint8_t read_port(std::uint16_t offset);
  void write_port(std::uint16_t offset, std::uint8_t value);
  std::uint8_t read_status();
  void write_attribute(std::uint8_t value);
  void write_crtc(std::uint8_t value);
  void write_dac(std::uint8_t value);
  std::uint8_t read_dac();
  std::uint16_t read_dispi() const;
  void write_dispi(std::uint16_t value);
  void enable_extension(std::uint16_t value);

  // Of the legacy window: where in it the adapter answers, as an offset; nothing outside.
  std::optional<std::uint32_t> window_offset(std::uint64_t offset) const;
  std::uint8_t read_legacy(std::uint64_t offset);
  void write_legacy(std::uint64_t offset, std::uint8_t value);
  std::uint32_t read_planes(std::uint32_t address);
  void write_planes(std::uint32_t address, std::uint8_t value);
  std::uint32_t planes_for(std::uint8_t value) const;

  Clock& clock_;
  FunctionBytePorts ports_;
  FunctionPorts dispi_ports_;
  Memory legacy_{*this, &Vga::read_legacy, &Vga::write_legacy};
  Linear linear_{*this};
  Registers registers_{*this};

  std::array<std::uint8_t, kCrtcCount> crtc_{};
  std::array<std::uint8_t, 9> graphics_{};
  std::array<std::uint8_t, 8> sequencer_{};
  std::array<std::uint8_t, kAttributeCount> attribute_{};
  std::array<std::uint8_t, 768> dac_{};
  std::array<std::uint16_t, 11> dispi_{};
  std::uint8_t crtc_index_ = 0, graphics_index_ = 0, sequencer_index_ = 0, attribute_index_ = 0;
  std::uint8_t misc_ = 0, feature_ = 0, dac_mask_ = 0xff;
  std::uint16_t dispi_index_ = 0;
  unsigned dac_at_ = 0;
  bool dac_reads_ = false, attribute_data_ = false;
  std::uint32_t latch_ = 0;  // one byte a plane, plane 0 lowest
  std::uint64_t version_ = 0;
  std::vector<std::uint8_t> memory_;
};

}  // namespace ringshift::devices
