// runtime/loaders/span_reader.h - little-endian reads from an untrusted byte range: outside it,
// nothing.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace ringshift::runtime {

using Bytes = std::span<const std::uint8_t>;

class SpanReader {
 public:
  explicit SpanReader(Bytes bytes) : bytes_(bytes) {}

  template <std::unsigned_integral T>
  std::optional<T> at(std::uint64_t offset) const {
    const auto field = slice(offset, sizeof(T));
    if (!field) return std::nullopt;
    T value;
    std::memcpy(&value, field->data(), sizeof value);
    return value;
  }

  std::optional<Bytes> slice(std::uint64_t offset, std::uint64_t bytes) const {
    if (offset > bytes_.size() || bytes > bytes_.size() - offset) return std::nullopt;
    return bytes_.subspan(offset, bytes);
  }

  std::size_t size() const { return bytes_.size(); }

 private:
  Bytes bytes_;
};

}  // namespace ringshift::runtime
