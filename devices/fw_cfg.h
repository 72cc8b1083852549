// devices/fw_cfg.h - QEMU's firmware configuration device: numbered items and named files, by port
// or DMA. The board fills in the items before the machine runs; the guest selects one and reads its
// bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devices/byte_ports.h"
#include "guest/physical_memory.h"

namespace ringshift::devices {

// Selector keys. Numbers are little-endian in the item.
enum class FwCfgKey : std::uint16_t {
  kSignature = 0x00,
  kFeatures = 0x01,
  kUuid = 0x02,
  kRamSize = 0x03,  // 8 bytes
  kNoGraphic = 0x04,
  kCpuCount = 0x05,
  kKernelAddress = 0x07,
  kKernelSize = 0x08,
  kKernelCommandLine = 0x09,
  kInitrdAddress = 0x0a,
  kInitrdSize = 0x0b,
  kBootDevice = 0x0c,
  kNuma = 0x0d,
  kBootMenu = 0x0e,
  kMaximumCpus = 0x0f,
  kKernelEntry = 0x10,
  kKernelData = 0x11,
  kInitrdData = 0x12,
  kCommandLineAddress = 0x13,
  kCommandLineSize = 0x14,
  kCommandLineData = 0x15,
  kSetupAddress = 0x16,
  kSetupSize = 0x17,
  kSetupData = 0x18,
  kFileDirectory = 0x19,
  kFirstFile = 0x20,
  kAcpiTables = 0x8000,
  kSmbios = 0x8001,
  kIrq0Override = 0x8002,
};

class FwCfg {
 public:
  static constexpr std::uint16_t kBase = 0x510, kPortBytes = 2, kDmaBase = 0x514, kDmaBytes = 8;
  static constexpr std::size_t kMostFiles = 0x100, kNameBytes = 56;

  explicit FwCfg(guest::PhysicalMemory& memory);
  FwCfg(const FwCfg&) = delete;
  FwCfg& operator=(const FwCfg&) = delete;

  PortHandler& ports() { return ports_; }          // kBase, kPortBytes
  PortHandler& dma_ports() { return dma_ports_; }  // kDmaBase, kDmaBytes

  // What every guest looks for: memory size and processor counts.
  void describe_machine(std::uint64_t ram_bytes, unsigned cpus, unsigned maximum_cpus);

  void set(FwCfgKey key, std::vector<std::uint8_t> bytes);
  void set_u16(FwCfgKey key, std::uint16_t value);
  void set_u32(FwCfgKey key, std::uint32_t value);
  void set_u64(FwCfgKey key, std::uint64_t value);
  // A string item ends with a NUL.
  void set_string(FwCfgKey key, std::string_view text);
  // False when the name is empty, too long or taken, or there are too many files.
  [[nodiscard]] bool add_file(std::string_view name, std::vector<std::uint8_t> bytes);

  // The bytes of a file are asked for anew whenever a guest selects it; their number stays.
  void refresh_file(std::string_view name, std::function<std::vector<std::uint8_t>()> bytes);

  void reset();

 private:
  void select(std::uint16_t key);
  std::uint8_t read_data();
  std::uint32_t read_dma(std::uint16_t offset, unsigned size) const;
  void write_dma(std::uint16_t offset, unsigned size, std::uint32_t value);
  void run_dma(guest::PhysicalAddress descriptor);
  // False when the transfer is refused.
  bool transfer(std::uint32_t control, std::uint32_t length, std::uint64_t address);
  void copy_to_guest(std::uint64_t address, std::uint64_t length);
  void skip(std::uint64_t length);
  void build_directory();

  guest::PhysicalMemory& memory_;
  FunctionPorts ports_, dma_ports_;
  std::map<std::uint16_t, std::vector<std::uint8_t>> items_;
  std::map<std::uint16_t, std::function<std::vector<std::uint8_t>()>> refreshers_;
  std::vector<std::string> files_;  // names, by key from kFirstFile
  const std::vector<std::uint8_t>* selected_ = nullptr;
  std::size_t offset_ = 0;
  std::uint32_t dma_high_ = 0;
};

}  // namespace ringshift::devices
