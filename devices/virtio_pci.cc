// devices/virtio_pci.cc - capabilities, the common configuration, notifications and interrupts.
#include "devices/virtio_pci.h"

namespace ringshift::devices {
namespace {

// The one BAR.
constexpr std::uint32_t kCommon = 0x0000, kIsr = 0x1000, kDevice = 0x2000, kNotify = 0x3000,
                        kPartBytes = 0x1000, kBarBytes = 0x4000;
constexpr unsigned kBar = 1;
constexpr std::uint32_t kNotifyStep = 4;  // bytes from one queue's register to the next's

constexpr std::uint8_t kCapabilityCommon = 1, kCapabilityNotify = 2, kCapabilityIsr = 3,
                       kCapabilityDevice = 4, kCapabilityWindow = 5;
// Of the capability that is a way to the BAR; after the others.
constexpr std::uint8_t kWindow = 0x84, kWindowBar = kWindow + 4, kWindowOffset = kWindow + 8,
                       kWindowBytes = kWindow + 12, kWindowData = kWindow + 16;
constexpr std::uint8_t kVendorCapability = 0x09;
constexpr std::uint16_t kStatusHasCapabilities = 0x0010;
constexpr std::uint16_t kNoVector = 0xffff;

// The common configuration.
constexpr std::uint64_t kFeatureSelect = 0x00, kFeature = 0x04, kDriverFeatureSelect = 0x08,
                        kDriverFeature = 0x0c, kConfigVector = 0x10, kQueueCount = 0x12,
                        kStatus = 0x14, kGeneration = 0x15, kQueueSelect = 0x16, kQueueSize = 0x18,
                        kQueueVector = 0x1a, kQueueEnable = 0x1c, kQueueNotify = 0x1e,
                        kDescriptors = 0x20, kAvailable = 0x28, kUsed = 0x30;

constexpr std::uint8_t kDriverOk = 4, kFeaturesOk = 8;
constexpr std::uint8_t kQueueInterrupt = 1, kConfigInterrupt = 2;

void set_half(std::uint64_t& value, bool high, std::uint64_t half) {
  value = high ? (value & 0xffffffff) | half << 32 : (value & ~std::uint64_t{0xffffffff}) | half;
}

}  // namespace

VirtioPci::VirtioPci(guest::PhysicalMemory& memory, const VirtioIdentity& identity)
    : PciDevice({.vendor = 0x1af4,
                 .device = static_cast<std::uint16_t>(0x1040 + identity.type),
                 .class_code = identity.class_code,
                 .revision = 1,
                 .subsystem_vendor = 0x1af4,
                 .subsystem = 0x1100}),
      memory_(memory),
      features_(identity.features | virtio::kVersion1 | virtio::kIndirectDescriptors |
                virtio::kEventIndex) {
  for (unsigned i = 0; i < identity.queues; ++i) queues_.emplace_back(memory);
  define(pci::kStatus, 2, kStatusHasCapabilities);
  set_interrupt_pin(1);
  add_memory_bar(kBar, kBarBytes, registers_);
  add_capability(kCapabilityCommon, kCommon, kPartBytes);
  add_capability(kCapabilityIsr, kIsr, kPartBytes);
  add_capability(kCapabilityDevice, kDevice, kPartBytes);
  add_capability(kCapabilityNotify, kNotify, kPartBytes, kNotifyStep);
  add_capability(kCapabilityWindow, 0, 0);
  define(kWindowBar, 1, 0, 0xff);
  define(kWindowOffset, 4, 0, 0xffffffff);
  define(kWindowBytes, 4, 0, 0xffffffff);
  define(kWindowData, 4, 0, 0xffffffff);
}

// "PCI configuration access capability": the BAR for those who cannot map it.
bool VirtioPci::window_leads_into_bar() const {
  const std::uint32_t offset = config(kWindowOffset, 4), bytes = config(kWindowBytes, 4);
  return config(kWindowBar, 1) == kBar && (bytes == 1 || bytes == 2 || bytes == 4) &&
         offset < kBarBytes && offset % bytes == 0;
}

void VirtioPci::before_config_read(std::uint8_t offset, unsigned) {
  if (offset != kWindowData || !window_leads_into_bar()) return;
  const std::uint64_t value =
      registers_.mmio_read(config(kWindowOffset, 4), config(kWindowBytes, 4));
  set_config(kWindowData, 4, static_cast<std::uint32_t>(value));
}

void VirtioPci::config_written(std::uint8_t offset, unsigned) {
  if (offset != kWindowData || !window_leads_into_bar()) return;
  registers_.mmio_write(config(kWindowOffset, 4), config(kWindowBytes, 4), config(kWindowData, 4));
}

// "Virtio Structure PCI Capabilities".
void VirtioPci::add_capability(std::uint8_t type, std::uint32_t offset, std::uint32_t bytes,
                               std::uint32_t extra) {
  const std::uint8_t at = next_capability_,
                     length = type >= kCapabilityWindow || type == kCapabilityNotify ? 20 : 16;
  define(last_capability_, 1, at);
  define(at, 4, kVendorCapability | std::uint32_t{length} << 16 | std::uint32_t{type} << 24);
  define(static_cast<std::uint8_t>(at + 4), 4, kBar);
  define(static_cast<std::uint8_t>(at + 8), 4, offset);
  define(static_cast<std::uint8_t>(at + 12), 4, bytes);
  if (length > 16) define(static_cast<std::uint8_t>(at + 16), 4, extra);
  last_capability_ = static_cast<std::uint8_t>(at + 1);
  next_capability_ = static_cast<std::uint8_t>(at + length);
}

void VirtioPci::reset() {
  PciDevice::reset();
  reset_transport();
  device_reset();
}

void VirtioPci::reset_transport() {
  status_ = isr_ = 0;
  driver_features_ = 0;
  feature_select_ = driver_feature_select_ = 0;
  queue_select_ = 0;
  for (VirtioQueue& queue : queues_) queue.reset();
  set_interrupt(false);
}

void VirtioPci::raise(std::uint8_t reason) {
  isr_ |= reason;
  set_interrupt(true);
}

void VirtioPci::tell_driver(unsigned index) {
  if (queues_[index].wants_interrupt(has_feature(virtio::kEventIndex))) raise(kQueueInterrupt);
}

void VirtioPci::config_changed() {
  ++generation_;
  if (status_ & kDriverOk) raise(kConfigInterrupt);
}

void VirtioPci::fail() {
  status_ |= virtio::kNeedsReset;
  if (status_ & kDriverOk) raise(kConfigInterrupt);
}

void VirtioPci::write_status(std::uint8_t value) {
  if (value == 0) {
    reset_transport();
    return device_reset();
  }
  const bool becomes_ready = (value & kDriverOk) && !(status_ & kDriverOk);
  // A driver that accepts what was not offered, or an old one, is told so.
  if ((value & kFeaturesOk) &&
      ((driver_features_ & ~features_) || !(driver_features_ & virtio::kVersion1)))
    value &= static_cast<std::uint8_t>(~kFeaturesOk);
  status_ = static_cast<std::uint8_t>(value | (status_ & virtio::kNeedsReset));
  if (becomes_ready) driver_ready();
}

std::uint64_t VirtioPci::read_common(std::uint64_t offset) {
  const VirtioQueue* q = selected();
  switch (offset) {
    case kFeatureSelect:
      return feature_select_;
    case kFeature:
      return feature_select_ < 2 ? features_ >> (32 * feature_select_) & 0xffffffff : 0;
    case kDriverFeatureSelect:
      return driver_feature_select_;
    case kDriverFeature:
      return driver_feature_select_ < 2
                 ? driver_features_ >> (32 * driver_feature_select_) & 0xffffffff
                 : 0;
    case kConfigVector:
    case kQueueVector:
      return kNoVector;
    case kQueueCount:
      return queues_.size();
    case kStatus:
      return status_;
    case kGeneration:
      return generation_;
    case kQueueSelect:
      return queue_select_;
    case kQueueSize:
      return q ? q->size : 0;
    case kQueueEnable:
      return q ? q->enabled : 0;
    case kQueueNotify:
      return q ? queue_select_ : 0;
    default:
      break;
  }
  if (!q) return 0;
  for (const auto& [at, value] :
       {std::pair{kDescriptors, q->descriptors}, {kAvailable, q->available}, {kUsed, q->used}}) {
    if (offset == at) return value;
    if (offset == at + 4) return value >> 32;
  }
  return 0;
}

void VirtioPci::write_common(std::uint64_t offset, unsigned size, std::uint64_t value) {
  VirtioQueue* q = selected();
  switch (offset) {
    case kFeatureSelect:
      feature_select_ = static_cast<std::uint32_t>(value);
      return;
    case kDriverFeatureSelect:
      driver_feature_select_ = static_cast<std::uint32_t>(value);
      return;
    case kDriverFeature:
      if (driver_feature_select_ < 2 && !(status_ & kFeaturesOk))
        set_half(driver_features_, driver_feature_select_ == 1, value & 0xffffffff);
      return;
    case kStatus:
      return write_status(static_cast<std::uint8_t>(value));
    case kQueueSelect:
      queue_select_ = static_cast<std::uint16_t>(value);
      return;
    default:
      break;
  }
  if (!q || q->enabled) return;
  switch (offset) {
    case kQueueSize:
      if (value != 0 && value <= VirtioQueue::kMostEntries && !(value & (value - 1)))
        q->size = static_cast<std::uint16_t>(value);
      return;
    case kQueueEnable:
      q->enabled = value == 1;
      return;
    default:
      break;
  }
  for (const auto& [at, member] : {std::pair{kDescriptors, &VirtioQueue::descriptors},
                                   {kAvailable, &VirtioQueue::available},
                                   {kUsed, &VirtioQueue::used}}) {
    if (offset == at && size == 8)
      q->*member = value;
    else if (offset == at || offset == at + 4)
      set_half(q->*member, offset == at + 4, value & 0xffffffff);
  }
}

std::uint64_t VirtioPci::Registers::mmio_read(std::uint64_t offset, unsigned size) {
  VirtioPci& d = device_;
  const std::uint64_t within = offset % kPartBytes;
  switch (offset / kPartBytes * kPartBytes) {
    case kCommon:
      return d.read_common(within);
    case kIsr: {
      if (within != 0) return 0;
      const std::uint8_t isr = d.isr_;
      d.isr_ = 0;
      d.set_interrupt(false);
      return isr;
    }
    case kDevice: {
      std::uint64_t value = 0;
      for (unsigned i = 0; i < size; ++i)
        value |= std::uint64_t{d.read_config(static_cast<std::uint32_t>(within + i))} << (8 * i);
      return value;
    }
    default:
      return 0;
  }
}

void VirtioPci::Registers::mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  VirtioPci& d = device_;
  const std::uint64_t within = offset % kPartBytes;
  switch (offset / kPartBytes * kPartBytes) {
    case kCommon:
      return d.write_common(within, size, value);
    case kDevice:
      for (unsigned i = 0; i < size; ++i)
        d.write_config(static_cast<std::uint32_t>(within + i),
                       static_cast<std::uint8_t>(value >> (8 * i)));
      return;
    case kNotify: {
      const std::uint64_t index = within / kNotifyStep;
      if (index < d.queues_.size() && (d.status_ & kDriverOk) && !d.needs_reset())
        d.notified(static_cast<unsigned>(index));
      return;
    }
    default:
      return;
  }
}

}  // namespace ringshift::devices
