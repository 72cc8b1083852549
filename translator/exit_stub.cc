// translator/exit_stub.cc - where a direct exit leads that may not be linked to its successor.
#include "translator/exit_stub.h"

#include <asmjit/x86.h>

namespace ringshift::translator {
namespace r = asmjit::x86;

std::vector<std::uint8_t> jump_cache_exit(const std::uint8_t* at, std::uint16_t target,
                                          bool is_64bit, const Thunks& thunks) {
  asmjit::CodeHolder code;
  code.init(asmjit::Environment::host(), reinterpret_cast<std::uint64_t>(at));
  r::Assembler a(&code);
  a.mov(r::r11, r::ptr(r::rsp, slot::rip_base, 8));
  a.lea(is_64bit ? r::Gp(r::r11) : r::Gp(r::r11d), r::ptr(r::r11, target));
  a.jmp(reinterpret_cast<std::uint64_t>(thunks.indirect_exit));
  const asmjit::CodeBuffer& buffer = code.sectionById(0)->buffer();
  return {buffer.data(), buffer.data() + buffer.size()};
}

}  // namespace ringshift::translator
