// translator/callouts/string_compare.cc - CMPS and SCAS, a page run at a time.
#include "translator/callouts/string_compare.h"

#include <optional>

#include "translator/callouts/guest_block.h"
#include "translator/callouts/string_run.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;
using guest::Seg;

struct Pair {
  std::uint64_t left = 0, right = 0;
};

// How far a run went: `elements` were compared, the last of them is `last`.
struct Progress {
  std::uint64_t elements = 0;
  Pair last;
  bool ended = false;  // the condition of the repeat prefix is met
};

template <typename T>
std::uint64_t flags_of_compare(T left, T right) {
  std::uint64_t lahf;
  std::uint8_t overflow;
  asm("cmp %3, %2\n\tlahf\n\tseto %1"
      : "=&a"(lahf), "=&q"(overflow)
      : "r"(left), "r"(right)
      : "cc");
  constexpr std::uint64_t kInAh = guest::flags::kArithmetic & 0xff;
  return ((lahf >> 8) & kInAh) | (overflow ? guest::flags::kOf : 0);
}

std::uint64_t flags_of_compare(Pair pair, unsigned element) {
  switch (element) {
    case 1:
      return flags_of_compare<std::uint8_t>(pair.left, pair.right);
    case 2:
      return flags_of_compare<std::uint16_t>(pair.left, pair.right);
    case 4:
      return flags_of_compare<std::uint32_t>(pair.left, pair.right);
    default:
      return flags_of_compare<std::uint64_t>(pair.left, pair.right);
  }
}

// When a repetition ends: REPNE at the first equal pair, REPE at the first unequal one.
struct Condition {
  bool repeated = false;
  bool stop_on_equal = false;
  bool ends(Pair pair) const { return !repeated || (pair.left == pair.right) == stop_on_equal; }
};

Condition condition_of(const Operation& op) {
  return {(op.prefixes & (prefix::kRep | prefix::kRepne)) != 0,
          (op.prefixes & prefix::kRepne) != 0};
}

// Elements that are equal eight bytes at a time, for REPE going up.
template <typename T>
std::uint64_t equal_prefix(const std::uint8_t* left, const std::uint8_t* right, std::uint64_t n) {
  constexpr std::uint64_t kPerWord = 8 / sizeof(T);
  std::uint64_t done = 0;
  while (n - done > kPerWord && load_host<std::uint64_t>(left + done * sizeof(T)) ==
                                    load_host<std::uint64_t>(right + done * sizeof(T)))
    done += kPerWord;
  return done;
}

template <typename T>
Progress compare_run(const std::uint8_t* left, const std::uint8_t* right, std::uint64_t n,
                     bool backward, Condition condition) {
  const std::int64_t step = backward ? -static_cast<std::int64_t>(sizeof(T)) : sizeof(T);
  Progress progress;
  if (!backward && condition.repeated && !condition.stop_on_equal)
    progress.elements = equal_prefix<T>(left, right, n);
  std::int64_t at = static_cast<std::int64_t>(progress.elements) * step;
  while (progress.elements < n && !progress.ended) {
    progress.last = {load_host<T>(left + at), load_host<T>(right + at)};
    progress.ended = condition.ends(progress.last);
    ++progress.elements;
    at += step;
  }
  return progress;
}

template <typename T>
Progress scan_run(std::uint64_t accumulator, const std::uint8_t* right, std::uint64_t n,
                  bool backward, Condition condition) {
  const std::int64_t step = backward ? -static_cast<std::int64_t>(sizeof(T)) : sizeof(T);
  const std::uint64_t left = static_cast<T>(accumulator);
  Progress progress;
  for (std::int64_t at = 0; progress.elements < n && !progress.ended; at += step) {
    progress.last = {left, load_host<T>(right + at)};
    progress.ended = condition.ends(progress.last);
    ++progress.elements;
  }
  return progress;
}

template <typename F>
Progress with_element(unsigned element, F&& run) {
  switch (element) {
    case 1:
      return run.template operator()<std::uint8_t>();
    case 2:
      return run.template operator()<std::uint16_t>();
    case 4:
      return run.template operator()<std::uint32_t>();
    default:
      return run.template operator()<std::uint64_t>();
  }
}

std::uint64_t truncate(std::uint64_t value, unsigned bytes) {
  return bytes == 8 ? value : value & ((std::uint64_t{1} << (8 * bytes)) - 1);
}

// Flags change only here, so that a fault leaves them as before the instruction.
// SDM Vol. 2 "REP/REPE/REPZ/REPNE/REPNZ".
Result finish(Core& core, StringRun& run, const std::optional<Pair>& last) {
  if (last)
    core.state.rflags =
        (core.state.rflags & ~guest::flags::kArithmetic) | flags_of_compare(*last, run.element());
  return run.outcome();
}

}  // namespace

Result compare_strings(Core& core, const Operation& op) {
  StringRun run(core, op);
  const Condition condition = condition_of(op);
  std::optional<Pair> last;
  while (run.working()) {
    std::uint64_t n = run.left();
    RS_ASSIGN(left, run.resolve(op.memory.segment, Gpr::kRsi, n, false));
    RS_ASSIGN(right, run.resolve(Seg::kEs, Gpr::kRdi, n, false));
    Progress progress;
    if (left && right) {
      progress = with_element(run.element(), [&]<typename T>() {
        return compare_run<T>(left, right, n, run.backward(), condition);
      });
      run.take_fast(progress.elements);
    } else {
      RS_ASSIGN(a, read_data(core, op.memory.segment, run.offset(Gpr::kRsi), run.element()));
      RS_ASSIGN(b, read_data(core, Seg::kEs, run.offset(Gpr::kRdi), run.element()));
      progress = {1, {a, b}, condition.ends({a, b})};
      run.take_slow(1);
    }
    run.advance(Gpr::kRsi, progress.elements);
    run.advance(Gpr::kRdi, progress.elements);
    last = progress.last;
    if (progress.ended) run.finish();
  }
  return finish(core, run, last);
}

Result scan_string(Core& core, const Operation& op) {
  StringRun run(core, op);
  const Condition condition = condition_of(op);
  const std::uint64_t accumulator = truncate(core.state.reg(Gpr::kRax), run.element());
  std::optional<Pair> last;
  while (run.working()) {
    std::uint64_t n = run.left();
    RS_ASSIGN(right, run.resolve(Seg::kEs, Gpr::kRdi, n, false));
    Progress progress;
    if (right) {
      progress = with_element(run.element(), [&]<typename T>() {
        return scan_run<T>(accumulator, right, n, run.backward(), condition);
      });
      run.take_fast(progress.elements);
    } else {
      RS_ASSIGN(b, read_data(core, Seg::kEs, run.offset(Gpr::kRdi), run.element()));
      progress = {1, {accumulator, b}, condition.ends({accumulator, b})};
      run.take_slow(1);
    }
    run.advance(Gpr::kRdi, progress.elements);
    last = progress.last;
    if (progress.ended) run.finish();
  }
  return finish(core, run, last);
}

}  // namespace ringshift::translator
