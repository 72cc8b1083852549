// runtime/option_values.h - the small grammars inside option arguments: sizes, numbers, key=value
// lists.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace ringshift::runtime {

std::vector<std::string> split_commas(std::string_view text);

// Decimal, 0x hexadecimal or 0 octal, nothing after it.
std::optional<std::uint64_t> parse_number(std::string_view text);
// A number with an optional suffix K, M, G or T (and B after it); `unit` counts without one.
std::optional<std::uint64_t> parse_size(std::string_view text, std::uint64_t unit);

// "name,key=value,flag": the first word may lack a key, a later word without '=' is key=on.
class KeyValues {
 public:
  KeyValues(std::string_view text, bool first_is_name);
  const std::string& name() const { return name_; }
  // Takes a value out; what nobody takes is unknown to the option.
  std::optional<std::string> take(std::string_view key);
  tl::expected<std::optional<std::uint64_t>, std::string> take_number(std::string_view key);
  // The error names the first key that nobody took.
  tl::expected<void, std::string> finish() const;

 private:
  struct Pair {
    std::string key, value;
  };
  std::string name_;
  std::vector<Pair> pairs_;
};

}  // namespace ringshift::runtime
