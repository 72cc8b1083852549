// tests/unit/profile/sample_ring_test.cc - samples come out in order, and a full ring loses the new ones.
#include "runtime/profile/sample_ring.h"

#include <gtest/gtest.h>

#include <thread>

namespace ringshift::runtime::profile {
namespace {

bool put(SampleRing& ring, std::uint64_t rip) {
  Sample* sample = ring.next();
  if (!sample) return false;
  sample->rip = rip;
  ring.push();
  return true;
}

TEST(SampleRing, KeepsOrderAroundItsEnd) {
  SampleRing ring(4);
  std::uint64_t put_in = 0, taken = 0;
  EXPECT_EQ(ring.front(), nullptr);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(put(ring, put_in++));
    EXPECT_EQ(ring.size(), 3u);
    for (int i = 0; i < 3; ++i) {
      ASSERT_NE(ring.front(), nullptr);
      EXPECT_EQ(ring.front()->rip, taken++);
      ring.pop();
    }
  }
  EXPECT_EQ(ring.lost(), 0u);
}

TEST(SampleRing, LosesWhatDoesNotFit) {
  SampleRing ring(4);
  for (std::uint64_t i = 0; i < 7; ++i) EXPECT_EQ(put(ring, i), i < 4);
  EXPECT_EQ(ring.lost(), 3u);
  EXPECT_EQ(ring.front()->rip, 0u);
  ring.pop();
  EXPECT_TRUE(put(ring, 9));
}

TEST(SampleRing, OneProducerAndOneConsumer) {
  constexpr std::uint64_t kSamples = 20'000;
  SampleRing ring(64);
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < kSamples;)
      put(ring, i) ? static_cast<void>(++i) : std::this_thread::yield();
  });
  std::uint64_t next = 0;
  while (next < kSamples) {
    if (const Sample* sample = ring.front()) {
      ASSERT_EQ(sample->rip, next);
      ++next;
      ring.pop();
    } else {
      std::this_thread::yield();
    }
  }
  producer.join();
}

}  // namespace
}  // namespace ringshift::runtime::profile
