// devices/aml.cc - encoding of AML terms and resource descriptors.
#include "devices/aml.h"

namespace ringshift::devices::aml {
namespace {

// ACPI Specification "AML Byte Stream Byte Values".
enum Opcode : std::uint8_t {
  kZero = 0x00,
  kOne = 0x01,
  kName = 0x08,
  kByte = 0x0a,
  kWord = 0x0b,
  kDword = 0x0c,
  kQword = 0x0e,
  kScope = 0x10,
  kBuffer = 0x11,
  kPackage = 0x12,
  kMethod = 0x14,
  kDualName = 0x2e,
  kExtended = 0x5b,
  kDeviceAfterExtended = 0x82,
};

void append(Bytes& out, const Bytes& more) { out.insert(out.end(), more.begin(), more.end()); }

void append_little_endian(Bytes& out, std::uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

// "Package Length Encoding": the length counts its own bytes too. One byte holds 6 bits; more hold
// 4 bits in the first, whose top two bits say how many follow, and 8 in each other.
Bytes with_length(const Bytes& body) {
  unsigned extra = 0;
  const auto limit = [](unsigned more) { return more ? std::size_t{1} << (4 + 8 * more) : 64; };
  while (body.size() + 1 + extra >= limit(extra)) ++extra;
  const std::size_t length = body.size() + 1 + extra;
  Bytes out;
  if (extra == 0) {
    out.push_back(static_cast<std::uint8_t>(length));
  } else {
    out.push_back(static_cast<std::uint8_t>(extra << 6 | (length & 0xf)));
    append_little_endian(out, length >> 4, extra);
  }
  append(out, body);
  return out;
}

void append_segment(Bytes& out, std::string_view segment) {
  for (std::size_t i = 0; i < 4; ++i)
    out.push_back(static_cast<std::uint8_t>(i < segment.size() ? segment[i] : '_'));
}

Bytes sized(std::initializer_list<std::uint8_t> opcode, const Bytes& body) {
  Bytes out(opcode);
  append(out, with_length(body));
  return out;
}

Bytes named_body(std::string_view path, const std::vector<Bytes>& terms) {
  Bytes body = reference(path);
  append(body, concatenate(terms));
  return body;
}

// "Address Space Resource Descriptors" for a bridge: fixed ends, passed on to the devices behind
// it.
enum class Space : std::uint8_t { kMemory = 0, kPorts = 1, kBus = 2 };
Bytes address_range(Space space, std::uint8_t type_flags, unsigned width, std::uint64_t first,
                    std::uint64_t last) {
  constexpr std::uint8_t kWordDescriptor = 0x88, kDwordDescriptor = 0x87;
  constexpr std::uint8_t kBothEndsFixed = 0x0c;
  Bytes out{width == 2 ? kWordDescriptor : kDwordDescriptor};
  append_little_endian(out, 3 + 5 * width, 2);
  out.push_back(static_cast<std::uint8_t>(space));
  out.push_back(kBothEndsFixed);
  out.push_back(type_flags);
  append_little_endian(out, 0, width);  // granularity
  append_little_endian(out, first, width);
  append_little_endian(out, last, width);
  append_little_endian(out, 0, width);  // translation
  append_little_endian(out, last - first + 1, width);
  return out;
}

}  // namespace

Bytes concatenate(const std::vector<Bytes>& terms) {
  Bytes out;
  for (const Bytes& term : terms) append(out, term);
  return out;
}

Bytes integer(std::uint64_t value) {
  if (value == 0) return {kZero};
  if (value == 1) return {kOne};
  Bytes out;
  if (value <= 0xff) {
    out = {kByte};
    append_little_endian(out, value, 1);
  } else if (value <= 0xffff) {
    out = {kWord};
    append_little_endian(out, value, 2);
  } else if (value <= 0xffffffff) {
    out = {kDword};
    append_little_endian(out, value, 4);
  } else {
    out = {kQword};
    append_little_endian(out, value, 8);
  }
  return out;
}

// Three letters in 5 bits each and four hexadecimal digits, most significant byte first.
Bytes eisa_id(std::string_view id) {
  std::uint32_t packed = 0;
  for (const char c : id.substr(0, 3)) packed = packed << 5 | static_cast<std::uint32_t>(c - '@');
  for (const char c : id.substr(3, 4))
    packed = packed << 4 | static_cast<std::uint32_t>(c <= '9' ? c - '0' : c - 'A' + 10);
  Bytes out{kDword};
  append_little_endian(out, __builtin_bswap32(packed), 4);
  return out;
}

Bytes reference(std::string_view path) {
  Bytes out;
  if (path.starts_with('\\')) {
    out.push_back('\\');
    path.remove_prefix(1);
  }
  const auto dot = path.find('.');
  if (dot == std::string_view::npos) {
    if (path.empty()) {
      out.push_back(0);
    } else {
      append_segment(out, path);
    }
  } else {
    out.push_back(kDualName);
    append_segment(out, path.substr(0, dot));
    append_segment(out, path.substr(dot + 1));
  }
  return out;
}

Bytes package(const std::vector<Bytes>& elements) {
  Bytes body{static_cast<std::uint8_t>(elements.size())};
  append(body, concatenate(elements));
  return sized({kPackage}, body);
}

Bytes buffer(const Bytes& contents) {
  Bytes body = integer(contents.size());
  append(body, contents);
  return sized({kBuffer}, body);
}

Bytes name(std::string_view path, const Bytes& value) {
  Bytes out{kName};
  append(out, reference(path));
  append(out, value);
  return out;
}

Bytes scope(std::string_view path, const std::vector<Bytes>& terms) {
  return sized({kScope}, named_body(path, terms));
}

Bytes device(std::string_view path, const std::vector<Bytes>& terms) {
  return sized({kExtended, kDeviceAfterExtended}, named_body(path, terms));
}

Bytes method(std::string_view path, unsigned arguments, const std::vector<Bytes>& terms) {
  Bytes body = reference(path);
  body.push_back(static_cast<std::uint8_t>(arguments));
  append(body, concatenate(terms));
  return sized({kMethod}, body);
}

Bytes resources(const std::vector<Bytes>& descriptors) {
  Bytes contents = concatenate(descriptors);
  contents.insert(contents.end(), {0x79, 0x00});  // end tag; checksum 0: not checked
  return buffer(contents);
}

Bytes ports(std::uint16_t first, std::uint8_t count) {
  Bytes out{0x47, 0x01};  // I/O port descriptor, decodes 16 bits
  append_little_endian(out, first, 2);
  append_little_endian(out, first, 2);
  out.push_back(1);  // alignment
  out.push_back(count);
  return out;
}

Bytes isa_interrupt(unsigned irq) {
  Bytes out{0x22};  // IRQ descriptor without flags
  append_little_endian(out, std::uint64_t{1} << irq, 2);
  return out;
}

Bytes shared_interrupt(std::uint32_t gsi) {
  constexpr std::uint8_t kConsumer = 1, kShared = 8;  // level and active high are zeros
  Bytes out{0x89, 0x06, 0x00, kConsumer | kShared, 1};
  append_little_endian(out, gsi, 4);
  return out;
}

Bytes fixed_memory(std::uint32_t base, std::uint32_t bytes, bool writable) {
  Bytes out{0x86, 0x09, 0x00, static_cast<std::uint8_t>(writable)};
  append_little_endian(out, base, 4);
  append_little_endian(out, bytes, 4);
  return out;
}

Bytes bus_range(std::uint16_t first, std::uint16_t last) {
  return address_range(Space::kBus, 0, 2, first, last);
}

Bytes port_range(std::uint16_t first, std::uint16_t last) {
  constexpr std::uint8_t kEntireRange = 3;
  return address_range(Space::kPorts, kEntireRange, 2, first, last);
}

Bytes memory_range(std::uint32_t first, std::uint32_t last, bool cacheable) {
  constexpr std::uint8_t kReadWrite = 1, kCacheable = 2;
  const auto flags = static_cast<std::uint8_t>(kReadWrite | (cacheable ? kCacheable : 0));
  return address_range(Space::kMemory, flags, 4, first, last);
}

}  // namespace ringshift::devices::aml
