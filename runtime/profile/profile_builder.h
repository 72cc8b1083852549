// runtime/profile/profile_builder.h - from a recording to a profile: puts names and listings to it.
#pragma once

#include "runtime/profile/profile.h"
#include "runtime/profile/recording.h"
#include "runtime/profile/symbolizer.h"
#include "translator/disassembly.h"

namespace ringshift::runtime::profile {

struct BuildOptions {
  translator::Syntax syntax = translator::Syntax::kIntel;
  bool listings = true;  // blocks with their code
  std::size_t most_blocks = 400;
};

Profile build_profile(const Recording& recording, const SymbolSources& sources,
                      const BuildOptions& options);

}  // namespace ringshift::runtime::profile
