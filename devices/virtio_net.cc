// devices/virtio_net.cc - frames between the driver's queues and the cable.
#include "devices/virtio_net.h"

#include <algorithm>

namespace ringshift::devices {
namespace {

constexpr std::uint16_t kType = 1;
constexpr unsigned kReceiveQueue = 0, kTransmitQueue = 1;
constexpr std::uint64_t kMac = 1 << 5, kStatus = 1 << 16;
constexpr std::size_t kHeaderBytes = 12, kBuffersAt = 10, kMostFrame = 64 << 10;
constexpr std::uint8_t kLinkUp = 1;

}  // namespace

VirtioNet::VirtioNet(guest::PhysicalMemory& memory, NetBackend& net, const MacAddress& address)
    : VirtioPci(memory, {kType, 0x020000, 2, kMac | kStatus}), net_(net) {
  std::copy(address.begin(), address.end(), config_.begin());
  config_[6] = kLinkUp;
  config_[8] = 1;  // pairs of queues
  net_.set_receiver([this](std::span<const std::uint8_t> frame) { return receive(frame); });
}

VirtioNet::~VirtioNet() { net_.set_receiver({}); }

std::uint8_t VirtioNet::read_config(std::uint32_t offset) const {
  return offset < config_.size() ? config_[offset] : 0;
}

void VirtioNet::notified(unsigned index) {
  if (index == kTransmitQueue) return transmit();
  queue(kReceiveQueue).enable_notifications(has_feature(virtio::kEventIndex));
  net_.receiver_ready();
}

void VirtioNet::transmit() {
  VirtioQueue& q = queue(kTransmitQueue);
  unsigned chains = 0;
  do {
    while (const auto chain = q.pop()) {
      if (++chains > VirtioQueue::kMostChains) q.give_up();
      const std::uint64_t bytes = total_bytes(chain->readable);
      if (bytes > kHeaderBytes && bytes <= kHeaderBytes + kMostFrame) {
        frame_.resize(bytes - kHeaderBytes);
        copy_from_guest(memory(), slice(chain->readable, kHeaderBytes, frame_.size()), frame_);
        net_.send(frame_);
      }
      q.push(chain->head, 0);
    }
  } while (q.enable_notifications(has_feature(virtio::kEventIndex)));
  if (q.broken()) return fail();
  tell_driver(kTransmitQueue);
}

// A frame that does not fit its buffer is dropped.
bool VirtioNet::receive(std::span<const std::uint8_t> frame) {
  VirtioQueue& q = queue(kReceiveQueue);
  if (!q.usable() || needs_reset()) return true;  // the card is off: the frame is lost
  const auto chain = q.pop();
  if (q.broken()) {
    fail();
    return true;
  }
  if (!chain)
    return q.enable_notifications(has_feature(virtio::kEventIndex)) ? receive(frame) : false;
  std::array<std::uint8_t, kHeaderBytes> header{};
  header[kBuffersAt] = 1;
  if (total_bytes(chain->writable) < kHeaderBytes + frame.size()) {
    q.push(chain->head, 0);
    return true;
  }
  copy_to_guest(memory(), chain->writable, header);
  copy_to_guest(memory(), slice(chain->writable, kHeaderBytes, frame.size()), frame);
  q.push(chain->head, static_cast<std::uint32_t>(kHeaderBytes + frame.size()));
  tell_driver(kReceiveQueue);
  return true;
}

}  // namespace ringshift::devices
