// runtime/probe.cc - what this host offers to run guests with: the answer of `ringshift probe`.
#include "runtime/probe.h"

#include <cpuid.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grp.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "runtime/kvm/calibration.h"
#include "runtime/kvm/kvm_device.h"
#include "runtime/kvm_verdict.h"

namespace ringshift::runtime {
namespace {

constexpr const char* kKvmPath = "/dev/kvm";

using Registers = std::array<std::uint32_t, 4>;  // EAX, EBX, ECX, EDX
enum Register { kEax, kEbx, kEcx, kEdx };

Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf = 0) {
  Registers r{};
  __get_cpuid_count(leaf, subleaf, &r[0], &r[1], &r[2], &r[3]);
  return r;
}

struct FlagRow {
  const char* name;
  std::uint32_t leaf;
  Register reg;
  unsigned bit;
};

// System V ABI "x86-64-v2".
constexpr std::array kBaseline = std::to_array<FlagRow>({
    {"cmpxchg16b", 1, kEcx, 13},
    {"lahf_lm", 0x80000001, kEcx, 0},
    {"popcnt", 1, kEcx, 23},
    {"sse3", 1, kEcx, 0},
    {"ssse3", 1, kEcx, 9},
    {"sse4_1", 1, kEcx, 19},
    {"sse4_2", 1, kEcx, 20},
});
constexpr std::array kExtensions = std::to_array<FlagRow>({
    {"avx", 1, kEcx, 28},      {"fma", 1, kEcx, 12},        {"f16c", 1, kEcx, 29},
    {"aes", 1, kEcx, 25},      {"pclmulqdq", 1, kEcx, 1},   {"movbe", 1, kEcx, 22},
    {"rdrand", 1, kEcx, 30},   {"avx2", 7, kEbx, 5},        {"bmi1", 7, kEbx, 3},
    {"bmi2", 7, kEbx, 8},      {"erms", 7, kEbx, 9},        {"adx", 7, kEbx, 19},
    {"sha", 7, kEbx, 29},      {"avx512f", 7, kEbx, 16},    {"avx512dq", 7, kEbx, 17},
    {"avx512bw", 7, kEbx, 30}, {"avx512vl", 7, kEbx, 31},   {"gfni", 7, kEcx, 8},
    {"vaes", 7, kEcx, 9},      {"vpclmulqdq", 7, kEcx, 10},
});

bool has(const FlagRow& row) { return cpuid(row.leaf)[row.reg] >> row.bit & 1; }

std::string text_of(const Registers& r, std::initializer_list<Register> order) {
  std::string text;
  for (const auto reg : order) text.append(reinterpret_cast<const char*>(&r[reg]), 4);
  return text.substr(0, text.find('\0'));
}

std::string brand() {
  std::string text;
  for (const std::uint32_t leaf : {0x80000002u, 0x80000003u, 0x80000004u})
    text += text_of(cpuid(leaf), {kEax, kEbx, kEcx, kEdx});
  const auto start = text.find_first_not_of(' ');
  return start == std::string::npos ? "unknown" : text.substr(start);
}

// Group, and what stands in the way of opening it.
void look_at_kvm(HostReport& report) {
  struct stat file {};
  if (::stat(kKvmPath, &file) == 0)
    if (const group* owner = ::getgrgid(file.st_gid); owner && (file.st_mode & S_IWGRP))
      report.kvm_group = owner->gr_name;
  const FileDescriptor fd(::open(kKvmPath, O_RDWR | O_CLOEXEC));
  report.kvm_errno = fd.valid() ? 0 : errno;
  if (const auto device = KvmDevice::open(); !device) report.kvm = device.error();
}

// Parameters of kvm_intel are Y or N, those of kvm_amd were 1 or 0 once.
bool is_off(const char* parameter) {
  const char value = static_cast<char>(std::ifstream(parameter).get());
  return value == 'N' || value == '0';
}

// EPT and NPT show only through model-specific registers, which the kernel reads for us.
bool kernel_lists(const std::string& flag) {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (!line.starts_with("flags") && !line.starts_with("vmx flags")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    for (std::string word; words >> word;)
      if (word == flag) return true;
  }
  return false;
}

const char* yes_no(bool value) { return value ? "yes" : "no"; }

}  // namespace

HostReport probe_host() {
  HostReport report;
  report.vendor = text_of(cpuid(0), {kEbx, kEdx, kEcx});
  report.brand = brand();
  utsname system{};
  if (::uname(&system) == 0) report.kernel = system.release;
  for (const auto& row : kBaseline)
    if (!has(row)) report.missing_baseline.emplace_back(row.name);
  for (const auto& row : kExtensions)
    if (has(row)) report.extensions.emplace_back(row.name);
  constexpr unsigned long kHwcap2Fsgsbase = 1u << 1;
  report.fsgsbase = ::getauxval(AT_HWCAP2) & kHwcap2Fsgsbase;
  report.hypervisor = cpuid(1)[kEcx] >> 31 & 1;
  report.vmx = cpuid(1)[kEcx] >> 5 & 1;
  report.svm = cpuid(0x80000001)[kEcx] >> 2 & 1;
  report.ept = kernel_lists("ept");
  report.npt = kernel_lists("npt");
  report.paging_off = is_off(report.svm ? "/sys/module/kvm_amd/parameters/npt"
                                        : "/sys/module/kvm_intel/parameters/ept");
  look_at_kvm(report);
  return report;
}

void measure_kvm(HostReport& report) {
  const auto device = KvmDevice::open();
  if (!device) return;
  if (const auto ns = measure_ring0(*device))
    report.ring0_ns = *ns;
  else
    report.kvm = ns.error();
}

std::string missing_for_translation(const HostReport& report) {
  if (!report.missing_baseline.empty()) {
    return fmt::format("this processor lacks {} (x86-64-v2 is needed)",
                       fmt::join(report.missing_baseline, ", "));
  }
  if (!report.fsgsbase) {
    return "RDFSBASE is not usable from user space here (Linux 5.9 or newer on a processor with "
           "FSGSBASE is needed)";
  }
  return "";
}

std::string to_text(const HostReport& report) {
  std::string text =
      fmt::format("processor     {} ({}){}\nkernel        Linux {}\n", report.brand, report.vendor,
                  report.hypervisor ? ", virtual" : "", report.kernel);
  const auto missing = missing_for_translation(report);
  text += fmt::format("translation   {}\n", missing.empty() ? "works here" : missing);
  text += fmt::format("extensions    {}\n", fmt::join(report.extensions, " "));
  text += fmt::format("KVM           {}\n", report.kvm.empty() ? "/dev/kvm opens" : report.kvm);
  text += fmt::format("vmx {}, ept {}, svm {}, npt {}\n", yes_no(report.vmx), yes_no(report.ept),
                      yes_no(report.svm), yes_no(report.npt));
  if (report.ring0_ns)
    text += fmt::format("              {:.3g} ns for an instruction of ring 0\n", *report.ring0_ns);
  const auto verdict = judge_kvm(report);
  text += fmt::format("-accel auto   takes {}: {}\n", verdict.hardware ? "kvm" : "bt", verdict.why);
  for (const auto& change : verdict.changes) text += fmt::format("for hardware  {}\n", change);
  return text;
}

std::string to_json(const HostReport& report) {
  const auto verdict = judge_kvm(report);
  nlohmann::ordered_json json{
      {"vendor", report.vendor},
      {"brand", report.brand},
      {"kernel", report.kernel},
      {"hypervisor", report.hypervisor},
      {"translation", report.translation_works()},
      {"missing", missing_for_translation(report)},
      {"fsgsbase", report.fsgsbase},
      {"missing_baseline", report.missing_baseline},
      {"extensions", report.extensions},
      {"kvm_opens", report.kvm.empty()},
      {"kvm_error", report.kvm},
      {"kvm_is_hardware", verdict.hardware},
      {"vmx", report.vmx},
      {"ept", report.ept},
      {"svm", report.svm},
      {"npt", report.npt},
      {"nested_paging_off", report.paging_off},
      {"ring0_nanoseconds", nullptr},
      {"auto", verdict.hardware ? "kvm" : "bt"},
      {"why", verdict.why},
      {"changes_for_hardware", verdict.changes},
  };
  if (report.ring0_ns) json["ring0_nanoseconds"] = *report.ring0_ns;
  return json.dump(2) + "\n";
}

}  // namespace ringshift::runtime
