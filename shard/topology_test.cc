#include "slotkv/topology.h"

#include <sstream>
#include <utility>

#include "gtest/gtest.h"

namespace slotkv {
namespace {

NodeInfo Node(uint32_t id, uint32_t shard, Role role, std::string zone) {
  NodeInfo node;
  node.id = NodeId(id);
  node.shard = ShardId(shard);
  node.role = role;
  node.zone = std::move(zone);
  return node;
}

Topology TwoShards() {
  ShardInfo low;
  low.id = ShardId(1);
  low.slots = {{0, 0}, {2, 8191}};
  low.nodes = {Node(3, 1, Role::kReplica, "zone-b"), Node(1, 1, Role::kPrimary, "zone-a")};
  low.nodes[0].in_sync = false;
  low.nodes[0].up = false;
  ShardInfo high;
  high.id = ShardId(4);
  high.slots = {{1, 1}, {8192, 16383}};
  high.nodes = {Node(2, 4, Role::kPrimary, "zone-b")};
  return Topology(Epoch(7), {low, high});
}

TEST(TopologyTest, DefaultIsEmpty) {
  const Topology topology;
  EXPECT_EQ(topology.epoch(), Epoch(0));
  EXPECT_TRUE(topology.shards().empty());
  EXPECT_EQ(topology.OwnerOf(0), ShardId());
  EXPECT_EQ(topology.OwnerOf(16383), ShardId());
  EXPECT_EQ(topology.FindShard(ShardId(1)), nullptr);
}

TEST(TopologyTest, OwnersFollowTheRanges) {
  const Topology topology = TwoShards();
  EXPECT_EQ(topology.OwnerOf(0), ShardId(1));
  EXPECT_EQ(topology.OwnerOf(1), ShardId(4));
  EXPECT_EQ(topology.OwnerOf(2), ShardId(1));
  EXPECT_EQ(topology.OwnerOf(8191), ShardId(1));
  EXPECT_EQ(topology.OwnerOf(8192), ShardId(4));
  EXPECT_EQ(topology.OwnerOf(16383), ShardId(4));
}

TEST(TopologyTest, FindsShardsAndPrimaries) {
  const Topology topology = TwoShards();
  ASSERT_NE(topology.FindShard(ShardId(1)), nullptr);
  EXPECT_EQ(topology.FindShard(ShardId(1))->primary().id, NodeId(1));
  EXPECT_EQ(topology.FindShard(ShardId(1))->SlotCount(), 8191);
  ASSERT_NE(topology.FindShard(ShardId(4)), nullptr);
  EXPECT_EQ(topology.FindShard(ShardId(4))->SlotCount(), 8193);
  EXPECT_EQ(topology.FindShard(ShardId(2)), nullptr);
  EXPECT_EQ(topology.FindShard(ShardId(5)), nullptr);
}

TEST(TopologyTest, CopiesOutliveTheOriginal) {
  Topology copy;
  {
    const Topology original = TwoShards();
    copy = original;
    EXPECT_EQ(copy.shards().data(), original.shards().data());
  }
  EXPECT_EQ(copy.OwnerOf(1), ShardId(4));
  // Of a temporary, the shards are returned by value: nothing dangles.
  const std::vector<ShardInfo> shards = TwoShards().shards();
  EXPECT_EQ(shards.size(), 2u);
}

TEST(TopologyTest, Prints) {
  std::ostringstream out;
  out << TwoShards();
  EXPECT_EQ(out.str(),
            "epoch 7: shard-1 [0 2-8191] node-3 replica zone-b out-of-sync down, node-1 primary "
            "zone-a; shard-4 [1 8192-16383] node-2 primary zone-b");
}

}  // namespace
}  // namespace slotkv
