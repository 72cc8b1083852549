// translator/callouts/fx_image.h - the legacy region that FXSAVE and XSAVE share.
#pragma once

#include <array>
#include <cstdint>

#include "translator/callouts/extended_state.h"

namespace ringshift::translator {

using LegacyImage = std::array<std::uint8_t, area::kLegacyBytes>;

// x87 part of the image: initial values when the state is not in use, no host addresses, reserved
// bytes zero.
void export_x87(const ExtendedState& x, std::uint8_t* image);
// MXCSR and its mask.
void export_mxcsr(const ExtendedState& x, std::uint8_t* image);
void export_xmm(const ExtendedState& x, std::uint8_t* image, unsigned registers);

// Writes FCW and FSW as the processor would hold them: reserved control bits read back as fixed
// values, and the error summary follows from what is unmasked.
void set_x87_control(ExtendedState& x, std::uint16_t fcw, std::uint16_t fsw);
inline unsigned top_of(std::uint16_t fsw) { return (fsw >> 11) & 7; }
// Physical registers stay where they are when TOP changes, so their places in the image, which is
// in stack order, rotate. Call before the new FSW is stored.
void rotate_stack(ExtendedState& x, unsigned new_top);
// What every MMX instruction but EMMS does: TOP = 0, all tags valid.
void enter_mmx_state(ExtendedState& x);
void import_x87(ExtendedState& x, const std::uint8_t* image);
// Registers from `registers` up keep their values.
void import_xmm(ExtendedState& x, const std::uint8_t* image, unsigned registers);
// Gives the first `registers` XMM registers their initial value.
void clear_xmm(ExtendedState& x, unsigned registers);

}  // namespace ringshift::translator
