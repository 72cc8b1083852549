// tests/unit/profile/options_test.cc - the command lines of `ringshift profile` and `top`.
#include "runtime/profile/profile_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ringshift::runtime::profile {
namespace {

using testing::HasSubstr;
using Words = std::vector<std::string>;

std::string refused(const Words& words) {
  const auto command = parse_profile_command(words);
  return command ? "(accepted)" : command.error();
}

TEST(ProfileOptions, WhatStandsBeforeTheDashesIsTheProfiles) {
  const auto command = parse_profile_command(
      {"profile", "--hz", "500", "--exact", "--json", "f", "--syntax", "att", "--", "-m", "32"});
  ASSERT_TRUE(command) << command.error();
  const auto& run = std::get<ProfiledRun>(*command);
  EXPECT_EQ(run.record.hz, 500u);
  EXPECT_TRUE(run.record.exact);
  EXPECT_EQ(run.files.json, "f");
  EXPECT_EQ(run.names.syntax, translator::Syntax::kAtt);
  EXPECT_EQ(run.run.ram_bytes, 32u << 20);
}

TEST(ProfileOptions, TheGuestsHelpIsTheGuests) {
  EXPECT_THAT(refused({"profile", "--", "--help"}), HasSubstr("unknown option"));
  EXPECT_TRUE(std::holds_alternative<TextAnswer>(*parse_profile_command({"profile", "--help"})));
}

TEST(ProfileOptions, ErrorsNameTheOption) {
  EXPECT_THAT(refused({"profile", "-m", "32"}), HasSubstr("-- and the options"));
  EXPECT_THAT(refused({"profile", "--hz", "0", "--"}), HasSubstr("--hz"));
  EXPECT_THAT(refused({"profile", "--syntax", "masm", "--"}), HasSubstr("--syntax"));
  EXPECT_THAT(refused({"profile", "--symfs", "/nonexistent", "--"}), HasSubstr("--symfs"));
  EXPECT_THAT(refused({"profile", "record", "--socket", "s"}), HasSubstr("--output"));
  EXPECT_THAT(refused({"profile", "report"}), HasSubstr("file"));
  EXPECT_THAT(refused({"profile", "diff", "one"}), HasSubstr("after"));
  EXPECT_THAT(refused({"top"}), HasSubstr("--socket"));
  EXPECT_THAT(refused({"top", "--socket", "s", "--interval", "0"}), HasSubstr("--interval"));
}

TEST(ProfileOptions, TopIsAVerbOfItsOwn) {
  for (const Words& words : {Words{"top", "--socket", "s", "-n", "3"},
                             Words{"profile", "top", "--socket", "s", "-n", "3"}}) {
    const auto command = parse_profile_command(words);
    ASSERT_TRUE(command) << command.error();
    EXPECT_EQ(std::get<TopCommand>(*command).times, 3u);
  }
}

}  // namespace
}  // namespace ringshift::runtime::profile
