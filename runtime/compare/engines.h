// runtime/compare/engines.h - what can run a guest here.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "runtime/probe.h"

namespace ringshift::runtime {

struct Engine {
  std::string name, description;
  std::vector<std::string> command;  // without the guest; empty: this process, without a guest
  std::string problem;               // why it cannot be used; "": it can
};

// All that Ringshift knows of, on this host. `program`: Ringshift itself.
std::vector<Engine> engines_here(const std::string& program, const HostReport& host);

}  // namespace ringshift::runtime
