// tests/unit/compare/measurements_test.cc - what is made of the guest's lines, and what the reports
// say of it.
#include "runtime/compare/measurements.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "runtime/compare/child.h"
#include "runtime/compare/compare.h"
#include "runtime/compare/native_work.h"

namespace ringshift::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::size_t index_of(std::string_view name) {
  std::size_t i = 0;
  while (measurements()[i].name != name) ++i;
  return i;
}

std::vector<Values> no_values() { return std::vector<Values>(measurements().size()); }

TEST(Compare, GuestLinesAreHundredths) {
  auto values = no_values();
  add_guest_lines(
      "noise\nmeasure cr8 12345\nmeasure cpuid none\nmeasure nothing 5\n"
      "Booting..measure call 7\nmeasure cr3 99",
      values);
  EXPECT_THAT(values[index_of("cr8")].of_repeats, ElementsAre(123.45));
  EXPECT_THAT(values[index_of("call")].of_repeats, ElementsAre(0.07));
  EXPECT_TRUE(values[index_of("cpuid")].of_repeats.empty());
  EXPECT_TRUE(values[index_of("cr3")].of_repeats.empty()) << "the line is not complete";
}

TEST(Compare, MedianAndSpread) {
  EXPECT_FALSE(Values{}.median());
  EXPECT_FALSE(Values{{4}}.spread());
  const Values odd{{9, 1, 4}}, even{{4, 1, 2, 3}};
  EXPECT_EQ(odd.median(), 4);
  EXPECT_EQ(odd.spread(), 2);
  EXPECT_EQ(even.median(), 2.5);
}

Comparison example() {
  Comparison c{"A <fast> & \"good\" one", "6.1", "no /dev/kvm", 2, 2000, {}};
  c.engines = {{"native", "none", "", "", no_values()},
               {"slow", "an engine", "slow run", "it broke", no_values()}};
  c.engines[0].values[index_of("call")].of_repeats = {3, 5};
  c.engines[1].values[index_of("call")].of_repeats = {400};
  return c;
}

TEST(Compare, TextShowsWhatWasMeasured) {
  const std::string text = to_text(example());
  EXPECT_THAT(text, HasSubstr("4.0  50%"));
  EXPECT_THAT(text, HasSubstr("400"));
  EXPECT_THAT(text, HasSubstr("it broke"));
  EXPECT_THAT(text, Not(HasSubstr("CPUID"))) << "nobody has a value";
}

TEST(Compare, JsonHoldsEveryRun) {
  const auto json = nlohmann::json::parse(to_json(example()));
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["engines"][0]["results"]["call"]["median"], 4.0);
  EXPECT_EQ(json["engines"][0]["results"]["call"]["runs"].size(), 2u);
  EXPECT_TRUE(json["engines"][1]["results"]["call"]["spread"].is_null());
  EXPECT_EQ(json["engines"][1]["problem"], "it broke");
  EXPECT_EQ(json["measurements"].size(), measurements().size());
}

TEST(Compare, PageEscapesAndDraws) {
  const std::string page = to_html(example());
  EXPECT_THAT(page, HasSubstr("A &lt;fast&gt; &amp; &quot;good&quot; one"));
  EXPECT_THAT(page, HasSubstr("<section id=\"call\">"));
  EXPECT_THAT(page, Not(HasSubstr("<section id=\"cpuid\">")));
  EXPECT_THAT(page, Not(HasSubstr("http")));
}

TEST(Compare, NativeWorkHasPlausibleCosts) {
  auto values = no_values();
  measure_natively(values);
  for (const char* name : {"registers", "call", "array", "pointers"}) {
    ASSERT_TRUE(values[index_of(name)].median()) << name;
    EXPECT_GT(*values[index_of(name)].median(), 0.05) << name;
    EXPECT_LT(*values[index_of(name)].median(), 5000) << name;
  }
}

TEST(Compare, ChildrenEndOrAreEnded) {
  using std::chrono::seconds;
  const auto said = run_child({"sh", "-c", "printf 'a\\r\\nb'; exit 3"}, seconds(30));
  ASSERT_TRUE(said);
  EXPECT_EQ(said->output, "a\nb");
  EXPECT_EQ(said->status, 3);
  EXPECT_GT(said->peak_memory_kib, 0u);
  const auto killed = run_child({"sh", "-c", "kill -9 $$"}, seconds(30));
  ASSERT_TRUE(killed);
  EXPECT_EQ(killed->status, 128 + 9);
  const auto late = run_child({"sleep", "100"}, seconds(1));
  ASSERT_TRUE(late);
  EXPECT_TRUE(late->timed_out);
  const auto absent = run_child({"/nowhere/program"}, seconds(1));
  ASSERT_FALSE(absent);
  EXPECT_THAT(absent.error(), HasSubstr("/nowhere/program"));
}

TEST(Compare, OptionsAreChecked) {
  const auto options =
      parse_compare_options({"--repeat", "2", "-engines", "native,kvm", "--html", "x"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->repeats, 2u);
  EXPECT_THAT(options->engines, ElementsAre("native", "kvm"));
  EXPECT_FALSE(parse_compare_options({"--repeat", "0"}));
  EXPECT_FALSE(parse_compare_options({"--append", "x"}));
  EXPECT_FALSE(parse_compare_options({"--unknown"}));
  EXPECT_FALSE(parse_compare_options({"stray"}));
  const auto result = compare({.engines = {"bochs"}});
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error(), HasSubstr("unknown engine 'bochs'"));
}

}  // namespace
}  // namespace ringshift::runtime
