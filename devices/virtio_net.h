// devices/virtio_net.h - the virtio network card: one pair of queues, no offloads but merged
// buffers. VIRTIO 1.1 "Network Device".
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "devices/net_backend.h"
#include "devices/virtio_pci.h"

namespace ringshift::devices {

using MacAddress = std::array<std::uint8_t, 6>;

class VirtioNet final : public VirtioPci {
 public:
  VirtioNet(guest::PhysicalMemory& memory, NetBackend& net, const MacAddress& address);
  ~VirtioNet() override;

 private:
  void notified(unsigned queue) override;
  std::uint8_t read_config(std::uint32_t offset) const override;
  void transmit();
  bool receive(std::span<const std::uint8_t> frame);

  NetBackend& net_;
  std::array<std::uint8_t, 12> config_{};
  std::vector<std::uint8_t> frame_;  // going out
};

}  // namespace ringshift::devices
