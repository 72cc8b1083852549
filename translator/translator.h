// translator/translator.h - translates one guest basic block: decode, classify, emit.
// One object per vCPU, used by its thread. It never touches guest state; faults of fetching are the
// caller's affair.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codecache/arena.h"
#include "codecache/block.h"
#include "guest/cpu_model.h"
#include "translator/block_emitter.h"
#include "translator/insn.h"
#include "translator/mode_key.h"
#include "translator/plan.h"
#include "translator/thunks.h"

namespace ringshift::translator {

struct TranslateRequest {
  codecache::BlockKey key;
  ModeKey mode;
  // Guest bytes from the block's start. At most to the end of the page, except that the first
  // instruction may continue: then `bytes` has the tail too and `page_bytes` says where it begins.
  std::span<const std::uint8_t> bytes;
  std::size_t page_bytes = 0;
  unsigned max_instructions = 64;
  bool loop_head = false;
  bool group_accesses = true;
  bool loops = true;  // a branch to the block's own start may stay in the block
  Tier tier = Tier::kPlain;
  std::uint64_t* runs = nullptr;  // what each run of the block adds 1 to
  // Page offsets of instructions whose accesses are to be looked up, though the mode has windows.
  std::span<const std::uint16_t> checked;
};

enum class TranslateStatus {
  kOk,
  kNeedsNextPage,  // the first instruction straddles: call again with the next page's bytes
};

class Translator {
 public:
  Translator(codecache::Arena& arena, const Thunks& thunks, const guest::CpuModel& model);

  // On kOk, block() and code() hold the result until the next call.
  TranslateStatus translate(const TranslateRequest& request);
  void forget_links() { emitter_.forget_links(); }  // all blocks are gone
  codecache::Block& block() { return block_; }
  std::span<const std::uint8_t> code() const { return code_; }
  // Whether fast code exists for this mode.
  static bool may_be_hot(ModeKey mode);
  // Upper bound of what one translation adds to the arena.
  static constexpr std::size_t kMaxCodeBytes = 64 * 1024;

 private:
  TranslateStatus decode_block(const TranslateRequest& request);
  void classify(Planned& p, ModeKey mode) const;
  void choose_system_form(Planned& p, ModeKey mode) const;
  bool classify_row(Planned& p, ModeKey mode) const;
  bool classify_special(Planned& p, ModeKey mode) const;
  bool classify_control(Planned& p, ModeKey mode) const;
  void plan_fault(Planned& p, const guest::GuestFault& fault) const;
  void plan_row(Planned& p, int row) const;
  bool flags_live_at_head() const;
  bool loops_to_itself() const;
  void choose_inline_look_ups(bool wanted);
  void emit_block(const TranslateRequest& request, bool loop);
  std::vector<BlockEmitter::LoopDelta> choose_loop_deltas();
  void allow_windows(std::span<const std::uint16_t> checked);
  void emit(const Planned& p);
  void emit_kind(const Planned& p);

  const guest::CpuModel& model_;
  Decoder decoder_;
  BlockEmitter emitter_;
  bool has_bmi2_;
  std::vector<Planned> plan_;
  std::size_t planned_ = 0;
  codecache::Block block_;
  std::span<const std::uint8_t> code_;
};

}  // namespace ringshift::translator
