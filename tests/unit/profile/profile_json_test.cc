// tests/unit/profile/profile_json_test.cc - a profile comes back from its JSON; what is damaged or newer is refused.
#include "runtime/profile/profile_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/profile/sample_profile.h"

namespace ringshift::runtime::profile {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

std::string refused(const std::string& text) {
  const auto profile = from_json(text);
  return profile ? "(accepted)" : profile.error();
}

TEST(ProfileJson, ComesBackAsItWas) {
  const std::string text = to_json(sample_profile());
  const auto profile = from_json(text);
  ASSERT_TRUE(profile) << profile.error();
  EXPECT_EQ(to_json(*profile), text);
  EXPECT_EQ(profile->blocks[0].rip.value, 0xffffffff81000123u);
}

TEST(ProfileJson, AddressesAreTexts) {
  const Json json = Json::parse(to_json(sample_profile()));
  EXPECT_EQ(json["blocks"][0]["rip"], "0xffffffff81000123");
}

TEST(ProfileJson, NewerVersionsAreRefused) {
  Json json = Json::parse(to_json(sample_profile()));
  json["version"] = kProfileVersion + 1;
  EXPECT_THAT(refused(json.dump()), HasSubstr("newer than this program"));
}

TEST(ProfileJson, DamageIsNamed) {
  const std::string text = to_json(sample_profile());
  EXPECT_THAT(refused(text.substr(0, text.size() / 2)), HasSubstr("cut off"));
  EXPECT_THAT(refused("[]"), HasSubstr("not a profile"));
  EXPECT_THAT(refused(R"({"format":"ringshift-profile"})"), HasSubstr("no version"));
  EXPECT_THAT(refused(R"({"format":"ringshift-profile","version":1})"), HasSubstr("damaged"));
}

// Every value in turn becomes something else: accepted or refused, never a crash.
TEST(ProfileJson, AnyValueMayBeWrong) {
  const Json whole = Json::parse(to_json(sample_profile()));
  const Json flat = whole.flatten();
  for (const auto& [path, value] : flat.items()) {
    for (const Json& other : {Json(), Json(-5), Json("text"), Json::array(), Json::object()}) {
      Json damaged = whole;
      damaged[Json::json_pointer(path)] = other;
      static_cast<void>(from_json(damaged.dump()));
    }
  }
}

TEST(ProfileJson, ReferencesThatLeadNowhereAreRefused) {
  Profile p = sample_profile();
  p.stacks[0].frames = {99};
  EXPECT_THAT(refused(to_json(p)), HasSubstr("a stack names no function"));
  p = sample_profile();
  p.blocks[0].edges[0].block = 7;
  EXPECT_THAT(refused(to_json(p)), HasSubstr("an edge leads to no block"));
  p = sample_profile();
  p.timeline.series[0].values.pop_back();
  EXPECT_THAT(refused(to_json(p)), HasSubstr("timeline"));
}

TEST(ProfileJson, NamesOfTheGuestNeedNotBeText) {
  Profile p = sample_profile();
  p.processes[0].comm = "\xff\xfe\"";
  EXPECT_TRUE(from_json(to_json(p)));
}

}  // namespace
}  // namespace ringshift::runtime::profile
