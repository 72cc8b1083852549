// runtime/bt/bt_vcpu.h - one vCPU under binary translation: dispatch, events, the hooks of
// translated code. Everything but the Vcpu methods marked "from any thread" belongs to the thread
// that run()s.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "codecache/cache.h"
#include "runtime/bt/activity.h"
#include "runtime/bt/board_counts.h"
#include "runtime/bt/bt_accelerator.h"
#include "runtime/bt/frame_stack.h"
#include "runtime/bt/translating_vcpu.h"
#include "shadowpt/windows.h"
#include "softmmu/mmu.h"
#include "translator/core.h"
#include "translator/frame.h"
#include "translator/mode_key.h"
#include "translator/thunks.h"

namespace ringshift::translator {
class Translator;
}

namespace ringshift::runtime {

class BtVcpu final : public Vcpu,
                     public TranslatingVcpu,
                     private codecache::CacheListener,
                     private guest::Platform {
 public:
  static tl::expected<std::unique_ptr<Vcpu>, std::string> create(guest::PhysicalMemory& memory,
                                                                 const guest::CpuModel& model,
                                                                 guest::Platform& platform,
                                                                 const BtOptions& options);
  ~BtVcpu() override;

  guest::CpuState& state() override { return frame().state; }
  void state_changed() override;
  ExitReason run() override;
  void request_interrupt() override;
  void inject_nmi() override;
  bool set_debug_points(const DebugPoints& points) override;
  bool step_once() override;
  void stop() override;
  std::vector<Counter> counters() const override;
  std::string statistics() const override;
  TranslatingVcpu* translating() override { return this; }

  // TranslatingVcpu
  Parts parts() override;
  CallOutCounts call_out_counts() const override;
  void add_observer(BlockObserver& observer) override { observers_.push_back(&observer); }
  void remove_observer(BlockObserver& observer) override { std::erase(observers_, &observer); }
  void want_look() override;
  void count_runs(bool on) override;

  // One instruction, as run() would run it, of a guest that may have been changed in any way.
  void step();

  // For the host-fault handler. True: the fault belongs to the guest, and the context was changed
  // to leave translated code.
  bool on_host_fault(int trap_number, void* context);

 private:
  BtVcpu(guest::PhysicalMemory& memory, const guest::CpuModel& model, guest::Platform& platform,
         const BtOptions& options, FrameStack stack, std::unique_ptr<codecache::Arena> arena);

  using Frame = translator::Frame;
  Frame& frame() { return stack_.frame(); }
  const Frame& frame() const { return stack_.frame(); }
  static BtVcpu& of(Frame* frame) { return *static_cast<BtVcpu*>(frame->owner); }
  static translator::Hooks make_hooks();

  // --- dispatch.cc ---
  const std::uint8_t* next();  // events, then code for state.rip; nullptr: leave run()
  bool take_events();          // false: leave run() with exit_
  bool deliver_pending_interrupt();
  void finish_instruction();        // traps that follow the instruction that just ended
  const std::uint8_t* find_code();  // nullptr: a fault was delivered instead
  bool can_run_at(std::uint64_t rip) const;
  void undo_branch(std::uint32_t record);
  const std::uint8_t* known_code(translator::ModeKey mode);
  codecache::Block* find_block(guest::LinearAddress linear, const softmmu::Translation& where,
                               translator::ModeKey mode);
  codecache::Block* translate(guest::LinearAddress linear, guest::PhysicalAddress physical,
                              translator::ModeKey mode);
  translator::Tier tier_of(const codecache::BlockKey& key, translator::ModeKey mode) const;
  bool second_page_agrees(const codecache::Block& block, guest::LinearAddress linear);
  void make_room();
  void start_afresh();
  void let_observers_look();
  void log_block(guest::LinearAddress linear);
  std::string frequent_rows() const;
  std::string expansion() const;
  void count_windows(std::vector<Counter>& all) const;
  void count_causes(std::vector<Counter>& all) const;
  void log_fault(const guest::GuestFault& fault);
  void log_interrupt(std::uint8_t vector);
  void log_exec(guest::LinearAddress linear, const codecache::Block& block);
  void log_miss(guest::LinearAddress linear, unsigned bytes, bool write);
  void raise(const guest::GuestFault& fault);
  void raise_debug(std::uint64_t dr6_bits);
  void raise_x87_error();
  bool meet_breakpoints(guest::LinearAddress linear);
  void go_on() { frame().next_code = next(); }
  void sync_view();
  void set_rip(std::uint64_t rip);
  guest::LinearAddress wrap_linear(guest::LinearAddress a) const {
    return frame().state.in_64bit_code() ? a : guest::LinearAddress{a.value & 0xffffffff};
  }
  std::uint64_t wrap_rip(std::uint64_t rip) const;
  std::uint64_t jump_mode(translator::ModeKey mode) const;

  // --- hooks.cc ---
  std::uint8_t* slow_access(std::uint64_t linear, std::uint64_t kind, const std::uint8_t** slot);
  std::uint8_t* group_miss(std::uint64_t linear, std::uint64_t kind, const std::uint8_t** slot);
  void access_fault(const codecache::Block& block, const codecache::FaultPoint& point,
                    const guest::GuestFault& fault);
  guest::Status fetch(guest::LinearAddress a, std::span<std::uint8_t> to, bool write, bool reads);
  bool is_misaligned(guest::LinearAddress a, const codecache::FaultPoint& point, unsigned bytes);
  const std::uint8_t* store_stub(const codecache::Block& block, const codecache::FaultPoint& point,
                                 const std::uint8_t* site);
  bool commit_store();
  // --- host_faults.cc ---
  const std::uint8_t* fault_site(const std::uint8_t* rip) const;
  void leave_at_fault(const codecache::Block& block, const codecache::FaultPoint& point,
                      void* context, translator::Leave reason);

  // --- window_faults.cc ---
  bool try_to_mend(const codecache::FaultPoint& point, void* context);
  bool mend_window(const codecache::FaultPoint& point, void* context);
  bool cover(guest::LinearAddress a, bool write);
  static void note_window_fault(codecache::FaultPoint& point);
  void look_up_instead();
  void note_tick();
  translator::ModeKey mode_now(bool single);
  static bool tier_may_be_hot(translator::ModeKey mode);
  bool call_out(const translator::Operation& op);
  void direct_exit(const std::uint8_t* return_address);
  void link_miss(std::uint64_t rip, std::uint32_t link);
  void promote(const std::uint8_t* return_address);
  void exit_by_jump_cache(codecache::Block& from, codecache::Exit& exit);

  // --- quick_transfers.cc ---
  bool quick(const translator::Operation& op, const std::uint8_t* return_address);
  bool quick_system_call(const translator::Operation& op);
  bool quick_system_return(const translator::Operation& op);
  bool peek_frame(unsigned item_bytes, std::uint64_t (&words)[5]);
  bool quick_interrupt_return(const translator::Operation& op);
  bool quick_alignment_check(bool on, const std::uint8_t* return_address);
  bool quick_verify(const translator::Operation& op, bool wants_write,
                    const std::uint8_t* return_address);
  std::optional<std::uint64_t> table_entry(std::uint16_t selector);
  void continue_at_privilege(unsigned cpl);
  // --- quick_segments.cc ---
  bool peek(guest::Seg segment, std::uint64_t offset, std::span<std::uint8_t> out);
  std::optional<std::uint16_t> peek_selector(const translator::Operation& op);
  bool quick_load_segment(const translator::Operation& op, std::uint16_t value,
                          const std::uint8_t* return_address);
  bool quick_move_to_segment(const translator::Operation& op, const std::uint8_t* return_address);
  bool quick_pop_segment(const translator::Operation& op, const std::uint8_t* return_address);
  bool quick_sysenter();
  bool quick_sysexit();

  bool event_may_be_due() const {
    return frame().attention.load(std::memory_order_relaxed) || frame().interrupt_maybe;
  }
  std::uint64_t segment_check(std::uint64_t offset, std::uint64_t packed,
                              const std::uint8_t* return_address);

  // --- masked_access.cc ---
  guest::Status fetch_masked(guest::LinearAddress a, std::span<std::uint8_t> to, bool write,
                             const codecache::FaultPoint& point);
  void store_masked(guest::LinearAddress a, const std::uint8_t* from, std::uint64_t mask);
  guest::Checked<guest::LinearAddress> masked_linear_address(const codecache::FaultPoint& point,
                                                             guest::Seg segment,
                                                             std::uint64_t offset, unsigned bytes,
                                                             bool write);
  struct MaskedBytes {
    std::uint64_t selected, checked;  // a bit for each byte of the operand
  };
  bool accesses_anything(const codecache::FaultPoint& point, unsigned bytes);
  MaskedBytes masked_bytes(const codecache::FaultPoint& point, unsigned bytes);

  // --- guest::Platform: the machine's, with the guest's SIMD state out of the registers ---
  std::uint32_t port_read(std::uint16_t port, unsigned size) override;
  void port_write(std::uint16_t port, unsigned size, std::uint32_t value) override;
  bool interrupt_pending() override;
  std::optional<std::uint8_t> acknowledge_interrupt() override;
  std::uint8_t task_priority() override;
  void set_task_priority(std::uint8_t cr8) override;
  std::optional<std::uint64_t> apic_msr_read(std::uint32_t index) override;
  bool apic_msr_write(std::uint32_t index, std::uint64_t value) override;
  std::uint32_t apic_id() override;
  void tsc_changed() override;
  Time time() override;
  std::uint64_t stolen_ns() override;
  void raise_ferr() override;
  void triple_fault() override;

  // --- codecache::CacheListener ---
  void before_change() override { spill_simd(); }
  void block_removed(const codecache::Block& block, codecache::Removal why) override;
  void all_removed() override;
  void page_watched(guest::PhysicalAddress page) override;

  void follow_a20();
  void follow_map();
  softmmu::Watchpoints all_watchpoints();
  bool stop_at_debug_point(guest::LinearAddress linear);
  void note_port(std::uint16_t port, unsigned size);  // I/O breakpoints
  // In a signal's handler the guest's registers are in the signal's frame, and come back from
  // there.
  void spill_simd() {
    if (!handling_signal_) translator::save_simd(frame(), simd_mask_);
  }
  static void before_mmio(guest::PhysicalAddress at);

  guest::PhysicalMemory& memory_;
  const guest::CpuModel& model_;
  guest::Platform& board_;
  BtOptions options_;
  FrameStack stack_;
  std::unique_ptr<codecache::Arena> arena_;
  softmmu::Mmu mmu_;
  std::optional<shadowpt::Windows> windows_;
  translator::Core core_;
  codecache::Cache cache_;
  translator::Thunks thunks_;
  std::unique_ptr<translator::Translator> translator_;
  std::unordered_map<const std::uint8_t*, const std::uint8_t*> store_stubs_;
  std::uint64_t simd_mask_ = 0;
  std::atomic<bool> stop_requested_ = false, nmi_requested_ = false;
  ExitReason exit_ = ExitReason::kStopped;
  unsigned map_version_ = 0;
  DebugPoints debug_points_;
  std::set<std::uint64_t> debug_pages_;  // numbers of the linear pages that debug_points_.code is in
  unsigned debug_slots_ = 0;             // DR6 bits that stand for debug_points_.data
  bool debug_stop_ = false;
  bool code_changed_ = false;  // blocks were removed since this was cleared
  bool running_ = false;
  bool handling_signal_ = false;
  // The instruction that runs alone, and the registers that a branch changes, before it.
  struct {
    bool valid = false;
    std::uint64_t rip = 0, next_rip = 0, rsp = 0, rcx = 0;
  } alone_;
  const std::uint8_t* window_fault_ = nullptr;  // host address of the access of kWindowFault
  enum class Step { kNone, kDue, kDone } step_ = Step::kNone;
  unsigned single_budget_ = 0;  // instructions of an undone group that are left to run singly
  std::uint64_t call_outs_ = 0, dispatches_ = 0, faults_ = 0, interrupts_ = 0;
  std::uint64_t indirect_misses_ = 0, direct_exits_ = 0, block_searches_ = 0;
  std::uint64_t promotions_ = 0, link_misses_ = 0, window_faults_ = 0, mended_faults_ = 0;
  // By row of the instruction table.
  std::vector<std::uint64_t> row_counts_, quick_counts_;
  std::array<std::uint64_t, 256> exceptions_by_vector_{}, interrupts_by_vector_{};
  BoardCounts board_counts_;
  ActivityWord activity_;
  std::vector<BlockObserver*> observers_;
  bool look_wanted_ = false;
  bool counts_runs_ = false;
  std::deque<std::uint64_t> run_counters_;  // of the blocks since the last flush
};

}  // namespace ringshift::runtime
