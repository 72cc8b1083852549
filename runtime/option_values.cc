// runtime/option_values.cc - the small grammars inside option arguments: sizes, numbers, key=value
// lists.
#include "runtime/option_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace ringshift::runtime {
namespace {

unsigned suffix_shift(char suffix) {
  switch (std::toupper(static_cast<unsigned char>(suffix))) {
    case 'K':
      return 10;
    case 'M':
      return 20;
    case 'G':
      return 30;
    case 'T':
      return 40;
    default:
      return 0;
  }
}

}  // namespace

std::vector<std::string> split_commas(std::string_view text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ',')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text.starts_with('0')) {
    base = 8;
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> parse_size(std::string_view text, std::uint64_t unit) {
  if (text.size() > 1 && std::toupper(static_cast<unsigned char>(text.back())) == 'B' &&
      suffix_shift(text[text.size() - 2]) != 0)
    text.remove_suffix(1);
  if (!text.empty()) {
    if (const auto shift = suffix_shift(text.back())) {
      unit = std::uint64_t{1} << shift;
      text.remove_suffix(1);
    }
  }
  const auto number = parse_number(text);
  if (!number || (*number != 0 && unit > ~std::uint64_t{0} / *number)) return std::nullopt;
  return *number * unit;
}

KeyValues::KeyValues(std::string_view text, bool first_is_name) {
  bool first = first_is_name;
  for (auto& word : split_commas(text)) {
    const auto equals = word.find('=');
    if (first && equals == std::string::npos) {
      name_ = word;
    } else if (equals == std::string::npos) {
      pairs_.push_back({word, "on"});
    } else {
      pairs_.push_back({word.substr(0, equals), word.substr(equals + 1)});
    }
    first = false;
  }
}

std::optional<std::string> KeyValues::take(std::string_view key) {
  const auto pair = std::find_if(pairs_.begin(), pairs_.end(),
                                 [&](const Pair& candidate) { return candidate.key == key; });
  if (pair == pairs_.end()) return std::nullopt;
  auto value = std::move(pair->value);
  pairs_.erase(pair);
  return value;
}

tl::expected<std::optional<std::uint64_t>, std::string> KeyValues::take_number(
    std::string_view key) {
  const auto text = take(key);
  if (!text) return std::nullopt;
  const auto number = parse_number(*text);
  if (!number) return tl::unexpected(fmt::format("{}={}: not a number", key, *text));
  return number;
}

tl::expected<void, std::string> KeyValues::finish() const {
  if (pairs_.empty()) return {};
  return tl::unexpected(fmt::format("'{}' is not supported", pairs_.front().key));
}

}  // namespace ringshift::runtime
