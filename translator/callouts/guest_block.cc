// translator/callouts/guest_block.cc - page-by-page copies between host buffers and guest memory.
#include "translator/callouts/guest_block.h"

#include <algorithm>

namespace ringshift::translator {
namespace {

constexpr std::size_t kSlowBytes = 64;  // what softmmu::Mmu::read and write take at once

std::size_t bytes_in_page(guest::LinearAddress a, std::size_t bytes) {
  return std::min<std::size_t>(bytes, guest::kPageBytes - guest::page_offset(a.value));
}

// Outside 64-bit code linear addresses wrap at 4 GiB.
guest::LinearAddress advance(const Core& core, guest::LinearAddress a, std::size_t bytes) {
  const std::uint64_t next = a.value + bytes;
  return {core.state.in_64bit_code() ? next : static_cast<std::uint32_t>(next)};
}

}  // namespace

guest::Status read_block(Core& core, guest::LinearAddress a, std::span<std::uint8_t> out) {
  const softmmu::Access access = core.mmu.data_access(softmmu::AccessKind::kRead);
  while (!out.empty()) {
    std::size_t bytes = bytes_in_page(a, out.size());
    RS_ASSIGN(host, host_run(core, a, bytes, false));
    if (host) {
      copy_bytes(out.data(), host, bytes);
    } else {
      bytes = std::min(bytes, kSlowBytes);
      RS_CHECK(core.mmu.read(a, out.first(bytes), access));
    }
    out = out.subspan(bytes);
    a = advance(core, a, bytes);
  }
  return {};
}

guest::Status write_block(Core& core, guest::LinearAddress a, std::span<const std::uint8_t> in) {
  const softmmu::Access access = core.mmu.data_access(softmmu::AccessKind::kWrite);
  while (!in.empty()) {
    std::size_t bytes = bytes_in_page(a, in.size());
    RS_ASSIGN(host, host_run(core, a, bytes, true));
    if (host) {
      copy_bytes(host, in.data(), bytes);
    } else {
      bytes = std::min(bytes, kSlowBytes);
      RS_CHECK(core.mmu.write(a, in.first(bytes), access));
    }
    in = in.subspan(bytes);
    a = advance(core, a, bytes);
  }
  return {};
}

guest::Status probe_write(Core& core, guest::LinearAddress a, std::size_t bytes) {
  const softmmu::Access access = core.mmu.data_access(softmmu::AccessKind::kWrite);
  while (bytes != 0) {
    const std::size_t part = bytes_in_page(a, bytes);
    RS_CHECK(core.mmu.probe(a, part, access));
    bytes -= part;
    a = advance(core, a, part);
  }
  return {};
}

}  // namespace ringshift::translator
