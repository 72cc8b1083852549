// runtime/accelerator_choice.cc - which accelerator runs the guest.
#include "runtime/accelerator_choice.h"

#include <fmt/format.h>

#include "runtime/kvm/kvm_accelerator.h"
#include "runtime/kvm_verdict.h"
#include "runtime/probe.h"

namespace ringshift::runtime {
namespace {

using Result = tl::expected<AcceleratorChoice, std::string>;

Result choose_bt(const HostReport& host, const BtOptions& options, std::string why) {
  if (const auto missing = missing_for_translation(host); !missing.empty())
    return tl::unexpected(missing);
  return AcceleratorChoice{create_bt_accelerator(options), std::move(why), ""};
}

Result choose_kvm(const KvmVerdict& verdict) {
  auto accelerator = create_kvm_accelerator();
  if (!accelerator) return tl::unexpected("-accel kvm: " + accelerator.error());
  AcceleratorChoice choice{std::move(*accelerator), verdict.why, ""};
  if (!verdict.hardware)
    choice.warning = fmt::format("-accel kvm will be slow: {}; -accel bt is faster", verdict.why);
  return choice;
}

}  // namespace

tl::expected<AcceleratorChoice, std::string> choose_accelerator(AcceleratorKind kind,
                                                                const BtOptions& bt) {
  auto host = probe_host();
  if (kind == AcceleratorKind::kBt) return choose_bt(host, bt, "as asked for");
  // What says itself that it is slow is not measured.
  if (judge_kvm(host).hardware) measure_kvm(host);
  const auto verdict = judge_kvm(host);
  if (kind == AcceleratorKind::kKvm || verdict.hardware) return choose_kvm(verdict);
  return choose_bt(host, bt, verdict.why);
}

}  // namespace ringshift::runtime
