// devices/net_backend.h - what a network card's cable leads to: Ethernet frames, without checksum.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace ringshift::devices {

class NetBackend {
 public:
  // Takes a frame for the guest, on the vCPU's thread with the device lock held. False: there is no
  // room, keep it.
  using Receiver = std::function<bool(std::span<const std::uint8_t> frame)>;

  virtual ~NetBackend() = default;
  // With the device lock held; never blocks.
  virtual void send(std::span<const std::uint8_t> frame) = 0;
  // Empty: nobody.
  virtual void set_receiver(Receiver receiver) = 0;
  // There is room again.
  virtual void receiver_ready() = 0;
};

}  // namespace ringshift::devices
