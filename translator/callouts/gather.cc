// translator/callouts/gather.cc - vector-indexed loads and stores.
#include "translator/callouts/gather.h"

#include <algorithm>

#include "translator/callouts/extended_state.h"
#include "translator/callouts/vector_operands.h"

namespace ringshift::translator {
namespace {

struct Shape {
  unsigned index_bytes, element_bytes;
};

// SDM Vol. 2 "VGATHERDPS": no alignment checks.
guest::Checked<std::uint64_t> read_element(Core& core, const Operation& op, std::uint64_t offset,
                                           unsigned bytes) {
  RS_ASSIGN(address, linear_address(core, op.memory.segment, offset, bytes, false));
  std::uint64_t value = 0;
  RS_CHECK(core.mmu.read(address, {reinterpret_cast<std::uint8_t*>(&value), bytes},
                         core.mmu.data_access(softmmu::AccessKind::kRead)));
  return value;
}

guest::Status write_element(Core& core, const Operation& op, std::uint64_t offset, unsigned bytes,
                            std::uint64_t value) {
  RS_ASSIGN(address, linear_address(core, op.memory.segment, offset, bytes, true));
  return core.mmu.write(address, {reinterpret_cast<const std::uint8_t*>(&value), bytes},
                        core.mmu.data_access(softmmu::AccessKind::kWrite));
}

std::uint64_t element_at(const VectorBytes& vector, unsigned number, unsigned bytes) {
  const std::uint8_t* at = vector.data() + number * bytes;
  return bytes == 4 ? load_host<std::uint32_t>(at) : load_host<std::uint64_t>(at);
}

void set_element(VectorBytes& vector, unsigned number, unsigned bytes, std::uint64_t value) {
  std::uint8_t* at = vector.data() + number * bytes;
  if (bytes == 4)
    store_host(at, static_cast<std::uint32_t>(value));
  else
    store_host(at, value);
}

// The addresses of the elements: base + displacement + sign-extended index * scale.
class VectorIndex {
 public:
  VectorIndex(const Core& core, const Operation& op, const ExtendedState& x, unsigned number,
              unsigned index_bytes)
      : indices_(x.vector(number)), index_bytes_(index_bytes), scale_(op.memory.scale) {
    Operation base = op;
    base.memory.index = kNoRegister;
    base_ = effective_offset(core, base);
    mask_ = op.address_bytes == 8 ? ~std::uint64_t{0}
                                  : (std::uint64_t{1} << (8 * op.address_bytes)) - 1;
  }
  std::uint64_t offset(unsigned element) const {
    std::uint64_t index = element_at(indices_, element, index_bytes_);
    if (index_bytes_ == 4)
      index =
          static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<std::int32_t>(index)));
    return (base_ + index * scale_) & mask_;
  }

 private:
  VectorBytes indices_;
  unsigned index_bytes_, scale_;
  std::uint64_t base_, mask_;
};

// Which elements are still to do, one bit each; written back after a fault and at the end.
class PendingElements {
 public:
  PendingElements(ExtendedState& x, const VectorOperands& v, unsigned elements, unsigned bytes)
      : x_(x), v_(v), elements_(elements), bytes_(bytes) {
    if (v.evex) {
      bits_ = x.opmask(v.mask) & ((std::uint64_t{1} << elements) - 1);
      return;
    }
    const VectorBytes mask = x.vector(v.mask);
    for (unsigned i = 0; i < elements; ++i)
      if (element_at(mask, i, bytes) >> (8 * bytes - 1)) bits_ |= std::uint64_t{1} << i;
  }
  bool has(unsigned i) const { return bits_ >> i & 1; }
  void done(unsigned i) { bits_ &= ~(std::uint64_t{1} << i); }
  void commit() const {
    if (v_.evex) return x_.set_opmask(v_.mask, bits_);
    VectorBytes mask{};
    for (unsigned i = 0; i < elements_; ++i)
      if (has(i)) set_element(mask, i, bytes_, ~std::uint64_t{0});
    x_.set_vector(v_.mask, mask, v_.vector_bytes);
  }

 private:
  ExtendedState& x_;
  VectorOperands v_;
  unsigned elements_, bytes_;
  std::uint64_t bits_ = 0;
};

unsigned elements_of(const VectorOperands& v, Shape shape) {
  return v.vector_bytes / std::max(shape.index_bytes, shape.element_bytes);
}

// "#UD if any pair of the index, mask, or destination registers are the same"; EVEX forms need an
// opmask, and a gather's destination differs from its index.
guest::Status check_encoding(const Core& core, const VectorOperands& v, bool gather) {
  RS_CHECK(check_vector_enabled(core, v.evex));
  const bool sized = v.vector_bytes == 16 || v.vector_bytes == 32 || v.vector_bytes == 64;
  const bool clash = gather && v.reg == v.index;
  const bool bad_mask = v.evex ? v.mask == 0 : v.mask == v.reg || v.mask == v.index;
  if (!sized || clash || bad_mask) return tl::unexpected(guest::invalid_opcode());
  return {};
}

Result gather(Core& core, const Operation& op, Shape shape) {
  const VectorOperands v = VectorOperands::unpack(op.immediate);
  RS_CHECK(check_encoding(core, v, true));
  ExtendedState x(core);
  const unsigned elements = elements_of(v, shape);
  const VectorIndex index(core, op, x, v.index, shape.index_bytes);
  PendingElements pending(x, v, elements, shape.element_bytes);
  VectorBytes destination = x.vector(v.reg);
  bool gathered = false;

  for (unsigned i = 0; i < elements; ++i) {
    if (!pending.has(i)) continue;
    const auto value = read_element(core, op, index.offset(i), shape.element_bytes);
    if (!value) {
      // Only what was gathered shows: with nothing gathered, not even the mask's other bits change.
      if (gathered) {
        x.set_vector(v.reg, destination, destination.size());
        pending.commit();
      }
      return tl::unexpected(value.error());
    }
    set_element(destination, i, shape.element_bytes, *value);
    pending.done(i);
    gathered = true;
  }
  x.set_vector(v.reg, destination, elements * shape.element_bytes);
  pending.commit();
  return Next::kContinue;
}

// Elements are stored from the lowest up, so that the highest wins where addresses overlap.
Result scatter(Core& core, const Operation& op, Shape shape) {
  const VectorOperands v = VectorOperands::unpack(op.immediate);
  if (!v.evex) return tl::unexpected(guest::invalid_opcode());
  RS_CHECK(check_encoding(core, v, false));
  ExtendedState x(core);
  const unsigned elements = elements_of(v, shape);
  const VectorIndex index(core, op, x, v.index, shape.index_bytes);
  PendingElements pending(x, v, elements, shape.element_bytes);
  const VectorBytes source = x.vector(v.reg);
  bool any = false;

  for (unsigned i = 0; i < elements; ++i) {
    if (!pending.has(i)) continue;
    const guest::Status stored = write_element(core, op, index.offset(i), shape.element_bytes,
                                               element_at(source, i, shape.element_bytes));
    if (!stored) {
      if (any) pending.commit();
      return tl::unexpected(stored.error());
    }
    pending.done(i);
    any = true;
  }
  pending.commit();
  return Next::kContinue;
}

}  // namespace

Result gather_dword_dword(Core& core, const Operation& op) { return gather(core, op, {4, 4}); }
Result gather_dword_qword(Core& core, const Operation& op) { return gather(core, op, {4, 8}); }
Result gather_qword_dword(Core& core, const Operation& op) { return gather(core, op, {8, 4}); }
Result gather_qword_qword(Core& core, const Operation& op) { return gather(core, op, {8, 8}); }
Result scatter_dword_dword(Core& core, const Operation& op) { return scatter(core, op, {4, 4}); }
Result scatter_dword_qword(Core& core, const Operation& op) { return scatter(core, op, {4, 8}); }
Result scatter_qword_dword(Core& core, const Operation& op) { return scatter(core, op, {8, 4}); }
Result scatter_qword_qword(Core& core, const Operation& op) { return scatter(core, op, {8, 8}); }

}  // namespace ringshift::translator
