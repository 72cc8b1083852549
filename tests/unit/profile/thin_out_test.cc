// tests/unit/profile/thin_out_test.cc - long recordings keep every second entry, whole.
#include "runtime/profile/thin_out.h"

#include <gtest/gtest.h>

#include <string>

namespace ringshift::runtime::profile {
namespace {

TEST(ThinOut, EverySecondStaysAsItWas) {
  std::int64_t step = 10;
  std::vector<std::string> list;
  for (int i = 0; i < 8; ++i) {
    thin_out(list, 8, step);
    list.push_back(std::string(40, static_cast<char>('a' + i)));
  }
  EXPECT_EQ(list.size(), 8u);
  thin_out(list, 8, step);
  ASSERT_EQ(list.size(), 4u);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(list[static_cast<std::size_t>(i)], std::string(40, static_cast<char>('a' + 2 * i)));
  EXPECT_EQ(step, 20);
}

}  // namespace
}  // namespace ringshift::runtime::profile
