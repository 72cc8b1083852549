// runtime/bt/hooks.cc - what translated code calls: slow memory accesses, special instructions,
// exits.
#include "runtime/bt/bt_vcpu.h"
#include "translator/callouts/extended_state.h"
#include "translator/callouts/stack_segment.h"
#include "translator/instruction_table.h"

namespace ringshift::runtime {
using codecache::Block;
using codecache::FaultPoint;
using guest::GuestFault;
using guest::LinearAddress;
using softmmu::AccessKind;
using translator::Operation;
using translator::Trait;

namespace {

// More than any store's stub takes.
constexpr std::size_t kStubRoom = 1024;

// The fault point that a memory look-up's return address belongs to.
struct Site {
  const Block* block = nullptr;
  const FaultPoint* point = nullptr;
};

Site site_of(const codecache::Cache& cache, const std::uint8_t* return_address) {
  Site site;
  site.block = cache.find_host(return_address);
  if (site.block) site.point = site.block->fault_point(return_address);
  return site;
}

guest::Status check_traits(const guest::CpuState& s, const Operation& op, Trait traits) {
  if ((op.prefixes & translator::prefix::kLock) && !has(traits, Trait::kLockable))
    return tl::unexpected(guest::invalid_opcode());
  if (has(traits, Trait::kProtectedOnly) && s.real_or_v86())
    return tl::unexpected(guest::invalid_opcode());
  if (has(traits, Trait::kNot64) && s.in_64bit_code())
    return tl::unexpected(guest::invalid_opcode());
  if (has(traits, Trait::kOnly64) && !s.in_64bit_code())
    return tl::unexpected(guest::invalid_opcode());
  if (has(traits, Trait::kRing0) && s.cpl != 0) return tl::unexpected(guest::general_protection());
  return {};
}

}  // namespace

// --- memory --------------------------------------------------------------------------------------

// SDM Vol. 3 "Priority Among Simultaneous Exceptions and Interrupts": an x87 exception of an
// earlier instruction comes first.
void BtVcpu::access_fault(const Block& block, const FaultPoint& point, const GuestFault& fault) {
  set_rip(frame().rip_base + block.start_offset() + point.guest_offset);
  state().rflags = translator::materialize_flags(frame());
  if (point.waits_for_x87) spill_simd();
  if (point.waits_for_x87 && !translator::check_pending_x87(core_))
    raise_x87_error();
  else
    raise(fault);
  go_on();
}

std::uint8_t* BtVcpu::group_miss(std::uint64_t linear, std::uint64_t kind,
                                 const std::uint8_t** slot) {
  constexpr std::uint8_t kTooOften = 16;
  const LinearAddress a{linear};
  const auto span = static_cast<unsigned>(kind & 0xff);
  if (guest::is_canonical(linear) && guest::is_canonical(linear + span - 1)) {
    const auto direct = mmu_.host_address(a, span, kind & translator::kWriteAccess);
    if (direct && *direct) return *direct;
  }
  Block& block = *cache_.find_host(*slot);
  const FaultPoint& point = *block.fault_point(*slot);
  set_rip(frame().rip_base + block.start_offset() + point.guest_offset);
  state().rflags = translator::materialize_flags(frame());
  single_budget_ = point.group_instructions;
  if (point.interrupt_shadow) state().interrupt_shadow = true;
  if (++block.undone_groups >= kTooOften) {
    cache_.mark(block.key, codecache::Mark::kUngrouped);
    cache_.invalidate(block, codecache::Removal::kUngrouped);
  }
  go_on();
  return nullptr;
}

guest::Status BtVcpu::fetch(LinearAddress a, std::span<std::uint8_t> to, bool write, bool reads) {
  if (write) RS_CHECK(mmu_.probe(a, to.size(), mmu_.data_access(AccessKind::kWrite)));
  if (write && !reads) return {};
  return mmu_.read(a, to, mmu_.data_access(AccessKind::kRead));
}

// The operand has to be aligned and is not. With MXCSR.MM set only moves need to be (AMD APM Vol. 1
// "Misaligned Exception Mask"): that is left to the processor, which finds it after the access.
bool BtVcpu::is_misaligned(LinearAddress a, const FaultPoint& point, unsigned bytes) {
  constexpr std::uint32_t kMisalignedMask = 1u << 17;
  if (a.value % point.alignment == 0) return false;
  spill_simd();
  if (translator::ExtendedState(core_).mxcsr() & kMisalignedMask) return false;
  return !point.masked || masked_bytes(point, bytes).checked != 0;
}

std::uint8_t* BtVcpu::slow_access(std::uint64_t linear, std::uint64_t kind,
                                  const std::uint8_t** slot) {
  const auto bytes = static_cast<unsigned>(kind & 0xff);
  const bool write = kind & translator::kWriteAccess;
  const LinearAddress a{linear};
  if (options_.log.mmu) log_miss(a, bytes, write);
  const bool canonical = guest::is_canonical(linear) && guest::is_canonical(linear + bytes - 1);
  guest::Checked<std::uint8_t*> direct = nullptr;
  if (canonical) {
    direct = mmu_.host_address(a, bytes, write);
    if (direct && *direct) return *direct;
  }
  const Site site = site_of(cache_, *slot);
  const Block& block = *site.block;
  const FaultPoint& point = *site.point;
  // MMIO handlers may look at the state.
  set_rip(frame().rip_base + block.start_offset() + point.guest_offset);
  const std::uint8_t* begin = block.host + point.access_begin;
  // A full cache has no room for a store's stub: it starts afresh, and with it the instruction. A
  // load does so too, lest PUSH reads a device again for the sake of its store.
  if (!cache_.has_room(kStubRoom) && !store_stubs_.contains(begin)) {
    state().rflags = translator::materialize_flags(frame());
    if (point.interrupt_shadow) state().interrupt_shadow = true;
    make_room();
    go_on();
    return nullptr;
  }
  std::uint8_t* at = frame().bounce + linear % 64;
  frame().store_mask = ~std::uint64_t{0};
  guest::Status status;
  if (is_misaligned(a, point, bytes))
    status = tl::unexpected(guest::general_protection());
  else if (point.masked)
    status = fetch_masked(a, {at, bytes}, write, point);
  else if (!canonical)
    status =
        tl::unexpected(point.stack_segment ? guest::stack_fault() : guest::general_protection());
  else if (!direct)
    status = tl::unexpected(direct.error());
  else
    status = fetch(a, {at, bytes}, write, point.reads_memory);
  if (!status) {
    access_fault(block, point, status.error());
    return nullptr;
  }
  if (write) {
    frame().store_linear = linear;
    frame().store_bytes = bytes;
    frame().store_host = reinterpret_cast<std::uint64_t>(at);
    const unsigned end = point.guest_offset + point.guest_length;
    frame().store_next_rip = end < block.guest_bytes ? frame().rip_base + block.start_offset() + end
                                                     : translator::kNoRip;
    const auto known = store_stubs_.find(begin);
    *slot = known != store_stubs_.end() ? known->second : store_stub(block, point, begin);
  }
  translator::load_simd(frame(), simd_mask_);
  sync_view();
  return at;
}

bool BtVcpu::commit_store() {
  Frame& f = frame();
  code_changed_ = false;
  const auto bytes = static_cast<std::size_t>(f.store_bytes);
  const auto* from = reinterpret_cast<const std::uint8_t*>(f.store_host);
  // Probed before the instruction ran, so it cannot fault now.
  if (~f.store_mask)
    store_masked(LinearAddress{f.store_linear}, from, f.store_mask);
  else
    static_cast<void>(mmu_.write(LinearAddress{f.store_linear}, {from, bytes},
                                 mmu_.data_access(AccessKind::kWrite)));
  if (f.store_next_rip != translator::kNoRip &&
      (code_changed_ || f.attention.load(std::memory_order_relaxed))) {
    set_rip(f.store_next_rip);
    f.state.rflags = translator::materialize_flags(f);
    go_on();
    return true;
  }
  translator::load_simd(f, simd_mask_);
  sync_view();
  return false;
}

std::uint64_t BtVcpu::segment_check(std::uint64_t offset, std::uint64_t packed,
                                    const std::uint8_t* return_address) {
  const auto seg = static_cast<guest::Seg>(packed & 0xff);
  const auto bytes = static_cast<unsigned>(packed >> 8 & 0xff);
  const bool write = packed >> 16 & 1;
  auto& s = state();
  const Site site = site_of(cache_, return_address);
  auto fail = [&](const GuestFault& fault) {
    access_fault(*site.block, *site.point, fault);
    return ~std::uint64_t{0};
  };
  std::uint64_t linear = offset;
  if (!s.in_64bit_code()) {
    auto checked = translator::linear_address(core_, seg, offset, bytes, write);
    if (!checked && site.point->masked)
      checked = masked_linear_address(*site.point, seg, offset, bytes, write);
    if (!checked) {
      const LinearAddress wrapped{(s.segment(seg).base + offset) & 0xffffffff};
      return fail(is_misaligned(wrapped, *site.point, bytes) ? guest::general_protection()
                                                             : checked.error());
    }
    linear = checked->value;
  }
  const std::uint64_t alignment = packed >> 17;
  if ((linear & (alignment - 1)) && translator::alignment_checked(s, s.cpl) &&
      accesses_anything(*site.point, bytes)) {
    // HW: an operand that has to be aligned anyway raises #GP also where #AC is on.
    if (is_misaligned(LinearAddress{linear}, *site.point, bytes))
      return fail(guest::general_protection());
    // What is not canonical is so first; the look-up says it.
    if (guest::is_canonical(linear) && guest::is_canonical(linear + bytes - 1))
      return fail(fault(guest::Vector::kAlignmentCheck, 0));
    translator::load_simd(frame(), simd_mask_);
  }
  return linear;
}

// --- special instructions ------------------------------------------------------------------------

bool BtVcpu::call_out(const Operation& op) {
  Frame& f = frame();
  auto& s = f.state;
  ++call_outs_;
  ++row_counts_[op.row];
  code_changed_ = false;
  s.rflags = translator::materialize_flags(f);
  set_rip(f.rip_base + op.page_offset);
  const translator::Row& row = translator::instruction_table()[op.row];
  if (auto status = check_traits(s, op, row.traits); !status) {
    raise(status.error());
    go_on();
    return true;
  }
  if (has(row.traits, Trait::kUsesSimd)) spill_simd();
  const auto result = row.handler(core_, op);
  if (!result) {
    raise(result.error());
    go_on();
    return true;
  }
  if (*result == translator::Next::kContinue) set_rip(s.rip + op.length);
  const bool leaves = *result == translator::Next::kJump || has(row.traits, Trait::kEndsBlock) ||
                      code_changed_ || f.attention.load(std::memory_order_relaxed);
  if (leaves) {
    go_on();
    return true;
  }
  translator::dissolve_flags(f);
  translator::load_simd(f, simd_mask_);
  sync_view();
  return false;
}

// --- exits ---------------------------------------------------------------------------------------

void BtVcpu::direct_exit(const std::uint8_t* return_address) {
  Frame& f = frame();
  ++direct_exits_;
  // The call may be the block's last instruction: its return address lies behind the block.
  Block* from = cache_.find_host(return_address - 1);
  const auto stub = static_cast<std::uint32_t>(return_address - from->host) - 5;
  codecache::Exit* exit = nullptr;
  for (codecache::Exit& e : from->exits)
    if (e.stub_offset == stub) exit = &e;
  const std::uint64_t flushes = cache_.counters().flushes;
  f.state.rflags = translator::materialize_flags(f);
  set_rip(f.rip_base + exit->target_offset);
  const codecache::BlockKey source = from->key,
                            key{from->physical_page() | exit->target_offset, source.mode};
  f.next_code = next();
  if (!options_.chain || !f.next_code) return;
  // Something else than the successor may run next: an interrupt, a fault.
  Block* to = cache_.find_host(f.next_code);
  if (cache_.counters().flushes != flushes || !from->valid || !to || !(to->key == key) ||
      to->single)
    return;
  // Where its second page lies is the mapping's affair: the jump cache knows.
  if (to->second_page != Block::kNoPage) return exit_by_jump_cache(*from, *exit);
  const bool backward = guest::page_offset(key.physical) <= guest::page_offset(source.physical);
  if (backward && !to->checks_requests) {
    cache_.mark(key, codecache::Mark::kLoopHead);
    cache_.invalidate(*to, codecache::Removal::kLoopHead);
    f.next_code = next();
    return;
  }
  cache_.link(*from, *exit, *to);
  translator::load_simd(f, simd_mask_);  // which the change of the books put away
}

// A block has run often: translated anew, for speed, it takes the old one's place.
void BtVcpu::promote(const std::uint8_t* return_address) {
  Frame& f = frame();
  Block& cold = *cache_.find_host(return_address - 1);
  const codecache::BlockKey key = cold.key;
  f.state.rflags = translator::materialize_flags(f);
  set_rip(f.rip_base + cold.start_offset());
  if (!cold.valid) return go_on();
  ++promotions_;
  cache_.mark(key, codecache::Mark::kHot);
  {
    const codecache::Cache::Links links = cache_.links_to(cold);
    cache_.invalidate(cold, codecache::Removal::kPromoted);
    const std::uint64_t flushes = cache_.counters().flushes;
    f.next_code = next();
    // A long list of links goes back to the library at the end of this scope.
    spill_simd();
    // Something else than this block may run next: an interrupt, a fault.
    Block* hot = f.next_code ? cache_.find_host(f.next_code) : nullptr;
    if (cache_.counters().flushes == flushes && hot && hot->key == key)
      for (const auto& link : links)
        if (link.from->valid) cache_.link(*link.from, *link.exit, *hot);
  }
  if (f.next_code) translator::load_simd(f, simd_mask_);
}

// A hot block branched to another page for the first time in this view.
void BtVcpu::link_miss(std::uint64_t rip, std::uint32_t link) {
  Frame& f = frame();
  ++link_misses_;
  softmmu::View& view = mmu_.current();
  const std::uint64_t from_base = f.rip_base, flushes = cache_.counters().flushes;
  f.state.rflags = translator::materialize_flags(f);
  f.state.rip = rip;
  f.next_code = next();
  // Something else may run next. The jump cache knows what belongs to `rip` in this view.
  const softmmu::JumpEntry* entry = view.find_jump(rip);
  if (!options_.chain || !f.next_code || &view != &mmu_.current() || f.state.rip != rip ||
      cache_.counters().flushes != flushes || !entry ||
      entry->host_code != reinterpret_cast<std::uint64_t>(f.next_code))
    return;
  const auto from = mmu_.translate_fetch(LinearAddress{from_base});
  Block* to = cache_.find_host(f.next_code);
  if (!from || !to) return;
  to->linked_across = true;
  view.fill_link(link, from_base, rip, entry->host_code, entry->is_global && from->global);
}

// --- the table of entry points -------------------------------------------------------------------

translator::Hooks BtVcpu::make_hooks() {
  translator::Hooks h;
  h.slow_access = [](Frame* f, std::uint64_t linear, std::uint64_t kind,
                     const std::uint8_t** slot) {
    const Doing doing(of(f).activity_, Activity::kMiss);
    return of(f).slow_access(linear, kind, slot);
  };
  h.group_miss = [](Frame* f, std::uint64_t linear, std::uint64_t kind, const std::uint8_t** slot) {
    const Doing doing(of(f).activity_, Activity::kMiss);
    return of(f).group_miss(linear, kind, slot);
  };
  h.commit_store = [](Frame* f, std::uint64_t, std::uint64_t, const std::uint8_t*) {
    const Doing doing(of(f).activity_, Activity::kStore);
    return std::uint64_t{of(f).commit_store()};
  };
  h.call_out = [](Frame* f, const void* operation, std::uint64_t, const std::uint8_t*) {
    const auto& op = *static_cast<const Operation*>(operation);
    const Doing doing(of(f).activity_, Activity::kCallOut, op.row);
    return std::uint64_t{of(f).call_out(op)};
  };
  h.quick = [](Frame* f, const void* operation, std::uint64_t, const std::uint8_t* return_address) {
    const auto& op = *static_cast<const Operation*>(operation);
    const Doing doing(of(f).activity_, Activity::kQuick, op.row);
    const bool done = of(f).quick(op, return_address);
    of(f).quick_counts_[op.row] += done;
    return std::uint64_t{done};
  };
  h.direct_exit = [](Frame* f, std::uint64_t, std::uint64_t, const std::uint8_t* return_address) {
    const Doing doing(of(f).activity_, Activity::kLink);
    of(f).direct_exit(return_address);
  };
  h.indirect_exit = [](Frame* f, std::uint64_t rip, std::uint32_t branch) {
    BtVcpu& vcpu = of(f);
    const Doing doing(vcpu.activity_, Activity::kLink);
    ++vcpu.indirect_misses_;
    f->state.rflags = translator::materialize_flags(*f);
    vcpu.set_rip(rip);
    if (!vcpu.can_run_at(f->state.rip)) vcpu.undo_branch(branch);
    vcpu.go_on();
  };
  h.link_miss = [](Frame* f, std::uint64_t rip, std::uint64_t link) {
    const Doing doing(of(f).activity_, Activity::kLink);
    of(f).link_miss(rip, static_cast<std::uint32_t>(link));
  };
  h.promote = [](Frame* f, std::uint64_t, std::uint64_t, const std::uint8_t* return_address) {
    const Doing doing(of(f).activity_, Activity::kPromote);
    of(f).promote(return_address);
  };
  h.segment_check = [](Frame* f, std::uint64_t offset, std::uint64_t packed,
                       const std::uint8_t* return_address) {
    const Doing doing(of(f).activity_, Activity::kSegment);
    return of(f).segment_check(offset, packed, return_address);
  };
  h.attention = [](Frame* f, std::uint64_t, std::uint64_t, const std::uint8_t* return_address) {
    BtVcpu& vcpu = of(f);
    const Doing doing(vcpu.activity_, Activity::kLink);
    const Block* block = vcpu.cache_.find_host(return_address - 1);
    f->state.rflags = translator::materialize_flags(*f);
    vcpu.set_rip(f->rip_base + block->start_offset());
    vcpu.go_on();
  };
  return h;
}

}  // namespace ringshift::runtime
