// tests/differential/random.h - a small generator of random numbers, the same on every host.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <iterator>

namespace ringshift::differential {

// splitmix64: fast, and any seed is a good one.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  std::uint64_t below(std::uint64_t n) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * n) >> 64);
  }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low + 1)));
  }
  bool chance(unsigned percent) { return below(100) < percent; }
  std::uint8_t byte() { return static_cast<std::uint8_t>(next() >> 56); }
  template <typename Container>
  const auto& pick(const Container& c) {
    return *std::next(std::begin(c), static_cast<std::ptrdiff_t>(below(std::size(c))));
  }
  template <typename T>
  T pick(std::initializer_list<T> list) {
    return list.begin()[below(list.size())];
  }

 private:
  std::uint64_t state_;
};

}  // namespace ringshift::differential
