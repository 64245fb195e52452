#include "slotkv/rebalance.h"

#include "gtest/gtest.h"

namespace slotkv {
namespace {

ShardBalance Shard(uint32_t id, double weight, int slots_before, int slots_after,
                   uint64_t load_before, uint64_t load_after, double target) {
  return {ShardId(id), weight, slots_before, slots_after, load_before, load_after, target};
}

TEST(RebalanceTest, PrintsThatNothingMoves) {
  RebalancePlan plan;
  EXPECT_EQ(plan.ToString(), "balanced: nothing to move\n");
  plan.shards = {Shard(1, 1, 16384, 16384, 16384, 16384, 16384)};
  EXPECT_EQ(plan.ToString(), "balanced: nothing to move\n");
  EXPECT_EQ(plan.SlotCount(), 0);
}

TEST(RebalanceTest, PrintsAPlanBySlots) {
  RebalancePlan plan;
  plan.moves = {{{5461, 10922}, ShardId(2), ShardId(12)}, {{16383, 16383}, ShardId(3), ShardId(1)}};
  plan.shards = {Shard(1, 1, 5461, 5462, 5461, 5462, 5462), Shard(2, 0, 5462, 0, 5462, 0, 0),
                 Shard(3, 1, 5461, 5460, 5461, 5460, 5461),
                 Shard(12, 0.25, 0, 5462, 0, 5462, 5461)};
  EXPECT_EQ(plan.SlotCount(), 5463);
  EXPECT_EQ(plan.ToString(),
            "shard        weight    slots    after  target    off by     after\n"
            "shard-1           1     5461     5462    5462     +0.0%     +0.0%\n"
            "shard-2           0     5462        0       0       all         -\n"
            "shard-3           1     5461     5460    5461     +0.0%     +0.0%\n"
            "shard-12       0.25        0     5462    5461   -100.0%     +0.0%\n"
            "\n"
            "5463 slots to move, in 2 ranges\n"
            "shard-2     to shard-12    5461-10922     5462\n"
            "shard-3     to shard-1     16383             1\n");
}

TEST(RebalanceTest, PrintsAPlanByBytes) {
  RebalancePlan plan;
  plan.by = RebalanceBy::kBytes;
  plan.moves = {{{7, 7}, ShardId(2), ShardId(1)}};
  plan.shards = {Shard(1, 1, 7, 8, 1000000000, 2000000000, 2250000000.5),
                 Shard(2, 1, 16377, 16376, 3500000000, 2500000000, 2250000000.5)};
  EXPECT_EQ(plan.ToString(),
            "shard        weight    slots    after       bytes       after      target    off by"
            "     after\n"
            "shard-1           1        7        8  1000000000  2000000000  2250000000    -55.6%"
            "    -11.1%\n"
            "shard-2           1    16377    16376  3500000000  2500000000  2250000000    +55.6%"
            "    +11.1%\n"
            "\n"
            "1 slot to move, in 1 range\n"
            "shard-2     to shard-1     7                 1\n");
}

}  // namespace
}  // namespace slotkv
