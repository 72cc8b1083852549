// translator/strict_errors.h - what an assembler refuses (a jump that does not reach, an operand
// that does not exist) is our own bug, and must not run.
#pragma once

#include <asmjit/x86.h>

#include <stdexcept>

namespace ringshift::translator {

class StrictErrors final : public asmjit::ErrorHandler {
  void handleError(asmjit::Error, const char* message, asmjit::BaseEmitter*) override {
    throw std::logic_error(message);
  }
};

}  // namespace ringshift::translator
