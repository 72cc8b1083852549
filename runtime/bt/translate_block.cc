// runtime/bt/translate_block.cc - makes the block for an address: room, guest bytes, translation.
// May use any host register: the guest's SIMD state is put away first.
#include <algorithm>

#include "runtime/bt/bt_vcpu.h"
#include "translator/exit_stub.h"
#include "translator/translator.h"

namespace ringshift::runtime {
using guest::LinearAddress;
using guest::PhysicalAddress;
using translator::ModeKey;

void BtVcpu::make_room() {
  if (cache_.has_room(4 * translator::Translator::kMaxCodeBytes)) return;
  start_afresh();
}

void BtVcpu::start_afresh() {
  const Doing doing(activity_, Activity::kFlush);
  spill_simd();
  for (BlockObserver* observer : observers_) observer->before_flush();
  cache_.flush();
  store_stubs_.clear();
  run_counters_.clear();
  translator_->forget_links();
}

void BtVcpu::let_observers_look() {
  const Doing doing(activity_, Activity::kObserve);
  look_wanted_ = false;
  spill_simd();
  for (BlockObserver* observer : observers_) observer->look();
}

bool BtVcpu::tier_may_be_hot(ModeKey mode) { return translator::Translator::may_be_hot(mode); }

translator::Tier BtVcpu::tier_of(const codecache::BlockKey& key, ModeKey mode) const {
  using translator::Tier;
  if (options_.tier == BtOptions::Tier::kFirst || !thunks_.count_run ||
      !translator::Translator::may_be_hot(mode))
    return Tier::kPlain;
  if (options_.tier == BtOptions::Tier::kSecond || cache_.is_marked(key, codecache::Mark::kHot))
    return Tier::kHot;
  return Tier::kCounted;
}

codecache::Block* BtVcpu::translate(LinearAddress linear, PhysicalAddress physical, ModeKey mode) {
  const Doing doing(activity_, Activity::kTranslate);
  spill_simd();
  make_room();
  const std::size_t in_page = guest::kPageBytes - guest::page_offset(physical.value);
  std::array<std::uint8_t, 2 * translator::kMaxInsnBytes> buffer;
  translator::TranslateRequest request;
  request.key = {physical.value, mode.bits()};
  request.mode = mode;
  request.max_instructions = mode.single() ? 1 : options_.max_block_instructions;
  request.loop_head = cache_.is_marked(request.key, codecache::Mark::kLoopHead);
  request.group_accesses = !cache_.is_marked(request.key, codecache::Mark::kUngrouped);
  request.tier = tier_of(request.key, mode);
  request.loops = options_.chain;
  if (counts_runs_) request.runs = &run_counters_.emplace_back();
  const std::vector<std::uint16_t> checked =
      cache_.marked_offsets(physical.value, codecache::Mark::kChecked);
  request.checked = checked;
  if (const std::uint8_t* page = memory_.readable_page(physical)) {
    request.bytes = {page + guest::page_offset(physical.value), in_page};
  } else {  // code in device memory
    const std::size_t n = std::min(in_page, translator::kMaxInsnBytes);
    memory_.read_bytes(physical, {buffer.data(), n});
    request.bytes = {buffer.data(), n};
  }
  std::uint64_t second_page = codecache::Block::kNoPage;
  if (translator_->translate(request) == translator::TranslateStatus::kNeedsNextPage) {
    const std::size_t head = std::min<std::size_t>(in_page, translator::kMaxInsnBytes);
    LinearAddress next{(linear.value | guest::kPageOffsetMask) + 1};
    if (!mode.is_64bit()) next.value &= 0xffffffff;
    const auto where = mmu_.translate_fetch(next);
    if (!where) {
      raise(where.error());
      return nullptr;
    }
    memory_.read_bytes(physical, {buffer.data(), head});
    memory_.read_bytes(where->address, {buffer.data() + head, translator::kMaxInsnBytes});
    second_page = where->address.value & ~guest::kPageOffsetMask;
    request.bytes = {buffer.data(), head + translator::kMaxInsnBytes};
    request.page_bytes = head;
    translator_->translate(request);
  }
  translator_->block().second_page = second_page;
  if (options_.log.in_asm || options_.log.out_asm) log_block(linear);
  codecache::Block* block = cache_.insert(std::move(translator_->block()), translator_->code());
  const Doing observed(activity_, Activity::kObserve);
  for (BlockObserver* observer : observers_)
    observer->translated(*block, linear, request.bytes.first(block->guest_bytes));
  return block;
}

// The rest of the guest instruction, then the write of what it stored.
const std::uint8_t* BtVcpu::store_stub(const codecache::Block& block,
                                       const codecache::FaultPoint& point,
                                       const std::uint8_t* site) {
  spill_simd();
  const std::uint8_t* end = block.host + point.access_end;
  std::vector<std::uint8_t> code(site, end);
  const std::uint8_t* base = arena_->next();
  auto branch = [&](std::uint8_t opcode, const std::uint8_t* target) {
    const std::uint8_t* after = base + code.size() + 5;
    const auto displacement = static_cast<std::int32_t>(target - after);
    code.push_back(opcode);
    for (unsigned i = 0; i < 4; ++i)
      code.push_back(
          static_cast<std::uint8_t>(static_cast<std::uint32_t>(displacement) >> (8 * i)));
  };
  branch(0xe8, point.flags_stay_saved ? thunks_.inline_commit_store : thunks_.commit_store);
  branch(0xe9, end);
  const std::uint8_t* stub = arena_->append(code);
  store_stubs_.emplace(site, stub);
  return stub;
}

// An exit that cannot be linked leads to a stub of its own: RIP, then the jump cache.
void BtVcpu::exit_by_jump_cache(codecache::Block& from, codecache::Exit& exit) {
  spill_simd();
  if (cache_.has_room(translator::kExitStubBytes)) {
    const bool wide = ModeKey(from.key.mode).is_64bit();
    const auto code =
        translator::jump_cache_exit(arena_->next(), exit.target_offset, wide, thunks_);
    cache_.redirect(from, exit, arena_->append(code));
  }
  translator::load_simd(frame(), simd_mask_);
}

}  // namespace ringshift::runtime
