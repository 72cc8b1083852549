// tests/unit/profile/report_test.cc - what reports and the summary say of a profile.
#include "runtime/profile/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/profile/block_listing.h"
#include "runtime/profile/summary.h"
#include "runtime/profile/top.h"
#include "tests/unit/profile/sample_profile.h"

namespace ringshift::runtime::profile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::vector<std::string> titles(const Profile& p) {
  std::vector<std::string> result;
  for (const Finding& f : summarize(p)) result.push_back(f.title);
  return result;
}

TEST(Summary, TheTopFunctionAndTheCallOutThatCosts) {
  EXPECT_THAT(titles(sample_profile()),
              ElementsAre("spin of kernel is where most time goes", "mov to cr leaves translated code"));
}

TEST(Summary, RatesDecideNotCounts) {
  Profile p = sample_profile();
  p.counters = {{"address space changes", 10'000}, {"removed: stores", 5000}};
  p.written_pages[0].blocks = 4000;
  p.ports[0].reads = 50'000;
  EXPECT_THAT(titles(p), testing::IsSupersetOf({"The guest switches address spaces often",
                                               "The guest patches its own code",
                                               "The guest hammers port 0x61 (system control port)"}));
  p.run.cpu_seconds = 10'000;  // the same, over hours
  EXPECT_EQ(titles(p).size(), 2u);
}

TEST(Summary, PagesThatServeSomethingElseAreNotPatched) {
  Profile p = sample_profile();
  p.counters = {{"removed: stores", 5000}};
  p.written_pages[0].blocks = 200;
  EXPECT_THAT(titles(p), testing::Contains("Memory with code is used for something else"));
}

TEST(Folded, NamesCannotBreakLines) {
  Profile p = sample_profile();
  p.names[0] = "in;it\n";
  EXPECT_EQ(folded_stacks(p), "in_it_;spin 70\nin_it_;main 30\n");
}

TEST(HtmlPage, NamesCannotEndTheScript) {
  Profile p = sample_profile();
  p.names[0] = "</script><b>";
  const std::string page = html_page(p);
  EXPECT_THAT(page, HasSubstr("\\u003c/script>\\u003cb>"));
  EXPECT_THAT(page, Not(HasSubstr("</script><b>")));
  EXPECT_THAT(page, Not(HasSubstr("@PROFILE@")));
}

TEST(Difference, SharesNotSamples) {
  const Profile before = sample_profile();
  Profile after = sample_profile();
  after.run.samples *= 2;
  for (auto* f : {&after.functions[0], &after.functions[1]}) f->self *= 2;
  after.activities = {{"hot code", "", 200}};
  const std::string text = text_difference(before, after);
  EXPECT_THAT(text, testing::ContainsRegex("Functions \\(self\\).*\n  nothing changed"));
  EXPECT_THAT(text, HasSubstr("hot code"));
}

TEST(Listing, TheOtherSyntaxKeepsTheSamples) {
  Profile p = sample_profile();
  list_blocks(p, translator::Syntax::kAtt);
  ASSERT_EQ(p.blocks[0].guest.size(), 2u);
  EXPECT_THAT(p.blocks[0].guest[0].text, HasSubstr("%rax"));
  EXPECT_EQ(p.blocks[0].guest[0].samples, 70u);
  EXPECT_EQ(p.blocks[0].host[0].samples, 70u);
  EXPECT_EQ(p.blocks[0].edges[0].block, 0);
  EXPECT_EQ(p.run.syntax, "att");
}

TEST(Top, FitsTheScreen) {
  const std::string screen = top_screen(sample_profile(), 5, 20);
  EXPECT_EQ(std::count(screen.begin(), screen.end(), '\n'), 4);
  for (std::size_t at = 0, end; at < screen.size(); at = end + 1) {
    end = std::min(screen.find('\n', at), screen.size());
    EXPECT_LE(end - at, 20u);
  }
}

}  // namespace
}  // namespace ringshift::runtime::profile
