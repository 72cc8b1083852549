// softmmu/mmu_invariants.cc - compares everything that the views cache with fresh page walks.
#include <charconv>

#include "softmmu/mmu.h"

namespace ringshift::softmmu {
namespace {

std::string hex(std::uint64_t value) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, 16);
  return "0x" + std::string(digits, end.ptr);
}

}  // namespace

guest::Checked<Translation> Mmu::fresh_walk(const View& view, guest::LinearAddress a,
                                            AccessKind kind) const {
  guest::CpuState state = state_;
  for (const Space& space : spaces_)
    for (const auto& candidate : space.views)
      if (candidate.get() == &view) state.cr3 = space.cr3;
  const bool user = view.privilege() == Privilege::kUser;
  state.cpl = user ? 3 : 0;
  state.rflags &= ~guest::flags::kAc;
  if (view.privilege() == Privilege::kSupervisorAc) state.rflags |= guest::flags::kAc;
  return walk(memory_, state, features_, a, {kind, user, false}, false);
}

std::string Mmu::check_view(const Space& space, const View& cached_view) {
  if (std::string text = cached_view.check_structure(); !text.empty()) return text;

  const auto check = [&](View::Kind table, AccessKind access, const char* name) -> std::string {
    for (const View::Cached& cached : cached_view.cached(table)) {
      const Mapping& mapping = cached.mapping;
      const std::string where = std::string(name) + " " + hex(mapping.page.value) + " (view " +
                                std::to_string(static_cast<int>(cached_view.privilege())) +
                                ", pcid " + std::to_string(space.pcid) + "): ";
      const auto fresh = fresh_walk(cached_view, mapping.page, access);
      if (!fresh) return where + "a walk faults with error code " + hex(fresh.error().error_code);
      if (fresh->address != mapping.physical_page)
        return where + "cached frame " + hex(mapping.physical_page.value) + ", a walk gives " +
               hex(fresh->address.value);
      if (fresh->global != mapping.global) return where + "another G";
      if (fresh->page_bytes != mapping.page_bytes) return where + "another page size";
      if (table == View::Kind::kFetch) continue;
      if (memory_.readable_page(fresh->address) != cached.host_page)
        return where + "host address is not that of the frame";
      if (table == View::Kind::kRead) continue;
      if (!fresh->writable) return where + "cached as writable, but not dirty or not permitted";
      if (memory_.ram_page(fresh->address) == nullptr) return where + "not RAM";
      if (memory_.watched(fresh->address)) return where + "the frame is watched";
      if (!maybe_writable_[memory_.ram_page_number(fresh->address)])
        return where + "drop_writable() would not find it";
    }
    return {};
  };
  if (auto text = check(View::Kind::kRead, AccessKind::kRead, "read"); !text.empty()) return text;
  if (auto text = check(View::Kind::kWrite, AccessKind::kWrite, "write"); !text.empty())
    return text;
  return check(View::Kind::kFetch, AccessKind::kExecute, "fetch");
}

std::string Mmu::check_invariants() {
  for (const Space& space : spaces_)
    for (const auto& view : space.views)
      if (view)
        if (std::string text = check_view(space, *view); !text.empty()) return text;
  return {};
}

}  // namespace ringshift::softmmu
