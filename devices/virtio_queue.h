// devices/virtio_queue.h - a split virtqueue: the driver's chains of buffers, and what is given
// back. Facts: Virtual I/O Device (VIRTIO) Version 1.1, "Split Virtqueues". Everything in it is the
// guest's to break: rings that lead nowhere or loop end in a broken queue.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "devices/guest_transfer.h"
#include "guest/physical_memory.h"

namespace ringshift::devices {

// One request: what the device reads, then what it writes.
struct VirtioChain {
  std::uint16_t head = 0;
  std::vector<GuestRange> readable, writable;
};

std::uint64_t total_bytes(const std::vector<GuestRange>& ranges);
// The part [from, from + bytes) of scattered guest memory.
std::vector<GuestRange> slice(const std::vector<GuestRange>& ranges, std::uint64_t from,
                              std::uint64_t bytes);
// As much as there is of both.
std::size_t copy_from_guest(guest::PhysicalMemory& memory, const std::vector<GuestRange>& ranges,
                            std::span<std::uint8_t> to);
std::size_t copy_to_guest(guest::PhysicalMemory& memory, const std::vector<GuestRange>& ranges,
                          std::span<const std::uint8_t> from);

class VirtioQueue {
 public:
  static constexpr std::uint16_t kMostEntries = 256;
  // At one notification: a ring that lies in what it makes the device write has no end.
  static constexpr unsigned kMostChains = 65536;
  // Of one chain: more than any driver asks for at once.
  static constexpr std::uint64_t kMostBytes = 64u << 20;

  explicit VirtioQueue(guest::PhysicalMemory& memory) : memory_(memory) {}

  // What the driver sets up. Addresses are the guest's.
  std::uint16_t size = kMostEntries;
  bool enabled = false;
  std::uint64_t descriptors = 0, available = 0, used = 0;

  void reset();
  bool usable() const { return enabled && !broken_; }
  bool broken() const { return broken_; }
  // The next chain that the driver made available.
  std::optional<VirtioChain> pop();
  // What came is not what a driver does.
  void give_up() { broken_ = true; }
  void push(std::uint16_t head, std::uint32_t written);
  // After one or more push(): whether the driver wants to hear of it.
  bool wants_interrupt(bool event_index);
  // Asks for a notification of chains from now on. True when some came meanwhile.
  bool enable_notifications(bool event_index);

 private:
  struct Descriptor {
    std::uint64_t address;
    std::uint32_t bytes;
    std::uint16_t flags, next;
  };
  std::uint16_t load16(std::uint64_t at) const { return memory_.load<std::uint16_t>({at}); }
  bool collect(VirtioChain& chain);

  guest::PhysicalMemory& memory_;
  std::uint16_t next_available_ = 0, next_used_ = 0, told_used_ = 0;
  bool broken_ = false;
};

}  // namespace ringshift::devices
