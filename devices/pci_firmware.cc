// devices/pci_firmware.cc - resource assignment on PCI bus 0.
#include "devices/pci_firmware.h"

#include <algorithm>
#include <vector>

namespace ringshift::devices {
namespace {

// I/O BARs go up from here, clear of everything that has a fixed port; memory BARs go down from
// the end of the hole.
constexpr std::uint32_t kFirstPort = 0xc000, kLastPort = 0xffff;

struct Request {
  PciDevice* device;
  unsigned bar;
  std::uint32_t bytes;
};

constexpr std::uint8_t bar_register(unsigned bar) {
  return static_cast<std::uint8_t>(pci::kBar0 + 4 * bar);
}

// Largest first: powers of two then pack without gaps.
std::vector<Request> requests(const PciHost& host, bool ports) {
  std::vector<Request> found;
  host.for_each([&](unsigned, unsigned, PciDevice& device) {
    for (unsigned bar = 0; bar < pci::kBarCount; ++bar)
      if (device.bar_bytes(bar) && device.bar_is_ports(bar) == ports)
        found.push_back({&device, bar, device.bar_bytes(bar)});
  });
  std::stable_sort(found.begin(), found.end(),
                   [](const Request& a, const Request& b) { return a.bytes > b.bytes; });
  return found;
}

bool place_ports(const PciHost& host) {
  std::uint32_t next = kFirstPort;
  for (const Request& request : requests(host, true)) {
    if (next + request.bytes - 1 > kLastPort) return false;
    request.device->config_write(bar_register(request.bar), 4, next);
    next += request.bytes;
  }
  return true;
}

bool place_memory(const PciHost& host) {
  std::uint64_t end = PciHost::kHoleEnd;
  for (const Request& request : requests(host, false)) {
    const std::uint64_t base = (end - request.bytes) & ~std::uint64_t{request.bytes - 1};
    if (base < PciHost::kHoleBase || base > end) return false;
    request.device->config_write(bar_register(request.bar), 4, static_cast<std::uint32_t>(base));
    end = base;
  }
  return true;
}

}  // namespace

bool set_up_pci(PciHost& host, Piix3Isa& isa, Piix4Pm& pm) {
  for (unsigned pirq = 0; pirq < kPirqInterrupts.size(); ++pirq)
    isa.config_write(static_cast<std::uint8_t>(Piix3Isa::kRouteControl + pirq), 1,
                     kPirqInterrupts[pirq]);
  const bool placed = place_ports(host) & place_memory(host);
  host.for_each([](unsigned slot, unsigned, PciDevice& device) {
    const auto command = device.config_read(pci::kCommand, 2);
    device.config_write(pci::kCommand, 2,
                        command | pci::kCommandIo | pci::kCommandMemory | pci::kCommandMaster);
    if (const unsigned pin = device.interrupt_pin())
      device.config_write(pci::kInterruptLine, 1,
                          kPirqInterrupts[Piix3Isa::pirq_of(slot, pin - 1)]);
  });
  pm.config_write(Piix4Pm::kPmBaseRegister, 4, Piix4Pm::kDefaultPmBase);
  pm.config_write(Piix4Pm::kPmEnableRegister, 1, 1);
  pm.config_write(pci::kInterruptLine, 1, Piix4Pm::kSciInterrupt);
  return placed;
}

}  // namespace ringshift::devices
