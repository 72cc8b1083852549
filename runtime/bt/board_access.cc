// runtime/bt/board_access.cc - the board as call-outs see it: the guest's SIMD state leaves the
// host's registers before any device code runs. General registers only, so that nothing clobbers it
// first.
#include "runtime/bt/bt_vcpu.h"
#include "runtime/bt/host_faults.h"
#include "translator/callouts/debug_registers.h"

namespace ringshift::runtime {

// --- guest::Platform -----------------------------------------------------------------------------

void BtVcpu::note_port(std::uint16_t port, unsigned size) {
  auto& s = state();
  if (s.dr[7] & 0xff)
    s.pending_debug |= static_cast<std::uint32_t>(translator::match_io_breakpoint(s, port, size));
}

std::uint32_t BtVcpu::port_read(std::uint16_t port, unsigned size) {
  spill_simd();
  note_port(port, size);
  const Doing doing(activity_, Activity::kPort, port);
  board_counts_.port_read(port);
  return board_.port_read(port, size);
}
void BtVcpu::port_write(std::uint16_t port, unsigned size, std::uint32_t value) {
  spill_simd();
  note_port(port, size);
  {
    const Doing doing(activity_, Activity::kPort, port);
    board_counts_.port_write(port);
    board_.port_write(port, size, value);
  }
  if (board_.a20_open() != (state().address_mask == guest::kA20Open)) follow_a20();
  if (memory_.map_version() != map_version_) {
    mmu_.flush_all(false);
    code_changed_ = true;
    frame().attention.store(1);  // what was translated goes before the next block
  }
}

// What is at an address is another thing now: code in ROM, say, was copied to RAM.
void BtVcpu::follow_map() {
  if (memory_.map_version() == map_version_) return;
  map_version_ = memory_.map_version();
  mmu_.flush_all(false);
  start_afresh();
}

void BtVcpu::follow_a20() {
  state().address_mask = board_.a20_open() ? guest::kA20Open : guest::kA20Masked;
  mmu_.flush_all(false);
  code_changed_ = true;  // what follows may come from elsewhere
}
bool BtVcpu::interrupt_pending() {
  spill_simd();
  return board_.interrupt_pending();
}
std::optional<std::uint8_t> BtVcpu::acknowledge_interrupt() {
  spill_simd();
  return board_.acknowledge_interrupt();
}
std::uint8_t BtVcpu::task_priority() {
  spill_simd();
  return board_.task_priority();
}
void BtVcpu::set_task_priority(std::uint8_t cr8) {
  spill_simd();
  board_.set_task_priority(cr8);
  frame().interrupt_maybe = 1;
}
std::optional<std::uint64_t> BtVcpu::apic_msr_read(std::uint32_t index) {
  spill_simd();
  return board_.apic_msr_read(index);
}
bool BtVcpu::apic_msr_write(std::uint32_t index, std::uint64_t value) {
  spill_simd();
  frame().interrupt_maybe = 1;
  return board_.apic_msr_write(index, value);
}
guest::Platform::Time BtVcpu::time() {
  spill_simd();
  return board_.time();
}
std::uint64_t BtVcpu::stolen_ns() {
  spill_simd();
  return board_.stolen_ns();
}
void BtVcpu::tsc_changed() {
  spill_simd();
  frame().interrupt_maybe = 1;
  board_.tsc_changed();
}
std::uint32_t BtVcpu::apic_id() {
  spill_simd();
  return board_.apic_id();
}
void BtVcpu::raise_ferr() {
  spill_simd();
  board_.raise_ferr();
}
void BtVcpu::triple_fault() {
  spill_simd();
  board_.triple_fault();
}

// Until the end of what accesses memory.
void BtVcpu::before_mmio(guest::PhysicalAddress at) {
  if (BtVcpu* vcpu = current_vcpu()) {
    vcpu->spill_simd();
    if (!is_between_blocks(ActivityWord::what(vcpu->activity_.get())))
      vcpu->activity_.set(Activity::kDevice, guest::page_number(at.value));
    vcpu->board_counts_.device_page(guest::page_number(at.value));
    vcpu->frame().interrupt_maybe = 1;
  }
}

// --- codecache::CacheListener --------------------------------------------------------------------

void BtVcpu::block_removed(const codecache::Block& block, codecache::Removal why) {
  code_changed_ = true;
  const auto entry = reinterpret_cast<std::uint64_t>(block.prepared_entry());
  for (BlockObserver* observer : observers_) observer->removed(block, why);
  // Only where RIP and the linear address share their page offset is the entry's place known.
  const translator::ModeKey mode(block.key.mode);
  if (mode.is_64bit() || mode.flat())
    mmu_.drop_jump(block.start_offset(), entry);
  else
    mmu_.flush_jumps();
  if (block.linked_across) mmu_.drop_links(entry);
}

void BtVcpu::all_removed() {
  code_changed_ = true;
  mmu_.flush_jumps();
}

void BtVcpu::page_watched(guest::PhysicalAddress page) { mmu_.drop_writable(page); }

}  // namespace ringshift::runtime
