// translator/callouts/msr_machine_check.cc - machine-check banks that never report an error.
// SDM Vol. 3 "Machine-Check MSRs".
#include "translator/callouts/msr_groups.h"

namespace ringshift::translator {
namespace {

namespace feature = guest::feature;

constexpr std::uint32_t kP5Address = 0, kP5Type = 1, kMcgCap = 0x179, kMcgStatus = 0x17a,
                        kMcgCtl = 0x17b, kFirstBank = 0x400;
constexpr std::uint32_t kRegistersPerBank = 4;
constexpr std::uint64_t kMcgCapValue = guest::kMachineCheckBanks | 1u << 8;  // MCG_CTL exists
constexpr std::uint64_t kAllOnes = ~std::uint64_t{0};
constexpr std::uint64_t kMcgStatusWritable = 7;

enum BankRegister : std::uint32_t { kCtl, kStatus, kAddress, kMisc };

bool is_bank(std::uint32_t index) {
  return index >= kFirstBank && index < kFirstBank + kRegistersPerBank * guest::kMachineCheckBanks;
}

// SDM: CTL holds all ones or all zeros. Operating systems leave out a bit or two for the errata of
// old parts (bit 10 of AMD's bank 4, bit 0 of the P6's bank 0): that is tolerated, as it is there.
bool valid_control(std::uint64_t value) {
  constexpr std::uint64_t kErrata = 1u << 10 | 1;
  return value == 0 || (value | kErrata) == kAllOnes;
}

bool valid_bank_value(std::uint32_t reg, std::uint64_t value) {
  if (reg == kCtl) return valid_control(value);
  return reg != kStatus || value == 0;
}

}  // namespace

MsrValue read_machine_check_msr(const Core& core, std::uint32_t index) {
  const guest::Msrs& m = core.state.msr;
  if (core.model.has(feature::kMce) && (index == kP5Address || index == kP5Type)) return 0;
  if (!core.model.has(feature::kMca)) return std::nullopt;
  if (index == kMcgCap) return kMcgCapValue;
  if (index == kMcgStatus) return m.mcg_status;
  if (index == kMcgCtl) return m.mcg_ctl;
  if (!is_bank(index)) return std::nullopt;
  const std::uint32_t n = index - kFirstBank;
  return m.machine_check[n / kRegistersPerBank][n % kRegistersPerBank];
}

MsrWrite write_machine_check_msr(Core& core, std::uint32_t index, std::uint64_t value) {
  guest::Msrs& m = core.state.msr;
  if (core.model.has(feature::kMce) && (index == kP5Address || index == kP5Type))
    return MsrWrite::kDone;
  if (!core.model.has(feature::kMca)) return MsrWrite::kNotMine;
  if (index == kMcgCap) return MsrWrite::kRefused;
  if (index == kMcgStatus) {
    if (value & ~kMcgStatusWritable) return MsrWrite::kRefused;
    m.mcg_status = value;
    return MsrWrite::kDone;
  }
  if (index == kMcgCtl) {
    if (value != 0 && value != kAllOnes) return MsrWrite::kRefused;
    m.mcg_ctl = value;
    return MsrWrite::kDone;
  }
  if (!is_bank(index)) return MsrWrite::kNotMine;
  const std::uint32_t n = index - kFirstBank;
  if (!valid_bank_value(n % kRegistersPerBank, value)) return MsrWrite::kRefused;
  m.machine_check[n / kRegistersPerBank][n % kRegistersPerBank] = value;
  return MsrWrite::kDone;
}

}  // namespace ringshift::translator
