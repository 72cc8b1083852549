// runtime/kvm/variable_list.h - the kernel's structures that end in an array: a head, then entries.
// In C++ its header lays them out larger than in C, where an empty struct has no size; so their
// heads and the numbers of their requests, which hold that size, are here.
#pragma once

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ringshift::runtime {

struct CpuidHead {
  std::uint32_t count, padding;
};
struct MsrIndexHead {
  std::uint32_t count;
};
struct MsrValueHead {
  std::uint32_t count, padding;
};

namespace request {
inline constexpr unsigned long kGetSupportedCpuid = _IOWR(KVMIO, 0x05, CpuidHead),
                               kSetCpuid = _IOW(KVMIO, 0x90, CpuidHead),
                               kGetMsrIndexList = _IOWR(KVMIO, 0x02, MsrIndexHead),
                               kGetMsrs = _IOWR(KVMIO, 0x88, MsrValueHead),
                               kSetMsrs = _IOW(KVMIO, 0x89, MsrValueHead),
                               kGetXsave = _IOR(KVMIO, 0xa4, std::uint32_t[1024]),
                               kSetXsave = _IOW(KVMIO, 0xa5, std::uint32_t[1024]);
}

template <typename Head, typename Entry>
class VariableList {
 public:
  explicit VariableList(std::size_t capacity)
      : words_((sizeof(Head) + capacity * sizeof(Entry) + sizeof(Word) - 1) / sizeof(Word)) {}

  Head* get() { return reinterpret_cast<Head*>(words_.data()); }
  Head* operator->() { return get(); }
  std::span<Entry> entries(std::size_t count) {
    return {reinterpret_cast<Entry*>(reinterpret_cast<std::byte*>(get()) + sizeof(Head)), count};
  }

 private:
  using Word = std::uint64_t;
  std::vector<Word> words_;
};

}  // namespace ringshift::runtime
