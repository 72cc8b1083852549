// runtime/loaders/elf.cc - the parts of an ELF executable that a boot loader needs.
// Offsets are those of the System V ABI, "ELF Header" and "Program Header".
#include "runtime/loaders/elf.h"

#include <fmt/format.h>

#include <algorithm>

namespace ringshift::runtime {
namespace {

constexpr std::uint32_t kMagic = 0x464c457f;
constexpr std::uint8_t kClass32 = 1, kClass64 = 2, kLittleEndian = 1;
constexpr std::uint16_t kTypeExecutable = 2, kTypeShared = 3;
constexpr std::uint16_t kMachine386 = 3, kMachineX86_64 = 62;
constexpr std::uint32_t kSegmentLoad = 1, kSegmentNote = 4;
constexpr std::uint32_t kNotePhys32Entry = 18;

struct ProgramHeader {
  std::uint32_t type = 0;
  std::uint64_t offset = 0, linear = 0, physical = 0, file_bytes = 0, memory_bytes = 0, align = 0;
};

// A field of the class's own width.
std::optional<std::uint64_t> word(const SpanReader& file, std::uint64_t offset, bool is_64bit) {
  if (is_64bit) return file.at<std::uint64_t>(offset);
  const auto narrow = file.at<std::uint32_t>(offset);
  if (!narrow) return std::nullopt;
  return *narrow;
}

std::optional<ProgramHeader> read_program_header(const SpanReader& file, std::uint64_t at,
                                                 bool is_64bit) {
  if (!file.slice(at, is_64bit ? 56 : 32)) return std::nullopt;
  const auto field = [&](unsigned offset32, unsigned offset64) {
    return *word(file, at + (is_64bit ? offset64 : offset32), is_64bit);
  };
  return ProgramHeader{*file.at<std::uint32_t>(at),
                       field(4, 8),
                       field(8, 16),
                       field(12, 24),
                       field(16, 32),
                       field(20, 40),
                       field(28, 48)};
}

// Notes are name/type/description records, padded to 4 bytes (8 where the segment says so).
bool read_notes(Bytes contents, std::uint64_t alignment, std::vector<ElfNote>& notes) {
  const SpanReader reader(contents);
  const std::uint64_t pad = alignment == 8 ? 8 : 4;
  for (std::uint64_t at = 0; at + 12 <= contents.size();) {
    const std::uint64_t name_bytes = *reader.at<std::uint32_t>(at);
    const std::uint64_t description_bytes = *reader.at<std::uint32_t>(at + 4);
    const auto type = *reader.at<std::uint32_t>(at + 8);
    const auto name = reader.slice(at + 12, name_bytes);
    const auto description_at = align_up(at + 12 + name_bytes, pad);
    const auto description = reader.slice(description_at, description_bytes);
    if (!name || !description) return false;
    std::string_view text(reinterpret_cast<const char*>(name->data()), name->size());
    notes.push_back({text.substr(0, text.find('\0')), type, *description});
    at = align_up(description_at + description_bytes, pad);
  }
  return true;
}

tl::unexpected<std::string> broken(std::string_view why) {
  return tl::unexpected(fmt::format("damaged ELF file: {}", why));
}

tl::expected<void, std::string> add_segment(const SpanReader& file, const ProgramHeader& header,
                                            ElfImage& image) {
  const bool load = header.type == kSegmentLoad && header.memory_bytes > 0;
  if (!load && header.type != kSegmentNote) return {};
  const auto contents = file.slice(header.offset, header.file_bytes);
  if (!contents) return broken("a segment lies past the end of the file");
  if (!load) {
    if (!read_notes(*contents, header.align, image.notes)) return broken("a note is truncated");
    return {};
  }
  if (header.file_bytes > header.memory_bytes)
    return broken("a segment is larger in the file than in memory");
  if (header.physical + header.memory_bytes < header.physical)
    return broken("a segment wraps around the address space");
  image.segments.push_back({header.physical, header.linear, header.memory_bytes, *contents});
  return {};
}

}  // namespace

bool is_elf(Bytes file) { return SpanReader(file).at<std::uint32_t>(0) == kMagic; }

tl::expected<ElfImage, std::string> parse_elf(Bytes bytes) {
  const SpanReader file(bytes);
  const auto elf_class = file.at<std::uint8_t>(4);
  if (!is_elf(bytes)) return tl::unexpected(std::string("not an ELF file"));
  if (elf_class != kClass32 && elf_class != kClass64) return broken("unknown class");
  ElfImage image;
  image.is_64bit = elf_class == kClass64;
  if (!file.slice(0, image.is_64bit ? 64 : 52)) return broken("the header is truncated");
  if (file.at<std::uint8_t>(5) != kLittleEndian) return broken("not little-endian");
  const auto type = file.at<std::uint16_t>(16);
  const auto machine = file.at<std::uint16_t>(18);
  if (machine != kMachine386 && machine != kMachineX86_64)
    return tl::unexpected(fmt::format("ELF file for another processor (machine {})", *machine));
  if (type != kTypeExecutable && type != kTypeShared)
    return tl::unexpected(std::string("ELF file that is not an executable"));

  image.entry = *word(file, 24, image.is_64bit);
  const auto table = *word(file, image.is_64bit ? 32 : 28, image.is_64bit);
  const unsigned entry_bytes = *file.at<std::uint16_t>(image.is_64bit ? 54 : 42);
  const unsigned count = *file.at<std::uint16_t>(image.is_64bit ? 56 : 44);
  if (count > 0 && entry_bytes < (image.is_64bit ? 56u : 32u))
    return broken("program headers are too short");
  if (!file.slice(table, std::uint64_t{count} * entry_bytes))
    return broken("the program headers lie past the end of the file");
  for (unsigned i = 0; i < count; ++i) {
    const auto header =
        read_program_header(file, table + std::uint64_t{i} * entry_bytes, image.is_64bit);
    if (!header) return broken("a program header is truncated");
    if (auto added = add_segment(file, *header, image); !added)
      return tl::unexpected(added.error());
  }
  if (image.segments.empty()) return tl::unexpected(std::string("ELF file with nothing to load"));
  return image;
}

std::uint64_t ElfImage::physical_entry() const {
  for (const auto& segment : segments) {
    if (entry >= segment.linear && entry - segment.linear < segment.memory_bytes)
      return entry - segment.linear + segment.physical;
  }
  return entry;
}

AddressRange ElfImage::physical_range() const {
  AddressRange range{~std::uint64_t{0}, 0};
  for (const auto& segment : segments) {
    range.start = std::min(range.start, segment.physical);
    range.end = std::max(range.end, segment.physical + segment.memory_bytes);
  }
  return range;
}

LoadStatus place_segments(const ElfImage& image, guest::PhysicalMemory& memory) {
  for (const auto& segment : image.segments) {
    auto status =
        place(memory, "an ELF segment", segment.physical, segment.contents, segment.memory_bytes);
    if (!status) return status;
  }
  return {};
}

std::optional<std::uint64_t> pvh_entry(const ElfImage& image) {
  for (const auto& note : image.notes) {
    if (note.name != "Xen" || note.type != kNotePhys32Entry) continue;
    const SpanReader description(note.description);
    if (const auto wide = description.at<std::uint64_t>(0)) return *wide;
    if (const auto narrow = description.at<std::uint32_t>(0)) return *narrow;
  }
  return std::nullopt;
}

}  // namespace ringshift::runtime
