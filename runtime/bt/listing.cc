// runtime/bt/listing.cc - what -d writes: translated code, events, statistics.
#include "translator/listing.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>

#include "runtime/bt/bt_vcpu.h"
#include "translator/translator.h"

namespace ringshift::runtime {
void BtVcpu::log_block(guest::LinearAddress linear) {
  std::FILE* file = options_.log.file;
  if (!file) return;
  const codecache::Block& block = translator_->block();
  const translator::ModeKey mode(block.key.mode);
  if (options_.log.in_asm) {
    std::vector<std::uint8_t> bytes(block.guest_bytes);
    memory_.read_bytes(guest::PhysicalAddress{block.key.physical}, bytes);
    fmt::print(file, "IN: {:x} physical {:x} mode {:x}\n", linear.value, block.key.physical,
               block.key.mode);
    translator::list_code(file, mode.code_bytes(), linear.value, bytes);
  }
  if (options_.log.out_asm) {
    fmt::print(file, "OUT: {} bytes for {}\n", translator_->code().size(), block.guest_bytes);
    translator::list_code(file, 8, reinterpret_cast<std::uint64_t>(arena_->next()),
                          translator_->code());
  }
}

void BtVcpu::log_fault(const guest::GuestFault& fault) {
  if (!options_.log.file) return;
  spill_simd();
  const auto& s = state();
  fmt::print(options_.log.file,
             "exception {} error {:x} address {:x} at {:x}:{:x} cpl {} rsp {:x}\n",
             static_cast<int>(fault.vector), fault.error_code, fault.address,
             s.segment(guest::Seg::kCs).selector, s.rip, s.cpl, s.gpr[4]);
}

void BtVcpu::log_interrupt(std::uint8_t vector) {
  if (!options_.log.file) return;
  spill_simd();
  const auto& s = state();
  fmt::print(options_.log.file, "interrupt {:x} at {:x}:{:x} cpl {}\n", vector,
             s.segment(guest::Seg::kCs).selector, s.rip, s.cpl);
}

void BtVcpu::log_exec(guest::LinearAddress linear, const codecache::Block& block) {
  if (!options_.log.file) return;
  spill_simd();
  fmt::print(options_.log.file, "exec {:x} physical {:x} mode {:x} instructions {}\n", linear.value,
             block.key.physical, block.key.mode, block.instructions);
}

// Translated code runs on with what is in the registers.
void BtVcpu::log_miss(guest::LinearAddress linear, unsigned bytes, bool write) {
  if (!options_.log.file) return;
  spill_simd();
  const auto& s = state();
  fmt::print(options_.log.file, "TLB miss: {} of {} bytes at {:x}, CR3 {:x} cpl {}\n",
             write ? "write" : "read", bytes, linear.value, s.cr3, s.cpl);
  translator::load_simd(frame(), simd_mask_);
}

std::string BtVcpu::statistics() const {
  std::string text;
  for (const Counter& counter : counters()) {
    text += fmt::format("{:<22} {}\n", counter.name, counter.value);
    if (counter.name == "host bytes") text += expansion();
  }
  return text + frequent_rows();
}

std::string BtVcpu::expansion() const {
  const auto& c = cache_.counters();
  const double expansion =
      c.guest_bytes ? static_cast<double>(c.host_bytes) / static_cast<double>(c.guest_bytes) : 0;
  return fmt::format("{:<22} {:.2f}\n", "expansion", expansion);
}

// The call-outs that were made most, by instruction.
std::string BtVcpu::frequent_rows() const {
  constexpr std::size_t kShown = 16;
  std::vector<std::size_t> rows(row_counts_.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  std::stable_sort(rows.begin(), rows.end(), [this](std::size_t a, std::size_t b) {
    return row_counts_[a] > row_counts_[b];
  });
  rows.resize(std::min(rows.size(), kShown));
  std::string text;
  for (const std::size_t row : rows) {
    if (row_counts_[row] == 0) break;
    const auto name = translator::row_name(row);
    text += fmt::format("call-outs {:<12} {}\n", name, row_counts_[row]);
  }
  return text;
}

}  // namespace ringshift::runtime
