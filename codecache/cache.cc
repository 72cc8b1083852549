// codecache/cache.cc - all translated blocks of a machine: look-up, links, invalidation, counters.
#include "codecache/cache.h"

#include <algorithm>

namespace ringshift::codecache {
using guest::page_number;
using guest::page_offset;

const FaultPoint* Block::fault_point(const std::uint8_t* host_address) const {
  const auto offset = static_cast<std::uint32_t>(host_address - host);
  auto after = std::upper_bound(
      fault_points.begin(), fault_points.end(), offset,
      [](std::uint32_t value, const FaultPoint& p) { return value < p.host_offset; });
  return after == fault_points.begin() ? nullptr : &*std::prev(after);
}

Cache::Cache(Arena& arena, guest::PhysicalMemory& memory, CacheListener& listener)
    : arena_(arena), memory_(memory), listener_(listener) {
  memory_.set_observer(this);
}

Cache::~Cache() { memory_.set_observer(nullptr); }

Cache::Page* Cache::find_page(std::uint64_t physical) const {
  auto it = pages_.find(page_number(physical));
  return it == pages_.end() ? nullptr : it->second.get();
}

Cache::Page& Cache::page_of(std::uint64_t physical) {
  auto& slot = pages_[page_number(physical)];
  if (!slot) slot = std::make_unique<Page>();
  return *slot;
}

Block* Cache::find(const BlockKey& key) const {
  Recent& known = recent(key);
  if (known.block && known.key == key) return known.block;
  const Page* page = find_page(key.physical);
  if (!page) return nullptr;
  const auto offset = static_cast<std::uint16_t>(page_offset(key.physical));
  auto [first, last] = page->blocks.equal_range(offset);
  for (auto it = first; it != last; ++it)
    if (it->second->key.mode == key.mode) {
      known = {key, it->second};
      return it->second;
    }
  return nullptr;
}

Block* Cache::find_host(const void* executable) const {
  auto* address = static_cast<const std::uint8_t*>(executable);
  if (blocks_.empty() || address < blocks_.front().host) return nullptr;
  const std::size_t piece = piece_of(address);
  std::size_t at = piece < first_blocks_.size() ? first_blocks_[piece] : blocks_.size() - 1;
  while (at + 1 < blocks_.size() && blocks_[at + 1].host <= address) ++at;
  if (blocks_[at].host > address) --at;  // it began in a piece before
  const Block& block = blocks_[at];
  return address < block.host + block.host_bytes ? const_cast<Block*>(&block) : nullptr;
}

Block* Cache::insert(Block block, std::span<const std::uint8_t> code) {
  listener_.before_change();
  block.host = arena_.append(code);
  block.host_bytes = static_cast<std::uint32_t>(code.size());
  block.number = static_cast<std::uint32_t>(blocks_.size());
  blocks_.push_back(std::move(block));
  Block* b = &blocks_.back();
  while (first_blocks_.size() <= piece_of(b->host)) first_blocks_.push_back(b->number);
  Page& page = page_of(b->key.physical);
  page.blocks.emplace(b->start_offset(), b);
  const guest::PhysicalAddress first{b->physical_page()};
  if (!memory_.watched(first)) {
    memory_.watch(first, true);
    listener_.page_watched(first);
  }
  if (b->second_page != Block::kNoPage) {
    page_of(b->second_page).tails.push_back(b);
    const guest::PhysicalAddress second{b->second_page};
    if (!memory_.watched(second)) {
      memory_.watch(second, true);
      listener_.page_watched(second);
    }
  }
  ++counters_.blocks;
  counters_.instructions += b->instructions;
  counters_.guest_bytes += b->guest_bytes;
  counters_.host_bytes += code.size();
  return b;
}

void Cache::link(Block& from, Exit& exit, Block& to) {
  listener_.before_change();
  exit.target = &to;
  to.predecessors.push_back(&from);
  redirect(from, exit, from.prologue_bytes ? to.prepared_entry() : to.host);
  ++counters_.links;
}

void Cache::redirect(Block& from, Exit& exit, const std::uint8_t* executable) {
  std::uint8_t* field = from.host + exit.field_offset;
  arena_.patch32(field, static_cast<std::uint32_t>(executable - (field + 4)));
}

void Cache::unlink(Block& block) {
  for (Block* from : block.predecessors)
    for (Exit& exit : from->exits)
      if (exit.target == &block) {
        redirect(*from, exit, from->host + exit.stub_offset);
        exit.target = nullptr;
      }
  block.predecessors.clear();
  for (Exit& exit : block.exits)
    if (exit.target) {
      auto& list = exit.target->predecessors;
      auto it = std::find(list.begin(), list.end(), &block);
      if (it != list.end()) list.erase(it);
      redirect(block, exit, block.host + exit.stub_offset);
      exit.target = nullptr;
    }
}

void Cache::remove_from_page(Block& block) {
  Page& page = page_of(block.key.physical);
  auto [first, last] = page.blocks.equal_range(block.start_offset());
  for (auto it = first; it != last; ++it)
    if (it->second == &block) {
      page.blocks.erase(it);
      break;
    }
  if (block.second_page != Block::kNoPage) {
    auto& tails = page_of(block.second_page).tails;
    tails.erase(std::remove(tails.begin(), tails.end(), &block), tails.end());
    unwatch_if_empty(block.second_page);
  }
  unwatch_if_empty(block.physical_page());
}

void Cache::unwatch_if_empty(std::uint64_t physical_page) {
  const Page* page = find_page(physical_page);
  if (page && page->blocks.empty() && page->tails.empty())
    memory_.watch(guest::PhysicalAddress{physical_page}, false);
}

void Cache::invalidate(Block& block, Removal why) {
  if (!block.valid) return;
  listener_.before_change();
  block.valid = false;
  if (Recent& known = recent(block.key); known.block == &block) known.block = nullptr;
  unlink(block);
  remove_from_page(block);
  ++counters_.invalidated_blocks;
  ++counters_.removed[static_cast<std::size_t>(why)];
  listener_.block_removed(block, why);
}

void Cache::flush() {
  listener_.before_change();
  for (const Block& b : blocks_) {
    memory_.watch(guest::PhysicalAddress{b.physical_page()}, false);
    if (b.second_page != Block::kNoPage)
      memory_.watch(guest::PhysicalAddress{b.second_page}, false);
  }
  std::fill(recent_.begin(), recent_.end(), Recent{});
  pages_.clear();
  blocks_.clear();
  first_blocks_.clear();
  arena_.reset();
  ++counters_.flushes;
  listener_.all_removed();
}

void Cache::mark(const BlockKey& key, Mark mark) {
  listener_.before_change();
  page_of(key.physical).marks[static_cast<std::uint16_t>(page_offset(key.physical))] |=
      static_cast<std::uint8_t>(mark);
}

bool Cache::is_marked(const BlockKey& key, Mark mark) const {
  const Page* page = find_page(key.physical);
  if (!page) return false;
  const auto it = page->marks.find(static_cast<std::uint16_t>(page_offset(key.physical)));
  return it != page->marks.end() && (it->second & static_cast<std::uint8_t>(mark));
}

std::vector<std::uint16_t> Cache::marked_offsets(std::uint64_t physical_page, Mark mark) const {
  std::vector<std::uint16_t> offsets;
  if (const Page* page = find_page(physical_page))
    for (const auto& [offset, marks] : page->marks)
      if (marks & static_cast<std::uint8_t>(mark)) offsets.push_back(offset);
  return offsets;
}

Cache::Links Cache::links_to(Block& block) const {
  Links links;
  for (Block* from : block.predecessors)
    for (Exit& exit : from->exits)
      if (exit.target == &block && std::none_of(links.begin(), links.end(), [&](const Link& l) {
            return l.exit == &exit;  // a block with two links is listed twice
          }))
        links.push_back({from, &exit});
  return links;
}

void Cache::on_watched_write(guest::PhysicalAddress start, std::size_t bytes) {
  ++counters_.watched_writes;
  const std::uint64_t end = start.value + bytes;
  for (std::uint64_t p = page_number(start.value); p <= page_number(end - 1); ++p) {
    Page* page = find_page(p << guest::kPageShift);
    if (!page) continue;
    listener_.before_change();
    boost::container::small_vector<Block*, 8> hit;
    for (auto& [offset, b] : page->blocks)
      if (b->key.physical < end && b->key.physical + b->guest_bytes > start.value) hit.push_back(b);
    for (Block* b : page->tails) {
      const std::uint64_t tail = b->guest_bytes - (guest::kPageBytes - b->start_offset());
      if (start.value < b->second_page + tail) hit.push_back(b);
    }
    for (Block* b : hit) invalidate(*b, Removal::kStore);
  }
}

const char* Cache::check_invariants() const {
  for (const Block& b : blocks_) {
    if (!b.valid) continue;
    if (find(b.key) == nullptr) return "a valid block is not found by its key";
    if (!memory_.watched(guest::PhysicalAddress{b.physical_page()}))
      return "a page with translated code is not watched";
    for (const Exit& e : b.exits)
      if (e.target && !e.target->valid) return "an exit leads to an invalid block";
  }
  return "";
}

}  // namespace ringshift::codecache
