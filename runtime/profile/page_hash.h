// runtime/profile/page_hash.h - names a page of code by what is in it: the same in a guest's memory
// and in a file.
#pragma once

#include <cstdint>
#include <cstring>

#include "guest/address.h"

namespace ringshift::runtime::profile {

// FNV-1a over words. 0 is kept for "unknown".
inline std::uint64_t page_hash(const std::uint8_t* page) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::size_t at = 0; at < guest::kPageBytes; at += sizeof(std::uint64_t)) {
    std::uint64_t word;
    std::memcpy(&word, page + at, sizeof word);
    hash = (hash ^ word) * 0x100000001b3;
    hash ^= hash >> 29;  // a product's high bits would never reach its low ones
  }
  return hash ? hash : 1;
}

}  // namespace ringshift::runtime::profile
