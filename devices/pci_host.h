// devices/pci_host.h - the i440FX-like host bridge: PCI bus 0, configuration mechanism 1, the MMIO
// hole. The board attaches functions to slots before the machine runs. Accesses to BARs are
// dispatched by their current address, so moving a BAR needs no change of the machine's memory map:
// the whole hole below the APICs is one MMIO range, and every port that no board device claims
// comes here.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "devices/bus.h"
#include "devices/byte_ports.h"
#include "devices/pci_device.h"
#include "devices/power_control.h"

namespace ringshift::devices {

// Where a slot's interrupt pins lead. `pin` 0 to 3 for INTA# to INTD#.
class PciInterruptRouter {
 public:
  virtual ~PciInterruptRouter() = default;
  virtual void set_interrupt(unsigned slot, unsigned pin, bool level) = 0;
};

class PciHost {
 public:
  // Where BARs are put without firmware. Firmware may use all that is above a smaller guest's RAM.
  static constexpr std::uint64_t kHoleBase = 0xc0000000, kHoleEnd = 0xfec00000;
  static constexpr unsigned kSlots = 32, kFunctions = 8;

  // Function 00:00.0 is the bridge itself.
  // `memory_base`: what memory() counts from.
  explicit PciHost(PowerControl& power, std::uint64_t memory_base = kHoleBase);
  PciHost(const PciHost&) = delete;
  PciHost& operator=(const PciHost&) = delete;

  void route_interrupts(PciInterruptRouter& router) { router_ = &router; }
  // False when the place is taken or does not exist. Functions of one slot that uses more than
  // function 0 must say so in their header type.
  [[nodiscard]] bool attach(unsigned slot, unsigned function, PciDevice& device);
  PciDevice* find(unsigned slot, unsigned function) const;
  // In the order of slot and function.
  void for_each(
      const std::function<void(unsigned slot, unsigned function, PciDevice&)>& visit) const;

  PortHandler& config_ports() { return config_ports_; }  // CF8H, 8 bytes
  PortHandler& ports() { return ports_; }                // 0, 64 KiB: ports nobody else claims
  MmioHandler& memory() { return memory_; }              // [memory_base, kHoleEnd)

  // Told where accesses to [start, start + bytes) below 1 MiB go: RAM or what lies over it; at
  // every reset, and when a guest changes it.
  using ShadowHook = std::function<void(std::uint64_t start, std::uint64_t bytes, bool reads_ram,
                                        bool writes_ram)>;
  void set_shadow_hook(ShadowHook hook) { bridge_.hook = std::move(hook); }
  // As firmware leaves it: all of it is RAM.
  void open_shadow_ram();

  // Told of accesses to ports() and memory() that no window holds, with their full addresses.
  void set_unclaimed_hooks(UnclaimedHook ports, UnclaimedHook memory) {
    unclaimed_port_ = std::move(ports);
    unclaimed_memory_ = std::move(memory);
  }

  // The bridge and every attached function.
  void reset();

 private:
  // Offsets are ports.
  class Ports final : public PortHandler {
   public:
    explicit Ports(PciHost& host) : host_(host) {}
    std::uint32_t port_read(std::uint16_t port, unsigned size) override;
    void port_write(std::uint16_t port, unsigned size, std::uint32_t value) override;

   private:
    PciHost& host_;
  };
  // Offsets count from memory_base_.
  class Memory final : public MmioHandler {
   public:
    explicit Memory(PciHost& host) : host_(host) {}
    std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override;
    void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override;

   private:
    PciHost& host_;
  };
  // Intel 82441FX (PMC) data sheet, "Register Description".
  class Bridge final : public PciDevice {
   public:
    Bridge();
    void reset() override;
    ShadowHook hook;

   private:
    void config_written(std::uint8_t offset, unsigned size) override;
    void tell_attributes(unsigned from_register, unsigned to_register);
  };

  std::uint32_t read_config_ports(std::uint16_t offset, unsigned size);
  void write_config_ports(std::uint16_t offset, unsigned size, std::uint32_t value);
  std::uint32_t read_config_data(unsigned byte, unsigned size);
  void write_config_data(unsigned byte, unsigned size, std::uint32_t value);
  PciDevice* selected() const;
  std::optional<PciWindow> find_ports(std::uint16_t port) const;
  std::optional<PciWindow> find_memory(std::uint64_t address) const;

  const std::uint64_t memory_base_;
  PowerControl& power_;
  PciInterruptRouter* router_ = nullptr;
  std::array<PciDevice*, kSlots * kFunctions> functions_{};
  std::vector<PciDevice*> present_;
  std::uint32_t config_address_ = 0;
  std::uint8_t reset_control_ = 0;
  Bridge bridge_;
  UnclaimedHook unclaimed_port_, unclaimed_memory_;
  FunctionPorts config_ports_;
  Ports ports_;
  Memory memory_;
};

}  // namespace ringshift::devices
