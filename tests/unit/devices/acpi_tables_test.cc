// tests/unit/devices/acpi_tables_test.cc - ACPI tables: checksums, pointers, contents, and a walk
// through the AML.
#include "devices/acpi_tables.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>

#include "devices/aml.h"

namespace ringshift::devices {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::uint64_t number(const Bytes& b, std::size_t at, unsigned bytes) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < bytes; ++i) value |= std::uint64_t{b.at(at + i)} << (8 * i);
  return value;
}

std::uint8_t sum(const Bytes& b, std::size_t bytes) {
  return static_cast<std::uint8_t>(std::accumulate(b.begin(), b.begin() + bytes, 0u));
}

constexpr std::uint32_t kBase = 0x7fe0000;

class Acpi : public ::testing::Test {
 protected:
  Bytes table(std::uint64_t address) const {
    const std::size_t at = address - kBase;
    const auto length = static_cast<std::ptrdiff_t>(number(image.tables, at + 4, 4));
    return {image.tables.begin() + static_cast<std::ptrdiff_t>(at),
            image.tables.begin() + static_cast<std::ptrdiff_t>(at) + length};
  }
  static std::string signature(const Bytes& t) { return {t.begin(), t.begin() + 4}; }

  AcpiConfig config{.tables_address = kBase, .apic_ids = {0, 1}, .serial_ports = 2};
  AcpiImage image = build_acpi_tables(config);
};

TEST_F(Acpi, RootPointer) {
  const Bytes& r = image.root_pointer;
  ASSERT_EQ(r.size(), 36u);
  EXPECT_EQ(std::string(r.begin(), r.begin() + 8), "RSD PTR ");
  EXPECT_EQ(sum(r, 20), 0);
  EXPECT_EQ(sum(r, 36), 0);
  EXPECT_EQ(number(r, 16, 4), image.rsdt_address);
  EXPECT_EQ(number(r, 24, 8), image.xsdt_address);
}

TEST_F(Acpi, BothRootTablesListTheSameGoodTables) {
  const Bytes rsdt = table(image.rsdt_address), xsdt = table(image.xsdt_address);
  EXPECT_EQ(signature(rsdt), "RSDT");
  EXPECT_EQ(signature(xsdt), "XSDT");
  EXPECT_EQ(sum(rsdt, rsdt.size()), 0);
  EXPECT_EQ(sum(xsdt, xsdt.size()), 0);
  ASSERT_EQ((rsdt.size() - 36) / 4, (xsdt.size() - 36) / 8);
  std::vector<std::string> found;
  for (std::size_t i = 0; 36 + 4 * i < rsdt.size(); ++i) {
    const auto address = number(rsdt, 36 + 4 * i, 4);
    EXPECT_EQ(number(xsdt, 36 + 8 * i, 8), address);
    const Bytes t = table(address);
    EXPECT_EQ(sum(t, t.size()), 0) << signature(t);
    found.push_back(signature(t));
  }
  EXPECT_EQ(found, (std::vector<std::string>{"FACP", "APIC", "HPET"}));
}

TEST_F(Acpi, FixedTablePointsToTheHardware) {
  const Bytes f = table(image.fadt_address);
  ASSERT_EQ(f.size(), 244u);
  EXPECT_EQ(number(f, 36, 4), image.facs_address);
  EXPECT_EQ(image.facs_address % 64, 0u);
  EXPECT_EQ(signature(table(image.facs_address)), "FACS");
  EXPECT_EQ(number(f, 40, 4), image.dsdt_address);
  EXPECT_EQ(number(f, 140, 8), image.dsdt_address);
  EXPECT_EQ(number(f, 46, 2), 9u);      // SCI
  EXPECT_EQ(number(f, 48, 4), 0xb2u);   // SMI command
  EXPECT_EQ(number(f, 56, 4), 0x600u);  // PM1a event
  EXPECT_EQ(number(f, 64, 4), 0x604u);  // PM1a control
  EXPECT_EQ(number(f, 76, 4), 0x608u);  // timer
  EXPECT_EQ(number(f, 80, 4), 0xafe0u);
  EXPECT_EQ(number(f, 112, 4) & (1 << 10), 1u << 10) << "reset register supported";
  EXPECT_EQ(number(f, 112, 4) & (1 << 8), 0u) << "the timer has 24 bits";
  EXPECT_EQ(number(f, 120, 8), 0xcf9u);
  EXPECT_EQ(f[128], 6);
  EXPECT_EQ(number(f, 109, 2) & 2, 2u) << "keyboard controller";
}

TEST_F(Acpi, OptionsChangeWhatIsDescribed) {
  config.hpet = config.keyboard_controller = false;
  config.vga = true;
  image = build_acpi_tables(config);
  EXPECT_EQ(image.hpet_address, 0u);
  EXPECT_EQ(table(image.rsdt_address).size(), 36u + 2 * 4);
  EXPECT_EQ(number(table(image.fadt_address), 109, 2), 1u);
}

TEST_F(Acpi, ApicTableOverridesAndProcessors) {
  const Bytes m = table(image.madt_address);
  EXPECT_EQ(number(m, 36, 4), 0xfee00000u);
  EXPECT_EQ(number(m, 40, 4), 1u);
  int cpus = 0, io_apics = 0, nmis = 0;
  std::vector<std::array<std::uint64_t, 3>> overrides;
  for (std::size_t at = 44; at < m.size(); at += m[at + 1]) {
    ASSERT_GT(m[at + 1], 0);
    if (m[at] == 0) {
      EXPECT_EQ(m[at + 3], config.apic_ids[static_cast<std::size_t>(cpus++)]);
    }
    if (m[at] == 1) io_apics += number(m, at + 4, 4) == 0xfec00000;
    if (m[at] == 2) overrides.push_back({m[at + 3], number(m, at + 4, 4), number(m, at + 8, 2)});
    if (m[at] == 4) ++nmis;
  }
  EXPECT_EQ(cpus, 2);
  EXPECT_EQ(io_apics, 1);
  EXPECT_EQ(nmis, 1);
  EXPECT_EQ(overrides, (std::vector<std::array<std::uint64_t, 3>>{
                           {0, 2, 0}, {9, 9, 0xd}, {10, 10, 0xd}, {11, 11, 0xd}}));
}

// A reader of the few AML terms that the tables use, written against the grammar: it fails the test
// on an opcode it does not know and on any length that does not nest.
class AmlReader {
 public:
  AmlReader(const Bytes& bytes, std::size_t begin) : bytes_(bytes), at_(begin) {}
  void read_terms(std::size_t end) {
    while (at_ < end && !::testing::Test::HasFailure()) read_term();
    EXPECT_EQ(at_, end);
  }
  std::vector<std::string> names;                             // "PCI0", "PCI0._PRT"...
  std::vector<std::pair<std::string, std::size_t>> packages;  // name and element count

 private:
  std::uint8_t next() { return bytes_.at(at_++); }
  std::size_t read_end() {
    const std::size_t start = at_;
    const std::uint8_t lead = next();
    const unsigned extra = lead >> 6;
    std::size_t length = extra ? lead & 0xf : lead & 0x3f;
    for (unsigned i = 0; i < extra; ++i) length |= std::size_t{next()} << (4 + 8 * i);
    EXPECT_LE(start + length, bytes_.size());
    return start + length;
  }
  std::string read_name() {
    std::string out;
    if (bytes_.at(at_) == '\\') ++at_;
    for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(next()));
    for (const char c : out)
      EXPECT_TRUE(c == '_' || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) << out;
    return out;
  }
  void enter(std::string name, std::size_t end) {
    scope_.push_back(std::move(name));
    names.push_back(path());
    read_terms(end);
    scope_.pop_back();
  }
  std::string path() const {
    std::string out;
    for (const auto& s : scope_) out += (out.empty() ? "" : ".") + s;
    return out;
  }
  void read_term() {
    switch (const auto opcode = next()) {
      case 0x08: {
        scope_.push_back(read_name());
        names.push_back(path());
        read_data();
        scope_.pop_back();
        break;
      }
      case 0x10: {
        const auto end = read_end();
        enter(read_name(), end);
        break;
      }
      case 0x14: {
        const auto end = read_end();
        auto name = read_name();
        ++at_;  // flags
        enter(std::move(name), end);
        break;
      }
      case 0x5b: {
        EXPECT_EQ(next(), 0x82);
        const auto end = read_end();
        enter(read_name(), end);
        break;
      }
      default:
        ADD_FAILURE() << "term " << int{opcode} << " at " << at_ - 1;
    }
  }
  void read_data() {
    const auto opcode = bytes_.at(at_);
    if (opcode == '_' || (opcode >= 'A' && opcode <= 'Z')) {
      read_name();
      return;
    }
    ++at_;
    switch (opcode) {
      case 0x00:
      case 0x01:
        break;
      case 0x0a:
        at_ += 1;
        break;
      case 0x0b:
        at_ += 2;
        break;
      case 0x0c:
        at_ += 4;
        break;
      case 0x11: {
        const auto end = read_end();
        read_data();  // the size
        EXPECT_EQ(bytes_.at(end - 2), 0x79) << "resources end with the end tag";
        at_ = end;
        break;
      }
      case 0x12: {
        const auto end = read_end();
        const std::size_t count = next();
        packages.emplace_back(path(), count);
        for (std::size_t i = 0; i < count; ++i) read_data();
        EXPECT_EQ(at_, end);
        break;
      }
      default:
        ADD_FAILURE() << "data " << int{opcode} << " at " << at_ - 1;
    }
  }

  const Bytes& bytes_;
  std::size_t at_;
  std::vector<std::string> scope_;
};

TEST_F(Acpi, DsdtNestsAndNamesWhatSystemsLookFor) {
  const Bytes dsdt = table(image.dsdt_address);
  EXPECT_EQ(signature(dsdt), "DSDT");
  EXPECT_EQ(sum(dsdt, dsdt.size()), 0);
  AmlReader reader(dsdt, 36);
  reader.read_terms(dsdt.size());
  for (const char* name :
       {"_S5_", "_SB_.PCI0._PRT", "_SB_.PCI0._CRS", "_SB_.PCI0.ISA_.COM1._CRS",
        "_SB_.PCI0.ISA_.COM2._CRS", "_SB_.PCI0.ISA_.RTC_._CRS", "_SB_.PCI0.ISA_.KBD_._CRS",
        "_SB_.PCI0.ISA_.MOU_._CRS", "_SB_.LNKA._CRS", "_SB_.LNKD._SRS", "_SB_.HPET._CRS"})
    EXPECT_TRUE(std::ranges::count(reader.names, name)) << name;
  EXPECT_FALSE(std::ranges::count(reader.names, "_SB_.PCI0.ISA_.COM3._CRS"));
  const auto prt = std::ranges::find(reader.packages, std::string("_SB_.PCI0._PRT"),
                                     [](const auto& p) { return p.first; });
  ASSERT_NE(prt, reader.packages.end());
  EXPECT_EQ(prt->second, 31u * 4) << "four pins of each slot";
}

TEST(Aml, PackageLengthGrowsAtItsLimits) {
  // The length counts itself: 62 bytes of contents still fit the one-byte form, 63 do not.
  const auto length_bytes = [](std::size_t contents) {
    const auto term = aml::scope("\\", {Bytes(contents - 2)});
    return term.size() - 1 - contents;
  };
  EXPECT_EQ(length_bytes(62), 1u);
  EXPECT_EQ(length_bytes(63), 2u);
  EXPECT_EQ(length_bytes(4093), 2u);
  EXPECT_EQ(length_bytes(4094), 3u);
}

TEST(Aml, EisaIdsAndIntegers) {
  EXPECT_EQ(aml::eisa_id("PNP0A03"), (Bytes{0x0c, 0x41, 0xd0, 0x0a, 0x03}));
  EXPECT_EQ(aml::integer(1), (Bytes{0x01}));
  EXPECT_EQ(aml::integer(0xff), (Bytes{0x0a, 0xff}));
  EXPECT_EQ(aml::integer(0x100), (Bytes{0x0b, 0x00, 0x01}));
  EXPECT_EQ(aml::integer(0x1ffff), (Bytes{0x0c, 0xff, 0xff, 0x01, 0x00}));
}

// A second opinion where ACPICA's disassembler is installed: what it prints compiles again.
TEST_F(Acpi, IaslAgrees) {
  if (std::system("command -v iasl >/dev/null 2>&1") != 0) GTEST_SKIP() << "iasl is not installed";
  std::string pattern = (std::filesystem::temp_directory_path() / "ringshift-acpi-XXXXXX").string();
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  const std::filesystem::path folder = pattern;
  for (const auto address : {image.dsdt_address, image.fadt_address, image.madt_address,
                             image.hpet_address, image.facs_address}) {
    const Bytes t = table(address);
    const auto file = folder / (signature(t) + ".aml");
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(t.data()), static_cast<std::streamsize>(t.size()));
    const std::string in = "cd " + folder.string() + " && ", log = " >log 2>&1";
    EXPECT_EQ(std::system((in + "iasl -d " + file.string() + log).c_str()), 0);
    EXPECT_EQ(std::system((in + "iasl -we " + signature(t) + ".dsl" + log).c_str()), 0)
        << signature(t);
    EXPECT_NE(
        std::system(
            (in + "grep -iE 'invalid|error [0-9]|incorrect checksum' log *.dsl" + log).c_str()),
        0)
        << signature(t);
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace ringshift::devices
