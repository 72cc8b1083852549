// tests/unit/devices/device_fuzz_test.cc - any access to any register of the disk, screen and
// network devices, in any order, and rings that lead anywhere: nothing crashes, hangs or writes
// past guest RAM.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

#include "devices/e1000.h"
#include "devices/flash.h"
#include "devices/floppy.h"
#include "devices/piix3_ide.h"
#include "devices/vga_screen.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_net.h"

namespace ringshift::devices {
namespace {

constexpr std::uint64_t kRam = 4 << 20;

// A disk in memory; every request ends at once or, to try the other order, later.
class MemoryDisk final : public BlockDevice {
 public:
  explicit MemoryDisk(std::uint64_t bytes, bool read_only = false)
      : bytes_(bytes), read_only_(read_only), data_(bytes) {}
  std::uint64_t bytes() const override { return bytes_; }
  bool read_only() const override { return read_only_; }
  void submit(BlockRequest request, Done done) override {
    if (later_) {
      waiting_.emplace_back(std::move(request), std::move(done));
      return;
    }
    run(request, done);
  }
  void run_waiting() {
    for (auto waiting = std::exchange(waiting_, {}); auto& [request, done] : waiting)
      run(request, done);
  }
  void set_later(bool later) { later_ = later; }

 private:
  void run(const BlockRequest& request, const Done& done) {
    std::uint64_t at = request.offset;
    for (const BlockPiece& piece : request.pieces) {
      if (at > bytes_ || piece.bytes > bytes_ - at) return done(false);
      if (request.kind == BlockRequest::Kind::kRead)
        std::memcpy(piece.data, &data_[at], piece.bytes);
      else if (request.kind == BlockRequest::Kind::kWrite)
        std::memcpy(&data_[at], piece.data, piece.bytes);
      at += piece.bytes;
    }
    done(true);
  }
  std::uint64_t bytes_;
  bool read_only_, later_ = false;
  std::vector<std::uint8_t> data_;
  std::vector<std::pair<BlockRequest, Done>> waiting_;
};

class FakeClock final : public Clock {
 public:
  std::int64_t now_ns() const override { return now; }
  std::int64_t now = 0;
};

class NoLine final : public Line {
 public:
  void set(bool) override {}
};

class FakeNet final : public NetBackend {
 public:
  void send(std::span<const std::uint8_t> frame) override { sent += frame.size(); }
  void set_receiver(Receiver next) override { receiver = std::move(next); }
  void receiver_ready() override {}
  Receiver receiver;
  std::uint64_t sent = 0;
};

class DeviceFuzz : public ::testing::TestWithParam<unsigned> {
 protected:
  DeviceFuzz() : random_(GetParam()), memory_(*guest::PhysicalMemory::create(kRam)) {}
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  // Small numbers, addresses near RAM's ends, and anything.
  std::uint64_t value() {
    switch (pick(5)) {
      case 0:
        return pick(256);
      case 1:
        return pick(kRam);
      case 2:
        return kRam - pick(64);
      case 3:
        return std::uint64_t{1} << pick(64);
      default:
        return random_();
    }
  }
  void scribble(unsigned bytes) {
    for (unsigned i = 0; i < bytes; i += 8) memory_->write({pick(kRam / 8) * 8}, 8, value());
  }
  void poke(PortHandler& ports, unsigned count, unsigned steps) {
    for (unsigned i = 0; i < steps; ++i) {
      const unsigned size = 1u << pick(3);
      const auto offset = static_cast<std::uint16_t>(pick(count));
      if (offset + size > count) continue;
      if (pick(2))
        ports.port_write(offset, size, static_cast<std::uint32_t>(value()));
      else
        ports.port_read(offset, size);
    }
  }
  void poke(MmioHandler& handler, std::uint64_t bytes, unsigned steps) {
    for (unsigned i = 0; i < steps; ++i) {
      const unsigned size = 1u << pick(4);
      const std::uint64_t offset = pick(bytes - size + 1);
      if (pick(2))
        handler.mmio_write(offset, size, value());
      else
        handler.mmio_read(offset, size);
    }
  }

  std::mt19937_64 random_;
  std::unique_ptr<guest::PhysicalMemory> memory_;
  NoLine line_;
};

TEST_P(DeviceFuzz, Ide) {
  MemoryDisk disk(1 << 20), disc(1 << 20, true);
  Piix3Ide ide(*memory_, line_, line_);
  ide.channel(0).attach(0, IdeDrive::Kind::kDisk, &disk, "fuzz");
  ide.channel(0).attach(1, IdeDrive::Kind::kCd, &disc, "fuzz");
  ide.channel(1).attach(0, IdeDrive::Kind::kCd, nullptr, "fuzz");
  for (unsigned i = 0; i < 3000; ++i) {
    IdeChannel& channel = ide.channel(static_cast<unsigned>(pick(2)));
    disk.set_later(pick(2));
    poke(channel.command_ports(), IdeChannel::kCommandBytes, 20);
    for (unsigned n = 0; n < 3; ++n)
      channel.write_bus_master(static_cast<std::uint16_t>(pick(8)), 1,
                               static_cast<std::uint32_t>(value()));
    if (pick(8) == 0) channel.control_port().port_write(0, 1, static_cast<std::uint32_t>(pick(8)));
    if (pick(4) == 0) scribble(64);
    // Packets, which random bytes hardly ever make.
    if (pick(4) == 0) {
      channel.command_ports().port_write(6, 1, 0x10);
      channel.command_ports().port_write(7, 1, 0xa0);
      for (unsigned n = 0; n < 6; ++n)
        channel.command_ports().port_write(0, 2, static_cast<std::uint32_t>(value()));
      for (unsigned n = 0; n < 2000; ++n) channel.command_ports().port_read(0, 2);
    }
    if (pick(2)) disk.run_waiting();
    if (pick(200) == 0) ide.reset();
  }
  disk.run_waiting();
}

TEST_P(DeviceFuzz, FloppyAndDma) {
  MemoryDisk disk(1474560);
  IsaDma dma;
  Floppy floppy(*memory_, dma, line_);
  floppy.attach(0, &disk);
  for (unsigned i = 0; i < 3000; ++i) {
    disk.set_later(pick(2));
    poke(dma.low_ports(), IsaDma::kLowBytes, 8);
    poke(dma.page_ports(), IsaDma::kPageBytes, 2);
    poke(dma.high_ports(), IsaDma::kHighBytes, 2);
    floppy.ports().port_write(2, 1, 0x0c | static_cast<std::uint32_t>(pick(2)));
    floppy.ports().port_write(5, 1, 0xe0 | static_cast<std::uint32_t>(pick(32)));
    poke(floppy.ports(), Floppy::kPorts, 20);
    if (pick(2)) disk.run_waiting();
  }
  disk.run_waiting();
}

TEST_P(DeviceFuzz, Vga) {
  FakeClock clock;
  Vga vga(clock);
  for (unsigned i = 0; i < 150; ++i) {
    clock.now += static_cast<std::int64_t>(pick(1'000'000));
    poke(vga.ports(), Vga::kPortBytes, 200);
    for (unsigned n = 0; n < 20; ++n) {
      vga.dispi_ports().port_write(0, 2, static_cast<std::uint32_t>(pick(12)));
      vga.dispi_ports().port_write(1, 2, static_cast<std::uint32_t>(value()));
      vga.dispi_ports().port_read(1, 2);
    }
    poke(vga.legacy_memory(), Vga::kLegacyBytes, 200);
    if (pick(4) == 0) {
      const Picture picture = draw_screen(vga);
      EXPECT_EQ(picture.rgb.size(), std::size_t{picture.width} * picture.height * 3);
      screen_text(vga);
    }
  }
}

TEST_P(DeviceFuzz, FlashChip) {
  MemoryDisk disk(1 << 16);
  Flash flash(std::vector<std::uint8_t>(1 << 16, 0xff), &disk);
  poke(flash, 1 << 16, 20'000);
}

// The registers by which a virtio device is found, through its BAR.
class VirtioGuest {
 public:
  VirtioGuest(PciDevice& device, std::mt19937_64& random) : device_(device), random_(random) {
    device.config_write(pci::kBar0 + 4, 4, kBase);
    device.config_write(pci::kCommand, 2, 7);
  }
  void write(std::uint64_t offset, unsigned size, std::uint64_t value) {
    if (const auto window = device_.find_memory(kBase + offset))
      window->memory->mmio_write(offset, size, value);
  }
  std::uint64_t read(std::uint64_t offset, unsigned size) {
    const auto window = device_.find_memory(kBase + offset);
    return window ? window->memory->mmio_read(offset, size) : 0;
  }
  // A driver that negotiates well and then puts its rings anywhere.
  void set_up(unsigned queues, const std::function<std::uint64_t()>& anywhere) {
    write(0x14, 1, 0);
    write(0x14, 1, 3);
    write(0x08, 4, 0);
    write(0x0c, 4, random_() & read(0x04, 4));
    write(0x08, 4, 1);
    write(0x0c, 4, 1);
    write(0x14, 1, 11);
    for (unsigned q = 0; q < queues; ++q) {
      write(0x16, 2, q);
      write(0x18, 2, 1u << random_() % 9);
      for (const unsigned at : {0x20u, 0x28u, 0x30u}) write(at, 8, anywhere());
      write(0x1c, 2, 1);
    }
    write(0x14, 1, 15);
  }

 private:
  static constexpr std::uint32_t kBase = 0xe0000000;
  PciDevice& device_;
  std::mt19937_64& random_;
};

TEST_P(DeviceFuzz, VirtioRings) {
  MemoryDisk disk(1 << 20);
  FakeNet net;
  VirtioBlk blk(*memory_, disk, "fuzz");
  VirtioNet card(*memory_, net, {2, 0, 0, 0, 0, 1});
  const std::vector<std::uint8_t> frame(1500, 0x55);
  for (unsigned i = 0; i < 400; ++i) {
    disk.set_later(pick(2));
    // Rings that lie in each other, too.
    const auto anywhere = [&] { return pick(4) ? pick(16) * 0x100 : value(); };
    for (unsigned n = 0; n < 0x1100; n += 8)
      memory_->write({n}, 8, pick(3) ? pick(8) | pick(4) << 32 | pick(8) << 48 : value());
    PciDevice& device = i % 2 ? static_cast<PciDevice&>(blk) : card;
    VirtioGuest guest(device, random_);
    guest.set_up(2, anywhere);
    for (unsigned n = 0; n < 4; ++n) {
      guest.write(0x3000 + 4 * pick(3), 2, pick(3));
      if (net.receiver) net.receiver(frame);
      disk.run_waiting();
      for (unsigned k = 0; k < 8; ++k) guest.read(pick(0x4000), 1u << pick(4));
      for (unsigned k = 0; k < 8; ++k) guest.write(pick(0x4000), 1u << pick(4), value());
      for (unsigned k = 0; k < 4; ++k) {
        device.before_config_read(0x94, 4);
        device.config_write(static_cast<std::uint8_t>(0x84 + pick(5) * 4), 4,
                            static_cast<std::uint32_t>(value()));
      }
    }
  }
  disk.run_waiting();
}

TEST_P(DeviceFuzz, NetworkCard) {
  FakeNet net;
  E1000 card(*memory_, net, {2, 0, 0, 0, 0, 1});
  constexpr std::uint32_t kBase = 0xe0000000;
  card.config_write(pci::kBar0, 4, kBase);
  card.config_write(pci::kCommand, 2, 7);
  MmioHandler& registers = *card.find_memory(kBase)->memory;
  const std::vector<std::uint8_t> frame(1500, 0xff);
  for (unsigned i = 0; i < 300; ++i) {
    scribble(4096);
    for (const std::uint64_t ring : {0x2800, 0x3800}) {
      registers.mmio_write(ring, 4, pick(4) ? pick(kRam) : value());
      registers.mmio_write(ring + 4, 4, pick(4) ? 0 : value());
      registers.mmio_write(ring + 8, 4, pick(4) ? pick(32) * 128 : value());
      registers.mmio_write(ring + 0x10, 4, pick(64));
    }
    registers.mmio_write(0x100, 4, value() | 2);
    registers.mmio_write(0x400, 4, 2);
    registers.mmio_write(0x3818, 4, pick(128));
    registers.mmio_write(0x2818, 4, pick(128));
    for (unsigned n = 0; n < 4; ++n) net.receiver(frame);
    poke(registers, 0x20000, 40);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, DeviceFuzz, ::testing::Range(1u, 5u));

}  // namespace
}  // namespace ringshift::devices
