// tests/differential/session.cc - one case after the other.
#include "tests/differential/session.h"

#include <fmt/core.h>

#include <array>

#include "tests/differential/initial_state.h"
#include "tests/differential/known_differences.h"

namespace ringshift::differential {
namespace {

constexpr unsigned kInvalidOpcode = 6, kBreakpoint = 3;

std::uint64_t mix(std::uint64_t seed, std::uint64_t number) {
  return Random(seed * 0x9e3779b97f4a7c15 + number).next();
}

std::string line(const Difference& d) {
  return fmt::format("  {:<12} native {} translated {}\n", d.what, d.native, d.translated);
}

std::string contents(std::FILE* file) {
  std::string s;
  std::array<char, 4096> buffer;
  std::rewind(file);
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), file))
    s.append(buffer.data(), n);
  return s;
}

}  // namespace

Session::Session(const Settings& settings)
    : settings_(settings),
      catalogue_(settings.bits, settings.isa),
      translated_(settings.engine),
      native_(settings.bits),
      generator_(settings.bits, catalogue_, settings.length) {
  std::uint64_t number = 0;
  catalogue_.set_apart([&](const Form& form) {
    for (unsigned i = 0; i < 4; ++i) {
      const auto c = generator_.draw_one(form, mix(0, ++number));
      if (!c) continue;
      const Registers initial = initial_registers(c->mode, c->state_seed);
      native_.run(c->mode, initial, memory_, c->code(), native_outcome_);
      if (native_outcome_.vector != kInvalidOpcode) return false;
    }
    return true;
  });
}

std::string Session::catalogue_text() const {
  constexpr const char* kNames[] = {"integer", "x87", "sse", "vex", "evex", "absent here"};
  std::string s;
  for (unsigned g = 0; g < Catalogue::kGroups; ++g) {
    const auto& group = catalogue_.group(static_cast<Catalogue::Group>(g));
    std::size_t forms = 0;
    for (const auto& m : group) forms += m.forms.size();
    s += fmt::format("{}: {} mnemonics in {} forms; ", kNames[g], group.size(), forms);
  }
  return s;
}

Case Session::draw(std::uint64_t number) { return generator_.draw(mix(settings_.seed, number)); }

Session::Verdict Session::compare_once(TranslatedCpu& cpu, const Case& c) {
  Verdict v;
  const Registers initial = initial_registers(c.mode, c.state_seed);
  initial_memory(c.state_seed, memory_);
  const Bytes code = c.code();
  native_.run(c.mode, initial, memory_, code, native_outcome_);
  normalize(c.mode, native_outcome_);
  faults_ += native_outcome_.vector != kBreakpoint;
  for (auto start : {TranslatedCpu::Start::kCold, TranslatedCpu::Start::kWarm}) {
    v.warm = start == TranslatedCpu::Start::kWarm;
    if (!cpu.run(c.mode, initial, memory_, code, start, translated_outcome_, v.error)) {
      v.differs = true;
      return v;
    }
    normalize(c.mode, translated_outcome_);
    v.differences = compare(c, native_outcome_, translated_outcome_);
    v.differs = !v.differences.empty();
    if (v.differs) return v;
  }
  return v;
}

std::string Session::check(const Case& c) {
  const Verdict v = compare_once(translated_, c);
  if (!v.differs) return {};
  if (v.error.empty() && !known_reason(c, v.differences, native_outcome_).empty()) {
    ++known_;
    return {};
  }
  if (!settings_.minimize) return report(c, c);
  // What hides behind other instructions may be known by itself.
  const Case reduced = reduce(c);
  const Verdict least = compare_once(translated_, reduced);
  if (least.differs && least.error.empty() &&
      !known_reason(reduced, least.differences, native_outcome_).empty()) {
    ++known_;
    return {};
  }
  std::string text = report(c, reduced) + "  the whole sequence after the cases before it:\n";
  for (const Difference& d : v.differences) text += line(d);
  return text;
}

// NOPs in place of instructions, as long as it still differs: nothing moves.
Case Session::reduce(const Case& c) {
  TranslatedCpu fresh(settings_.engine);
  Case best = c;
  if (!compare_once(fresh, best).differs) return best;
  for (std::size_t i = best.instructions.size(); i-- > 0;) {
    Case smaller = best;
    smaller.instructions[i].assign(best.instructions[i].size(), 0x90);
    if (compare_once(fresh, smaller).differs) best = smaller;
  }
  return best;
}

std::string Session::report(const Case& original, const Case& reduced) {
  std::FILE* listing = std::tmpfile();
  runtime::BtOptions options = settings_.engine;
  options.log.out_asm = options.log.in_asm = options.log.interrupts = true;
  options.log.file = listing;
  TranslatedCpu fresh(options);
  Case shown = reduced;
  Verdict v = compare_once(fresh, shown);
  const Registers initial = initial_registers(shown.mode, shown.state_seed);
  std::string s = fmt::format("--one {}\n", shown.text());
  if (!v.differs) {
    s += "  differs only after the cases before it; all of it:\n";
    v = compare_once(translated_, shown = original);
    if (!v.differs) s += "  and not a second time\n";
  }
  s += disassemble(shown, initial.rip) + initial_state_text(shown, initial);
  if (v.warm) s += "  second run, with TLB and code cache warm\n";
  if (!v.error.empty()) s += "  engine: " + v.error + "\n";
  s += fmt::format("  native: vector {} at {:x}\n", native_outcome_.vector,
                   native_outcome_.registers.rip);
  for (const Difference& d : v.differences) s += line(d);
  if (settings_.verbose) s += contents(listing);
  std::fclose(listing);
  return s;
}

}  // namespace ringshift::differential
