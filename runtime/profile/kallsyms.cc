// runtime/profile/kallsyms.cc - the symbol table that Linux carries in its own image.
//
//   up to 6.1                       since 6.4
//   offsets       4 bytes each      num_syms
//   relative_base a word            names
//   num_syms      4 bytes           markers
//   names         length, tokens    token_table
//   markers       4 bytes each      token_index
//   seqs_of_names 3 bytes each      offsets
//   token_table   256 strings       relative_base
//   token_index   256 x 2 bytes     seqs_of_names
//
// Each begins at a multiple of the word's size. A marker is the offset of each 256th name. The
// order of the names (seqs_of_names) came with 6.2, and with stable kernels before it.
#include "runtime/profile/kallsyms.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace ringshift::runtime::profile {
namespace {

constexpr std::size_t kTokens = 256;
constexpr std::size_t kNamesPerMarker = 256;

class Finder {
 public:
  Finder(const MemoryImage& image, unsigned word_bytes)
      : image_(image), bytes_(image.bytes), word_(word_bytes) {}

  std::optional<std::vector<Symbol>> run() {
    // The digits are in use as themselves, so their tokens are what they look like.
    static constexpr std::string_view kDigits("0\0001\0002\0003\0004\0005\0006\0007\0008\0009", 20);
    const std::string_view all(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
    for (std::size_t at = 0; (at = all.find(kDigits, at)) != std::string_view::npos; ++at)
      if (find_tokens(at) && find_list() && find_addresses()) return decode();
    return std::nullopt;
  }

 private:
  std::size_t align(std::size_t at) const { return (at + word_ - 1) & ~std::size_t{word_ - 1}; }
  bool holds(std::size_t at, std::size_t n) const {
    return at <= bytes_.size() && n <= bytes_.size() - at;
  }
  template <typename T>
  T get(std::size_t at) const {
    T value;
    std::memcpy(&value, bytes_.data() + at, sizeof value);
    return value;
  }

  bool find_tokens(std::size_t digit_zero) {
    std::size_t end = digit_zero;
    for (std::size_t token = '0'; token < kTokens; ++token) {
      const void* nul = std::memchr(bytes_.data() + end, 0, bytes_.size() - end);
      if (!nul) return false;
      end = static_cast<std::size_t>(static_cast<const std::uint8_t*>(nul) - bytes_.data()) + 1;
    }
    token_index_ = align(end);
    if (!holds(token_index_, 2 * kTokens) || token(0) != 0 || token('0') > digit_zero) return false;
    token_table_ = digit_zero - token('0');
    for (std::size_t i = 1; i < kTokens; ++i)
      if (token(i) <= token(i - 1) || bytes_[token_table_ + token(i) - 1] != 0) return false;
    return token_table_ + token(kTokens - 1) < end;
  }
  // What is found is found soon; memory that only looks like a table must not keep the guest
  // waiting.
  bool spend() { return budget_ > 0 && --budget_ > 0; }
  std::uint16_t token(std::size_t i) const { return get<std::uint16_t>(token_index_ + 2 * i); }

  // Markers and names end before the tokens, or before the order of the names in between.
  bool find_list() {
    constexpr std::size_t kOrderBytes = 3, kMostSymbols = 2u << 20;
    const std::size_t tokens = token_table_ & ~std::size_t{word_ - 1};
    for (std::size_t gap = 0; gap <= kOrderBytes * kMostSymbols && gap < tokens; gap += word_) {
      if (!find_markers(tokens - gap)) continue;
      const std::size_t most = gap == 0 ? kMostSymbols : gap / kOrderBytes;
      if ((marker_count_ - 1) * kNamesPerMarker <= most && find_names() &&
          (gap == 0 || align(kOrderBytes * count_) == gap))
        return true;
    }
    return false;
  }

  // They fall towards their first, which is zero.
  bool find_markers(std::size_t end) {
    if (end < 8) return false;
    if (word_ == 8 && get<std::uint32_t>(end - 4) == 0) end -= 4;  // alignment
    std::size_t at = end;
    std::uint32_t above = ~0u;
    while (at >= 4 && spend()) {
      const auto value = get<std::uint32_t>(at - 4);
      if (value >= above) return false;
      at -= 4;
      above = value;
      if (value == 0) break;
    }
    markers_ = at;
    marker_count_ = (end - at) / 4;
    return above == 0 && marker_count_ > 1;
  }
  std::uint32_t marker(std::size_t i) const { return get<std::uint32_t>(markers_ + 4 * i); }

  // Steps over one name; nothing: it runs into the markers.
  std::optional<std::size_t> after_name(std::size_t at) const {
    if (at >= markers_) return std::nullopt;
    std::size_t length = bytes_[at++];
    if (length & 0x80) {  // since 6.1
      if (at >= markers_) return std::nullopt;
      length = (length & 0x7f) | std::size_t{bytes_[at++]} << 7;
    }
    if (length == 0 || length > markers_ - at) return std::nullopt;
    return at + length;
  }

  // The last marker says how long the names are, but for the last 256 of them.
  bool find_names() {
    constexpr std::size_t kMostTail = kNamesPerMarker * 512;
    const std::size_t least = marker(marker_count_ - 1);
    for (std::size_t tail = 0; tail < kMostTail; tail += word_) {
      if (markers_ < least + tail + word_) return false;
      names_ = ((markers_ - least) & ~std::size_t{word_ - 1}) - tail;
      count_ = get<std::uint32_t>(names_ - word_);
      if ((count_ + kNamesPerMarker - 1) / kNamesPerMarker == marker_count_ && names_agree())
        return true;
    }
    return false;
  }
  bool names_agree() {
    std::size_t at = names_;
    for (std::size_t i = 0; i < count_; ++i) {
      if (!spend()) return false;
      if (i % kNamesPerMarker == 0 && at - names_ != marker(i / kNamesPerMarker)) return false;
      const auto next = after_name(at);
      if (!next) return false;
      at = *next;
    }
    return align(at) == markers_;
  }

  bool find_addresses() {
    const std::size_t offsets_bytes = align(4 * count_);
    const std::size_t before = names_ - word_;
    if (before >= word_ + offsets_bytes &&
        take_addresses(before - word_ - offsets_bytes, before - word_))
      return true;
    const std::size_t behind = align(token_index_ + 2 * kTokens);
    return holds(behind, offsets_bytes + word_) && take_addresses(behind, behind + offsets_bytes);
  }
  bool take_addresses(std::size_t offsets, std::size_t base) {
    base_ = word_ == 8 ? get<std::uint64_t>(base) : get<std::uint32_t>(base);
    offsets_ = offsets;
    // The base is the first address of the image.
    return base_ >= image_.address && base_ - image_.address < bytes_.size();
  }

  std::uint64_t address(std::size_t i, bool absolute_percpu) const {
    const auto offset = get<std::int32_t>(offsets_ + 4 * i);
    // CONFIG_KALLSYMS_ABSOLUTE_PERCPU: what is not negative is an address itself.
    if (absolute_percpu)
      return offset >= 0 ? static_cast<std::uint64_t>(offset)
                         : base_ - 1 - static_cast<std::uint64_t>(std::int64_t{offset});
    return base_ + static_cast<std::uint32_t>(offset);
  }

  std::vector<Symbol> decode() const {
    bool absolute_percpu = false;
    for (std::size_t i = 0; i < count_; ++i)
      absolute_percpu |= get<std::int32_t>(offsets_ + 4 * i) < 0;
    std::vector<Symbol> symbols;
    symbols.reserve(count_);
    std::size_t at = names_;
    for (std::size_t i = 0; i < count_; ++i) {
      const std::size_t end = *after_name(at);
      at += bytes_[at] & 0x80 ? 2 : 1;
      std::string text;
      for (; at < end; ++at)
        text += reinterpret_cast<const char*>(bytes_.data()) + token_table_ + token(bytes_[at]);
      // The first character is nm's letter.
      if (text.size() > 1)
        symbols.push_back({address(i, absolute_percpu && word_ == 8), text[0], text.substr(1), 0});
    }
    return symbols;
  }

  const MemoryImage& image_;
  std::span<const std::uint8_t> bytes_;
  const std::size_t word_;
  std::size_t token_table_ = 0, token_index_ = 0, markers_ = 0, marker_count_ = 0, names_ = 0,
              count_ = 0, offsets_ = 0;
  std::uint64_t budget_ = 20'000'000;  // steps
  std::uint64_t base_ = 0;
};

}  // namespace

std::optional<std::vector<Symbol>> find_kallsyms(const MemoryImage& image, unsigned word_bytes) {
  return Finder(image, word_bytes).run();
}

}  // namespace ringshift::runtime::profile
