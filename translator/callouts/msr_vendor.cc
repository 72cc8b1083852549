// translator/callouts/msr_vendor.cc - MSRs that operating systems expect of one vendor's parts.
// SDM Vol. 4; APM Vol. 2 "MSR Cross-Reference". Registers that report or configure hardware which
// is not there read as zero and ignore writes, as they do in other virtual machines.
#include "translator/callouts/msr_groups.h"

namespace ringshift::translator {
namespace {

struct Range {
  std::uint32_t first, last;
};

template <std::size_t n>
bool within(const Range (&ranges)[n], std::uint32_t index) {
  for (const Range& r : ranges)
    if (index >= r.first && index <= r.last) return true;
  return false;
}

// Both vendors: the microcode revision. All ones is what virtual machines show to say that no
// update can be loaded from inside.
constexpr std::uint32_t kMicrocodeRevision = 0x8b, kMicrocodeTrigger = 0x79;
constexpr std::uint64_t kNewestMicrocode = 0xffffffff;

constexpr std::uint32_t kPlatformId = 0x17, kAmdHwcr = 0xc0010015, kAmdDeCfg = 0xc0011029,
                        kAmdTrigger = 0xc0010020;

constexpr Range kAmdInert[] = {
    {0xc0010000, 0xc0010007},  // performance event selects and counters
    {0xc0010010, 0xc0010010},  // SYSCFG
    {0xc001001a, 0xc001001a},  // TOP_MEM
    {0xc001001d, 0xc001001d},  // TOM2
    {0xc001001f, 0xc001001f},  // NB_CFG
    {0xc0010055, 0xc0010055},  // interrupt pending message
    {0xc0010058, 0xc0010058},  // MMIO configuration base: disabled
    {0xc0010112, 0xc0010113},  // SMM base and mask
    {0xc0011022, 0xc0011023},  // data cache and bus unit configuration
};
constexpr Range kIntelInert[] = {
    {0x2a, 0x2a},    // power-on configuration
    {0x34, 0x34},    // SMI count
    {0xc1, 0xc2},    // performance counters
    {0x186, 0x187},  // performance event selects
    {0x198, 0x199},  // performance status and control
};

// APM Vol. 2 "Hardware Configuration Register (HWCR)": INVD to WBINVD, IGNNE, TLB cache disable,
// machine-check status write enable, and TscFreqSel, which reads as one.
constexpr std::uint64_t kHwcrWritable = 1u << 3 | 1u << 4 | 1u << 6 | 1u << 8 | 1u << 18,
                        kHwcrTscFrequency = 1u << 24;
constexpr std::uint64_t kDeCfgLfenceSerializes = 2;

MsrWrite write_hwcr(Core& core, std::uint64_t value) {
  if (value & ~(kHwcrWritable | kHwcrTscFrequency)) return MsrWrite::kRefused;
  core.state.msr.hwcr = value | kHwcrTscFrequency;
  return MsrWrite::kDone;
}

MsrWrite write_de_cfg(Core& core, std::uint64_t value) {
  if (value & ~kDeCfgLfenceSerializes) return MsrWrite::kRefused;
  core.state.msr.de_cfg = value;
  return MsrWrite::kDone;
}

MsrValue read_amd(const Core& core, std::uint32_t index) {
  if (index == kMicrocodeRevision) return kNewestMicrocode;
  if (index == kAmdHwcr) return core.state.msr.hwcr;
  if (index == kAmdDeCfg) return core.state.msr.de_cfg;
  return within(kAmdInert, index) ? MsrValue(0) : std::nullopt;
}

MsrWrite write_amd(Core& core, std::uint32_t index, std::uint64_t value) {
  if (index == kAmdHwcr) return write_hwcr(core, value);
  if (index == kAmdDeCfg) return write_de_cfg(core, value);
  const bool ignored = index == kAmdTrigger || index == kMicrocodeRevision;
  return ignored || within(kAmdInert, index) ? MsrWrite::kDone : MsrWrite::kNotMine;
}

MsrValue read_intel(std::uint32_t index) {
  if (index == kMicrocodeRevision) return kNewestMicrocode << 32;
  if (index == kPlatformId) return 0;
  return within(kIntelInert, index) ? MsrValue(0) : std::nullopt;
}

MsrWrite write_intel(std::uint32_t index) {
  const bool ignored = index == kMicrocodeTrigger || index == kMicrocodeRevision;
  return ignored || within(kIntelInert, index) ? MsrWrite::kDone : MsrWrite::kNotMine;
}

}  // namespace

MsrValue read_vendor_msr(const Core& core, std::uint32_t index) {
  return core.model.vendor_is_intel() ? read_intel(index) : read_amd(core, index);
}

MsrWrite write_vendor_msr(Core& core, std::uint32_t index, std::uint64_t value) {
  return core.model.vendor_is_intel() ? write_intel(index) : write_amd(core, index, value);
}

}  // namespace ringshift::translator
