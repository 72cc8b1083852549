// tests/differential/session.h - runs cases on both processors, reduces what differs and reports.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/differential/compare.h"
#include "tests/differential/generator.h"
#include "tests/differential/native_cpu.h"
#include "tests/differential/translated_cpu.h"

namespace ringshift::differential {

struct Settings {
  unsigned bits = 64;
  std::uint64_t count = 10000, seed = 1, first = 0;
  std::vector<std::string> isa;
  unsigned length = 12;
  runtime::BtOptions engine;
  bool minimize = true;
  bool verbose = false;
};

class Session {
 public:
  explicit Session(const Settings& settings);

  // Text of what differs; empty: nothing does, or it is known.
  std::string check(const Case& c);
  Case draw(std::uint64_t number);
  std::uint64_t known() const { return known_; }
  std::uint64_t faults() const { return faults_; }
  std::string catalogue_text() const;

 private:
  struct Verdict {
    bool differs = false, warm = false;
    std::string error;  // of the engine
    std::vector<Difference> differences;
  };
  Verdict compare_once(TranslatedCpu& cpu, const Case& c);
  Case reduce(const Case& c);
  std::string report(const Case& original, const Case& reduced);

  Settings settings_;
  Catalogue catalogue_;
  TranslatedCpu translated_;
  NativeCpu native_;
  Generator generator_;
  Memory memory_;
  Outcome native_outcome_, translated_outcome_;
  std::uint64_t known_ = 0, faults_ = 0;
};

}  // namespace ringshift::differential
