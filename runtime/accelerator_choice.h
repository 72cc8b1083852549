// runtime/accelerator_choice.h - which accelerator runs the guest: the one place that knows them.
#pragma once

#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "runtime/accelerator.h"
#include "runtime/bt/bt_accelerator.h"
#include "runtime/options.h"

namespace ringshift::runtime {

struct AcceleratorChoice {
  std::unique_ptr<Accelerator> accelerator;
  std::string why;      // one line, for who asks
  std::string warning;  // one line for everybody, or ""
};

// The error is one line for the user: what was asked for does not work here.
tl::expected<AcceleratorChoice, std::string> choose_accelerator(AcceleratorKind kind,
                                                                const BtOptions& bt);

}  // namespace ringshift::runtime
