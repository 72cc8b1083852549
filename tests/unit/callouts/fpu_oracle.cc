// tests/unit/callouts/fpu_oracle.cc - native XSAVE-family and x87 image instructions.
#include "tests/unit/callouts/fpu_oracle.h"

namespace ringshift::translator {
namespace {

// Saves the state of the test process for the length of a scope.
class KeepState {
 public:
  [[gnu::target("general-regs-only")]] KeepState() {
    asm volatile("xsave64 %0" : "=m"(own_) : "a"(-1), "d"(-1));
  }
  ~KeepState() { asm volatile("xrstor64 %0" : : "m"(own_), "a"(-1), "d"(-1)); }
  KeepState(const KeepState&) = delete;
  KeepState& operator=(const KeepState&) = delete;

 private:
  StateArea own_;
};

[[gnu::target("general-regs-only")]] void restore(const StateArea& area, std::uint64_t mask) {
  asm volatile("xrstor64 %0" : : "m"(area), "a"(mask), "d"(mask >> 32));
}

}  // namespace

std::uint32_t host_mxcsr_mask() {
  StateArea area;
  asm volatile("fxsave64 %0" : "+m"(area));
  std::uint32_t mask;
  __builtin_memcpy(&mask, area.bytes.data() + 28, sizeof mask);
  return mask;
}

// Nothing between restore and save may touch a vector register.
[[gnu::target("general-regs-only")]] void restore_and_save(const StateArea& base,
                                                           const StateArea& image,
                                                           std::uint64_t mask, SaveForm form,
                                                           std::uint64_t save_mask,
                                                           StateArea& out) {
  KeepState keep;
  restore(base, ~std::uint64_t{0});
  restore(image, mask);
  switch (form) {
    case SaveForm::kXsave:
      asm volatile("xsave64 %0" : "+m"(out) : "a"(save_mask), "d"(save_mask >> 32));
      break;
    case SaveForm::kXsaveopt:
      asm volatile("xsaveopt64 %0" : "+m"(out) : "a"(save_mask), "d"(save_mask >> 32));
      break;
    case SaveForm::kXsavec:
      asm volatile("xsavec64 %0" : "+m"(out) : "a"(save_mask), "d"(save_mask >> 32));
      break;
  }
}

[[gnu::target("general-regs-only")]] void store_x87(const StateArea& before, X87Image kind,
                                                    StateArea& image, StateArea& after) {
  KeepState keep;
  asm volatile("fxrstor64 %0" : : "m"(before));
  switch (kind) {
    case X87Image::kEnvironment32:
      asm volatile("fnstenv %0" : "+m"(image));
      break;
    case X87Image::kEnvironment16:
      asm volatile(".byte 0x66; fnstenv %0" : "+m"(image));
      break;
    case X87Image::kState32:
      asm volatile("fnsave %0" : "+m"(image));
      break;
    case X87Image::kState16:
      asm volatile(".byte 0x66; fnsave %0" : "+m"(image));
      break;
  }
  asm volatile("fxsave64 %0" : "+m"(after));
}

[[gnu::target("general-regs-only")]] void load_x87(const StateArea& before, X87Image kind,
                                                   const StateArea& image, StateArea& after) {
  KeepState keep;
  asm volatile("fxrstor64 %0" : : "m"(before));
  switch (kind) {
    case X87Image::kEnvironment32:
      asm volatile("fldenv %0" : : "m"(image));
      break;
    case X87Image::kEnvironment16:
      asm volatile(".byte 0x66; fldenv %0" : : "m"(image));
      break;
    case X87Image::kState32:
      asm volatile("frstor %0" : : "m"(image));
      break;
    case X87Image::kState16:
      asm volatile(".byte 0x66; frstor %0" : : "m"(image));
      break;
  }
  asm volatile("fxsave64 %0" : "+m"(after));
}

}  // namespace ringshift::translator
