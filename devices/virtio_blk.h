// devices/virtio_blk.h - the virtio block device. VIRTIO 1.1 "Block Device".
#pragma once

#include <array>
#include <memory>
#include <string>

#include "devices/block_device.h"
#include "devices/virtio_pci.h"

namespace ringshift::devices {

class VirtioBlk final : public VirtioPci {
 public:
  VirtioBlk(guest::PhysicalMemory& memory, BlockDevice& disk, std::string serial);

 private:
  struct Request;

  void notified(unsigned queue) override;
  void device_reset() override;
  std::uint8_t read_config(std::uint32_t offset) const override;
  void start(VirtioChain chain);
  void move_data(const std::shared_ptr<Request>& request, bool to_guest, std::uint64_t sector);
  void discard(const std::shared_ptr<Request>& request, bool zeroes);
  void finish(const Request& request, std::uint8_t status);
  void submit(const std::shared_ptr<Request>& request, BlockRequest block);

  BlockDevice& disk_;
  std::string serial_;
  std::vector<std::uint8_t> config_;
  bool in_batch_ = false;  // tell the driver once, at the end
  // Completions of requests before a reset come to nothing.
  std::shared_ptr<std::uint64_t> epoch_ = std::make_shared<std::uint64_t>(0);
};

}  // namespace ringshift::devices
