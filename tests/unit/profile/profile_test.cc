// tests/unit/profile/profile_test.cc - the profiler's parts that need no guest: the ring between a
// signal handler and its thread, profiles as JSON, tables of symbols, ORC entries.
#include <gmock/gmock.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "runtime/profile/kallsyms.h"
#include "runtime/profile/orc.h"
#include "runtime/profile/profile_json.h"
#include "runtime/profile/sample_ring.h"
#include "runtime/profile/symbol_table.h"

namespace ringshift::runtime::profile {
namespace {

using ::testing::HasSubstr;

TEST(SampleRing, KeepsOrderAndCountsWhatIsLost) {
  SampleRing ring(4);
  EXPECT_EQ(ring.front(), nullptr);
  for (std::uint64_t i = 0; i < 6; ++i)
    if (Sample* sample = ring.next()) {
      sample->host_ip = i;
      ring.push();
    }
  EXPECT_EQ(ring.size(), 4u);
  EXPECT_EQ(ring.lost(), 2u);
  for (std::uint64_t i = 0; i < 4; ++i) {
    ASSERT_NE(ring.front(), nullptr);
    EXPECT_EQ(ring.front()->host_ip, i);
    ring.pop();
  }
  EXPECT_EQ(ring.front(), nullptr);
  EXPECT_NE(ring.next(), nullptr);
}

Profile example() {
  Profile profile;
  profile.run.program = "ringshift";
  profile.run.samples = 3;
  profile.summary.push_back({"Title", "text", "advice", 7, 0.5});
  profile.names = {"start", "bad \xff name"};
  profile.stacks.push_back({{0, 1}, 3});
  BlockShare block;
  block.rip = {0xffffffff81000000};
  block.tier = "hot";
  block.samples = 3;
  block.guest.push_back({0, 1, "nop", "other", 2, 1});
  block.host.push_back({0, 1, 0, "nop", 2});
  block.edges.push_back({-1, {0x1234}, "jump"});
  profile.blocks.push_back(block);
  profile.counters.push_back({"links", 9});
  profile.cache.push_back({1.5, 10, 20, {{1, 2, 3, 4}}});
  return profile;
}

TEST(ProfileJson, ComesBackAsItWent) {
  const std::string text = to_json(example());
  const auto back = from_json(text);
  ASSERT_TRUE(back) << back.error();
  EXPECT_EQ(to_json(*back), text);
  ASSERT_EQ(back->blocks.size(), 1u);
  EXPECT_EQ(back->blocks[0].rip.value, 0xffffffff81000000);
  EXPECT_EQ(back->blocks[0].guest[0].text, "nop");
  EXPECT_EQ(back->blocks[0].edges[0].block, -1);
  EXPECT_EQ(back->stacks[0].frames, (std::vector<std::uint32_t>{0, 1}));
  EXPECT_EQ(back->summary[0].count, 7u);
}

TEST(ProfileJson, NewerVersionsAndOtherFilesAreErrors) {
  auto json = nlohmann::json::parse(to_json(example()));
  json["version"] = kProfileVersion + 1;
  const auto newer = from_json(json.dump());
  ASSERT_FALSE(newer);
  EXPECT_THAT(newer.error(), HasSubstr("newer"));
  for (const char* text : {"", "{", "[]", "{}", "null", "{\"version\":1}", "{\"version\":\"x\"}"})
    EXPECT_FALSE(from_json(text)) << text;
}

// Every value replaced by one of another kind, and every cut: an error or a profile, never worse.
TEST(ProfileJson, DamageIsAnErrorAtMost) {
  const std::string text = to_json(example());
  for (std::size_t bytes = 0; bytes < text.size(); bytes += 7)
    EXPECT_FALSE(from_json(std::string_view(text).substr(0, bytes)));
  const auto flat = nlohmann::json::parse(text).flatten();
  for (const auto& [path, value] : flat.items())
    for (const nlohmann::json& other : {nlohmann::json(nullptr), nlohmann::json(-1),
                                        nlohmann::json("text"), nlohmann::json(1e300)}) {
      auto damaged = flat;
      damaged[path] = other;
      static_cast<void>(from_json(damaged.unflatten().dump()));
    }
}

TEST(SymbolTable, FindsTheFunctionThatHoldsAnAddress) {
  const SymbolTable table(
      parse_symbol_map("0000000000001000 T first\n"
                       "0000000000001040 t second\n"
                       "0000000000001048 d data\n"
                       "not a line\n"
                       "0000000000002000 T third\n"));
  EXPECT_EQ(table.size(), 4u);
  EXPECT_EQ(table.function_at(0xfff), nullptr);
  ASSERT_NE(table.function_at(0x103f), nullptr);
  EXPECT_EQ(table.function_at(0x103f)->name, "first");
  EXPECT_EQ(table.function_at(0x1040)->name, "second");
  EXPECT_EQ(table.function_at(0x2010)->name, "third");
  ASSERT_NE(table.find("data"), nullptr);
  EXPECT_EQ(table.find("data")->address, 0x1048u);
  EXPECT_TRUE(parse_symbol_map("<html>\nzz T name\n").empty());
}

TEST(Kallsyms, NoiseHoldsNone) {
  std::vector<std::uint8_t> noise(1 << 20);
  std::uint32_t state = 1;
  for (auto& byte : noise) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  const MemoryImage image{0xffffffff81000000, noise};
  EXPECT_FALSE(find_kallsyms(image, 8));
  EXPECT_FALSE(find_kallsyms(image, 4));
  EXPECT_FALSE(find_kallsyms({0, {}}, 8));
}

TEST(Orc, EntriesAreFoundByTheInstruction) {
  constexpr std::uint64_t kTable = 0xffffffff82000000, kCode = 0xffffffff81000000;
  std::vector<std::int32_t> starts;
  for (std::uint64_t i = 0; i < 3; ++i)
    starts.push_back(static_cast<std::int32_t>(kCode + 0x10 * i - (kTable + 4 * i)));
  // sp_offset, bp_offset, then the registers and the kind in 16 bits.
  std::vector<std::uint8_t> entries(3 * OrcTable::kEntryBytes);
  for (std::uint8_t i = 0; i < 3; ++i) {
    entries[i * OrcTable::kEntryBytes] = static_cast<std::uint8_t>(8 * (i + 1));
    entries[i * OrcTable::kEntryBytes + 4] = 5;  // SP, undefined
  }
  const auto table = OrcTable::make(kTable, starts, entries, OrcLayout::kBefore64);
  ASSERT_TRUE(table);
  EXPECT_EQ(table->size(), 3u);
  ASSERT_TRUE(table->find(kCode + 0x1f));
  EXPECT_EQ(table->find(kCode + 0x1f)->sp_offset, 16);
  EXPECT_EQ(table->find(kCode + 0x1f)->sp_register, OrcEntry::Register::kSp);
  EXPECT_FALSE(table->find(kCode - 1));
  entries.pop_back();
  EXPECT_FALSE(OrcTable::make(kTable, starts, entries, OrcLayout::kBefore64));
}

}  // namespace
}  // namespace ringshift::runtime::profile
