// tests/unit/callouts/fpu_oracle.h - the host's own state-saving instructions, as the reference.
// Each function keeps the caller's vector and x87 state.
#pragma once

#include <array>
#include <cstdint>

namespace ringshift::translator {

struct alignas(64) StateArea {
  std::array<std::uint8_t, 4096> bytes{};
};

enum class SaveForm { kXsave, kXsaveopt, kXsavec };
enum class X87Image { kEnvironment32, kEnvironment16, kState32, kState16 };

// MXCSR_MASK, which a call-out finds in the guest's area because the host's XSAVE put it there.
std::uint32_t host_mxcsr_mask();

// Restores `base` whole, then the components of `mask` from `image`, then saves those of
// `save_mask` into `out`, whose bytes are kept where the instruction does not write.
void restore_and_save(const StateArea& base, const StateArea& image, std::uint64_t mask,
                      SaveForm form, std::uint64_t save_mask, StateArea& out);

// FXRSTOR64 of `before`, FNSTENV or FNSAVE into `image`, FXSAVE64 into `after`.
void store_x87(const StateArea& before, X87Image kind, StateArea& image, StateArea& after);
// FXRSTOR64 of `before`, FLDENV or FRSTOR of `image`, FXSAVE64 into `after`.
void load_x87(const StateArea& before, X87Image kind, const StateArea& image, StateArea& after);

}  // namespace ringshift::translator
