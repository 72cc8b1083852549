// runtime/kvm/kvm_state.cc - the guest's registers between guest::CpuState and KVM's structures.
#include "runtime/kvm/kvm_state.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "runtime/kvm/variable_list.h"

namespace ringshift::runtime {
namespace {

using guest::CpuState;
using guest::Gpr;
using guest::Msrs;
using guest::Seg;
using guest::SegmentRegister;
using Status = tl::expected<void, std::string>;

constexpr std::array<KvmMsr, kKvmMsrs> kMsrs{{{0xc0000081, &Msrs::star},
                                              {0xc0000082, &Msrs::lstar},
                                              {0xc0000083, &Msrs::cstar},
                                              {0xc0000084, &Msrs::sfmask},
                                              {0xc0000102, &Msrs::kernel_gs_base},
                                              {0x174, &Msrs::sysenter_cs},
                                              {0x175, &Msrs::sysenter_esp},
                                              {0x176, &Msrs::sysenter_eip},
                                              {0x277, &Msrs::pat},
                                              {0xc0000103, &Msrs::tsc_aux}}};
constexpr std::uint32_t kTimeStampCounter = 0x10;

// KVM's order of general registers is not the processor's.
constexpr std::array<std::pair<Gpr, __u64 kvm_regs::*>, 16> kGprs{{{Gpr::kRax, &kvm_regs::rax},
                                                                   {Gpr::kRcx, &kvm_regs::rcx},
                                                                   {Gpr::kRdx, &kvm_regs::rdx},
                                                                   {Gpr::kRbx, &kvm_regs::rbx},
                                                                   {Gpr::kRsp, &kvm_regs::rsp},
                                                                   {Gpr::kRbp, &kvm_regs::rbp},
                                                                   {Gpr::kRsi, &kvm_regs::rsi},
                                                                   {Gpr::kRdi, &kvm_regs::rdi},
                                                                   {Gpr::kR8, &kvm_regs::r8},
                                                                   {Gpr::kR9, &kvm_regs::r9},
                                                                   {Gpr::kR10, &kvm_regs::r10},
                                                                   {Gpr::kR11, &kvm_regs::r11},
                                                                   {Gpr::kR12, &kvm_regs::r12},
                                                                   {Gpr::kR13, &kvm_regs::r13},
                                                                   {Gpr::kR14, &kvm_regs::r14},
                                                                   {Gpr::kR15, &kvm_regs::r15}}};
constexpr std::array<std::pair<Seg, kvm_segment kvm_sregs2::*>, guest::kSegCount> kSegments{
    {{Seg::kEs, &kvm_sregs2::es},
     {Seg::kCs, &kvm_sregs2::cs},
     {Seg::kSs, &kvm_sregs2::ss},
     {Seg::kDs, &kvm_sregs2::ds},
     {Seg::kFs, &kvm_sregs2::fs},
     {Seg::kGs, &kvm_sregs2::gs}}};

kvm_segment to_kvm(const SegmentRegister& s) {
  const auto bit = [&](unsigned n) { return static_cast<__u8>(s.attributes >> n & 1); };
  kvm_segment k{};
  k.base = s.base;
  k.limit = s.limit;
  k.selector = s.selector;
  k.type = static_cast<__u8>(s.type());
  k.s = bit(4);
  k.dpl = static_cast<__u8>(s.dpl());
  k.present = bit(7);
  k.avl = bit(12);
  k.l = bit(13);
  k.db = bit(14);
  k.g = bit(15);
  k.unusable = !s.present();
  return k;
}

SegmentRegister from_kvm(const kvm_segment& k) {
  const unsigned present = k.present && !k.unusable;
  const unsigned attributes = k.type | k.s << 4 | k.dpl << 5 | present << 7 | k.avl << 12 |
                              k.l << 13 | k.db << 14 | k.g << 15;
  return {k.selector, static_cast<std::uint16_t>(attributes), k.limit, k.base};
}

kvm_dtable to_kvm(const guest::TableRegister& t) { return {t.base, t.limit, {}}; }

void tables_to_kvm(const CpuState& s, kvm_sregs2& k) {
  for (const auto& [seg, member] : kSegments) k.*member = to_kvm(s.segment(seg));
  k.ss.dpl = s.cpl;  // where KVM takes the privilege from
  k.ldt = to_kvm(s.ldtr);
  k.tr = to_kvm(s.tr);
  k.gdt = to_kvm(s.gdtr);
  k.idt = to_kvm(s.idtr);
}

bool uses_pdptes(const CpuState& s) {
  return s.paging() && (s.cr4 & guest::cr4::kPae) && !s.long_mode_active();
}

kvm_vcpu_events events_to_kvm(const CpuState& s) {
  kvm_vcpu_events e{};
  e.nmi.pending = s.nmi_pending;
  e.nmi.masked = s.nmi_blocked;
  if (s.interrupt_shadow) {
    // A processor in STI's shadow has IF set; entered without, hardware refuses the guest.
    if (s.debug_shadow)
      e.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS;
    else if (s.rflags & guest::flags::kIf)
      e.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
  }
  e.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
  return e;
}

template <typename T>
bool same(const T& a, const T& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

Status call(int vcpu, unsigned long request, void* argument, const char* what) {
  if (::ioctl(vcpu, request, argument) >= 0) return {};
  return tl::unexpected(fmt::format("KVM refuses {}: {}", what, std::strerror(errno)));
}
template <typename T>
Status set(int vcpu, unsigned long request, const T& value, const char* what) {
  T copy = value;
  return call(vcpu, request, &copy, what);
}

kvm_device_attr tsc_offset_attribute(std::uint64_t* value) {
  return {0, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, reinterpret_cast<std::uint64_t>(value)};
}

}  // namespace

std::span<const KvmMsr> kvm_msrs() { return kMsrs; }

KvmState to_kvm(const CpuState& s, std::uint64_t apic_base) {
  KvmState k;
  for (const auto& [reg, member] : kGprs) k.regs.*member = s.reg(reg);
  k.regs.rip = s.rip;
  k.regs.rflags = s.rflags;
  tables_to_kvm(s, k.sregs);
  k.sregs.cr0 = s.cr0;
  k.sregs.cr2 = s.cr2;
  k.sregs.cr3 = s.cr3;
  k.sregs.cr4 = s.cr4;
  k.sregs.efer = s.msr.efer;
  k.sregs.apic_base = apic_base;
  if (uses_pdptes(s)) {
    k.sregs.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
    std::copy(s.pdpte.begin(), s.pdpte.end(), k.sregs.pdptrs);
  }
  for (unsigned i = 0; i < 4; ++i) k.debug.db[i] = s.dr[i];
  k.debug.dr6 = s.dr[6];
  k.debug.dr7 = s.dr[7];
  k.events = events_to_kvm(s);
  k.xsave = s.xsave;
  k.xcr0 = s.xcr0;
  k.tsc_offset = s.msr.tsc_offset;
  for (std::size_t i = 0; i < kKvmMsrs; ++i) k.msrs[i] = s.msr.*kMsrs[i].place;
  return k;
}

void from_kvm(const KvmState& k, CpuState& s) {
  for (const auto& [reg, member] : kGprs) s.reg(reg) = k.regs.*member;
  s.rip = k.regs.rip;
  s.rflags = k.regs.rflags;
  for (const auto& [seg, member] : kSegments) s.segment(seg) = from_kvm(k.sregs.*member);
  s.ldtr = from_kvm(k.sregs.ldt);
  s.tr = from_kvm(k.sregs.tr);
  s.gdtr = {k.sregs.gdt.base, k.sregs.gdt.limit};
  s.idtr = {k.sregs.idt.base, k.sregs.idt.limit};
  s.cr0 = k.sregs.cr0;
  s.cr2 = k.sregs.cr2;
  s.cr3 = k.sregs.cr3;
  s.cr4 = k.sregs.cr4;
  s.msr.efer = k.sregs.efer;
  if (k.sregs.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)
    std::copy_n(k.sregs.pdptrs, s.pdpte.size(), s.pdpte.begin());
  s.cpl = s.protected_mode() ? static_cast<std::uint8_t>(s.segment(Seg::kSs).dpl()) : 0;
  for (unsigned i = 0; i < 4; ++i) s.dr[i] = k.debug.db[i];
  s.dr[6] = k.debug.dr6;
  s.dr[7] = k.debug.dr7;
  s.nmi_pending = k.events.nmi.pending;
  s.nmi_blocked = k.events.nmi.masked;
  s.interrupt_shadow = k.events.interrupt.shadow != 0;
  s.debug_shadow = k.events.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS;
  s.pending_debug = 0;
  s.xsave = k.xsave;
  s.xcr0 = k.xcr0;
  for (std::size_t i = 0; i < kKvmMsrs; ++i) s.msr.*kMsrs[i].place = k.msrs[i];
}

KvmStateTransfer::KvmStateTransfer(int vcpu, unsigned has_msr, bool has_xcrs)
    : vcpu_(vcpu), has_msr_(has_msr), has_xcrs_(has_xcrs) {
  std::uint64_t value = 0;
  kvm_device_attr attribute = tsc_offset_attribute(&value);
  has_tsc_offset_ = ::ioctl(vcpu_, KVM_HAS_DEVICE_ATTR, &attribute) == 0;
}

tl::expected<void, std::string> KvmStateTransfer::fetch(KvmState& to) const {
  const auto read = [&](unsigned long request, void* place, const char* what, Status& status) {
    if (status) status = call(vcpu_, request, place, what);
  };
  Status status;
  read(KVM_GET_REGS, &to.regs, "to tell registers", status);
  read(KVM_GET_SREGS2, &to.sregs, "to tell system registers", status);
  read(KVM_GET_DEBUGREGS, &to.debug, "to tell debug registers", status);
  read(KVM_GET_VCPU_EVENTS, &to.events, "to tell events", status);
  read(request::kGetXsave, &to.xsave, "to tell extended state", status);
  if (has_xcrs_) {
    kvm_xcrs xcrs{};
    read(KVM_GET_XCRS, &xcrs, "to tell XCR0", status);
    if (xcrs.nr_xcrs) to.xcr0 = xcrs.xcrs[0].value;
  }
  VariableList<MsrValueHead, kvm_msr_entry> list(kKvmMsrs);
  const auto entries = list.entries(kKvmMsrs);
  for (std::size_t i = 0; i < kKvmMsrs; ++i)
    if (has_msr_ >> i & 1) entries[list->count++].index = kMsrs[i].index;
  read(request::kGetMsrs, list.get(), "to tell MSRs", status);
  for (std::size_t i = 0, n = 0; i < kKvmMsrs; ++i)
    if (has_msr_ >> i & 1) to.msrs[i] = entries[n++].data;
  return status;
}

Status KvmStateTransfer::push_msrs(const KvmState& wanted) const {
  VariableList<MsrValueHead, kvm_msr_entry> list(kKvmMsrs);
  const auto entries = list.entries(kKvmMsrs);
  for (std::size_t i = 0; i < kKvmMsrs; ++i) {
    if (!(has_msr_ >> i & 1)) continue;
    entries[list->count].index = kMsrs[i].index;
    entries[list->count++].data = wanted.msrs[i];
  }
  const int done = ::ioctl(vcpu_, request::kSetMsrs, list.get());
  if (done == static_cast<int>(list->count)) return {};
  return tl::unexpected(fmt::format("KVM refuses MSR {:#x}",
                                    entries[static_cast<std::size_t>(std::max(done, 0))].index));
}

// Linux before 5.16 takes a value of the counter only, which is later by the way there.
Status KvmStateTransfer::push_tsc_offset(std::uint64_t offset) const {
  if (has_tsc_offset_)
    return set(vcpu_, KVM_SET_DEVICE_ATTR, tsc_offset_attribute(&offset), "the TSC's offset");
  VariableList<MsrValueHead, kvm_msr_entry> list(1);
  list->count = 1;
  list.entries(1)[0] = {kTimeStampCounter, 0, __builtin_ia32_rdtsc() + offset};
  return call(vcpu_, request::kSetMsrs, list.get(), "the TSC");
}

Status KvmStateTransfer::push_xcr0(std::uint64_t value) const {
  if (!has_xcrs_) return {};
  kvm_xcrs xcrs{};
  xcrs.nr_xcrs = 1;
  xcrs.xcrs[0].value = value;
  return call(vcpu_, KVM_SET_XCRS, &xcrs, "XCR0");
}

// System registers before what depends on them; events last, because setting registers clears some.
Status KvmStateTransfer::push(const KvmState& wanted, const KvmState& known, bool all) const {
  Status status;
  const auto differs = [&](const auto& a, const auto& b) { return status && (all || !same(a, b)); };
  if (differs(wanted.sregs, known.sregs))
    status = set(vcpu_, KVM_SET_SREGS2, wanted.sregs, "the system registers");
  if (differs(wanted.xcr0, known.xcr0)) status = push_xcr0(wanted.xcr0);
  if (differs(wanted.xsave, known.xsave))
    status = set(vcpu_, request::kSetXsave, wanted.xsave, "the extended state");
  if (differs(wanted.msrs, known.msrs)) status = push_msrs(wanted);
  if (differs(wanted.tsc_offset, known.tsc_offset)) status = push_tsc_offset(wanted.tsc_offset);
  if (differs(wanted.debug, known.debug))
    status = set(vcpu_, KVM_SET_DEBUGREGS, wanted.debug, "the debug registers");
  if (differs(wanted.regs, known.regs))
    status = set(vcpu_, KVM_SET_REGS, wanted.regs, "the registers");
  if (differs(wanted.events, known.events))
    status = set(vcpu_, KVM_SET_VCPU_EVENTS, wanted.events, "the events");
  return status;
}

}  // namespace ringshift::runtime
