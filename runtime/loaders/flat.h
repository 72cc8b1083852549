// runtime/loaders/flat.h - raw bytes at an address: `-device
// loader,file=F,addr=A[,mode=M][,entry=E]`. `mode` and `entry` are this project's own: they start
// the processor in the image.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "guest/cpu_state.h"
#include "guest/physical_memory.h"
#include "runtime/loaders/placement.h"

namespace ringshift::runtime {

// real16: CS:IP below 1 MiB; protected32: flat segments; long64: the same with 4 GiB mapped 1:1.
enum class FlatMode { kReal16, kProtected32, kLong64 };

struct FlatImage {
  std::string name;
  std::vector<std::uint8_t> bytes;
  std::uint64_t address = 0;
  std::optional<FlatMode> mode;        // none: only loaded
  std::optional<std::uint64_t> entry;  // default: `address`
};

// Copies the image, and sets the registers when it has a mode. `state` was just reset.
LoadStatus boot_flat(const FlatImage& image, guest::PhysicalMemory& memory, guest::CpuState& state);

}  // namespace ringshift::runtime
