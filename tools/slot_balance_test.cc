#include "tools/slot_balance.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SlotBalanceTest, Empty) {
  const SlotBalance balance = BalanceOf(std::vector<uint64_t>(kSlotCount));
  EXPECT_EQ(balance.sum, 0);
  EXPECT_EQ(balance.max, 0);
  EXPECT_EQ(balance.mean, 0);
  EXPECT_EQ(balance.empty_slots, kSlotCount);
  EXPECT_EQ(balance.mean_of_used, 0);
  EXPECT_EQ(BalanceOf({}).sum, 0);
}

TEST(SlotBalanceTest, Balance) {
  const SlotBalance balance = BalanceOf({0, 4, 2, 0, 6, 3});
  EXPECT_EQ(balance.min, 0);
  EXPECT_EQ(balance.max, 6);
  EXPECT_EQ(balance.sum, 15);
  EXPECT_EQ(balance.mean, 2.5);
  EXPECT_EQ(balance.empty_slots, 2);
  EXPECT_EQ(balance.mean_of_used, 3.75);
  EXPECT_EQ(BalanceOf({7, 5, 9}).min, 5);
}

TEST(SlotBalanceTest, HeaviestSlots) {
  EXPECT_THAT(HeaviestSlots({0, 4, 2, 0, 6, 4}, 3), ElementsAre(4, 1, 5));
  EXPECT_THAT(HeaviestSlots({0, 4, 2, 0, 6, 4}, 10), ElementsAre(4, 1, 5, 2));
  EXPECT_THAT(HeaviestSlots({0, 0}, 10), IsEmpty());
  EXPECT_THAT(HeaviestSlots({1}, 0), IsEmpty());
}

}  // namespace
}  // namespace slotkv::tools
