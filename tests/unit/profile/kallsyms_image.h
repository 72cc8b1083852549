// tests/unit/profile/kallsyms_image.h - kernel images with a symbol table as scripts/kallsyms.c lays it out.
#pragma once

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/profile/kallsyms.h"

namespace ringshift::runtime::profile {

enum class KallsymsOrder { kBefore62, kWithSeqs, kSince64 };

// Tokens: each printable character is itself, and a few pairs have codes of their own.
class KallsymsImage {
 public:
  KallsymsImage(std::uint64_t base, unsigned word_bytes, KallsymsOrder order,
                const std::vector<Symbol>& symbols)
      : base_(base), word_(word_bytes) {
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      tokens_[i] = i >= 33 && i < 127 ? std::string(1, static_cast<char>(i)) : "";
      if (tokens_[i].empty()) tokens_[i] = "x" + std::to_string(i);
    }
    tokens_[1] = "do_";
    tokens_[2] = "sys";
    bytes_.assign(512, 0xcc);  // what lies before
    if (order != KallsymsOrder::kSince64) add_addresses(symbols);
    add_names(symbols);
    if (order == KallsymsOrder::kWithSeqs)
      for (std::size_t i = 0; i < 3 * symbols.size(); ++i) bytes_.push_back(static_cast<std::uint8_t>(i * 37));
    align();
    add_tokens();
    if (order == KallsymsOrder::kSince64) add_addresses(symbols);
    bytes_.resize(bytes_.size() + 512, 0xcc);
  }

  MemoryImage image() const { return {base_, bytes_}; }
  std::vector<std::uint8_t>& bytes() { return bytes_; }

 private:
  void align() { bytes_.resize((bytes_.size() + word_ - 1) & ~std::size_t{word_ - 1}); }
  template <typename T>
  void add(T value) {
    std::array<std::uint8_t, sizeof value> raw;
    std::memcpy(raw.data(), &value, sizeof value);
    bytes_.insert(bytes_.end(), raw.begin(), raw.end());
  }
  // As CONFIG_KALLSYMS_ABSOLUTE_PERCPU has them in 64-bit kernels.
  void add_addresses(const std::vector<Symbol>& symbols) {
    align();
    for (const Symbol& s : symbols) {
      if (word_ == 4)
        add(static_cast<std::uint32_t>(s.address - base_));
      else if (s.kind == 'A')
        add(static_cast<std::int32_t>(s.address));
      else
        add(static_cast<std::int32_t>(base_ - 1 - s.address));
    }
    align();
    if (word_ == 8)
      add(base_);
    else
      add(static_cast<std::uint32_t>(base_));
  }
  std::string coded(const std::string& text) const {
    std::string codes;
    for (std::size_t i = 0; i < text.size();) {
      std::size_t longest = static_cast<unsigned char>(text[i]);
      for (std::size_t t : {1u, 2u})
        if (text.compare(i, tokens_[t].size(), tokens_[t]) == 0) longest = t;
      codes += static_cast<char>(longest);
      i += tokens_[longest].size();
    }
    return codes;
  }
  void add_names(const std::vector<Symbol>& symbols) {
    align();
    add(static_cast<std::uint32_t>(symbols.size()));
    align();
    const std::size_t names = bytes_.size();
    std::vector<std::uint32_t> markers;
    for (std::size_t i = 0; i < symbols.size(); ++i) {
      if (i % 256 == 0) markers.push_back(static_cast<std::uint32_t>(bytes_.size() - names));
      const std::string codes = coded(symbols[i].kind + symbols[i].name);
      if (codes.size() > 127) {
        bytes_.push_back(static_cast<std::uint8_t>(codes.size() | 0x80));
        bytes_.push_back(static_cast<std::uint8_t>(codes.size() >> 7));
      } else {
        bytes_.push_back(static_cast<std::uint8_t>(codes.size()));
      }
      bytes_.insert(bytes_.end(), codes.begin(), codes.end());
    }
    align();
    for (const auto marker : markers) add(marker);
    align();
  }
  void add_tokens() {
    std::vector<std::uint16_t> index;
    const std::size_t table = bytes_.size();
    for (const auto& token : tokens_) {
      index.push_back(static_cast<std::uint16_t>(bytes_.size() - table));
      bytes_.insert(bytes_.end(), token.begin(), token.end());
      bytes_.push_back(0);
    }
    align();
    for (const auto at : index) add(at);
    align();
  }

  const std::uint64_t base_;
  const unsigned word_;
  std::array<std::string, 256> tokens_;
  std::vector<std::uint8_t> bytes_;
};

}  // namespace ringshift::runtime::profile
