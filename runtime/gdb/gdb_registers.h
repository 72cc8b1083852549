// runtime/gdb/gdb_registers.h - the guest's registers as gdb wants them: their order, their bytes
// and the XML that describes them. GDB manual, "Target Descriptions", "i386 Features".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "guest/cpu_model.h"
#include "guest/cpu_state.h"

namespace ringshift::runtime::gdb {

class Registers {
 public:
  // `wide`: a processor with long mode, whose registers have 64 bits in every mode.
  explicit Registers(bool wide);

  std::size_t count() const { return list_.size(); }
  std::size_t bytes(std::size_t number) const { return list_.at(number).bytes; }
  // In the guest's byte order.
  std::vector<std::uint8_t> read(const guest::CpuState& state, std::size_t number) const;
  // False for a register that cannot be written this way.
  bool write(guest::CpuState& state, std::size_t number, std::span<const std::uint8_t> value) const;
  const std::string& xml() const { return xml_; }

 private:
  enum class Kind : std::uint8_t {
    kGpr,
    kRip,
    kFlags,
    kSelector,
    kX87,
    kX87Control,
    kVector,
    kMxcsr,
    kBase,
    kKernelGsBase,
    kCr,
    kEfer,
  };
  struct Entry {
    Kind kind;
    unsigned index, bytes;
  };
  void add(Kind kind, unsigned index, unsigned bytes, const std::string& name,
           const std::string& type);

  bool wide_;
  std::vector<Entry> list_;
  std::string xml_;
};

}  // namespace ringshift::runtime::gdb
