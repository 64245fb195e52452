#include "tools/replicas_text.h"

#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace slotkv::tools {
namespace {

class ReplicasTextTest : public testing::Test {
 protected:
  ReplicasTextTest() {
    stats_.epoch = Epoch(7);
    for (const uint32_t number : {1, 12}) {
      ShardStats& shard = stats_.shards.emplace_back();
      shard.id = ShardId(number);
      for (const uint32_t copy : {1, 2}) {
        NodeInfo& node = shard.nodes.emplace_back().info;
        node.id = NodeId(2 * number + copy);
        node.shard = shard.id;
        node.role = copy == 1 ? Role::kPrimary : Role::kReplica;
        node.zone = copy == 1 ? "zone-a" : "b";
      }
    }
  }

  ClusterStats stats_;
};

TEST_F(ReplicasTextTest, ShowsALineForEachShard) {
  stats_.shards[0].nodes[1].lag_bytes = 2048;
  EXPECT_EQ(ReplicasText(stats_),
            "epoch 7, 2 shards, 4 nodes, 4 in sync\n"
            "\n"
            "shard-1      node-3 primary zone-a in sync, lag 0 bytes   "
            "node-4 replica b in sync, lag 2.0 KiB\n"
            "shard-12     node-25 primary zone-a in sync, lag 0 bytes  "
            "node-26 replica b in sync, lag 0 bytes\n");
}

TEST_F(ReplicasTextTest, ShowsWhatIsNotAsItShouldBe) {
  stats_.shards[0].nodes[1].info.in_sync = false;
  stats_.shards[1].nodes[0].failure = absl::UnavailableError("a sync takes\nlong");
  stats_.shards[1].nodes[1].info.up = false;
  stats_.shards[1].write_status = absl::UnavailableError("too few replicas");
  stats_.shards[0].repairs = 1;
  EXPECT_EQ(ReplicasText(stats_),
            "epoch 7, 2 shards, 4 nodes, 2 in sync\n"
            "\n"
            "shard-1      node-3 primary zone-a in sync, lag 0 bytes                            "
            "    node-4 replica b not in sync\n"
            "shard-12     node-25 primary zone-a in sync, lag 0 bytes, failing: a sync takes\\nlong"
            "  node-26 replica b down\n"
            "shard-12 takes no writes: too few replicas\n"
            "shard-1 has repaired damage: 1 time a copy was built anew\n");
}

TEST_F(ReplicasTextTest, ShowsOneShard) {
  stats_.shards[0].nodes[1].info.in_sync = false;
  EXPECT_EQ(
      ShardReplicasText(stats_.shards[0]),
      "shard-1      node-3 primary zone-a in sync, lag 0 bytes  node-4 replica b not in sync\n");
}

TEST_F(ReplicasTextTest, TakesAClosedCluster) {
  EXPECT_EQ(ReplicasText(ClusterStats()), "epoch 0, 0 shards, 0 nodes, 0 in sync\n\n");
}

}  // namespace
}  // namespace slotkv::tools
