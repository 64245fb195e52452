#include "tools/promote.h"

#include <memory>
#include <optional>

#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/test_support.h"

namespace slotkv::tools {
namespace {

constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;

TEST(ParseIdTest, TakesNamesAndNumbers) {
  EXPECT_EQ(ParseShardId("shard-2"), ShardId(2));
  EXPECT_EQ(ParseShardId("17"), ShardId(17));
  EXPECT_EQ(ParseNodeId("node-4"), NodeId(4));
  EXPECT_EQ(ParseNodeId("4294967295"), NodeId(4294967295));
  for (const char* const text :
       {"", "shard-", "shard--2", "shard-2 ", " 2", "+2", "-2", "2x", "node-2", "4294967296"}) {
    EXPECT_EQ(ParseShardId(text), std::nullopt) << text;
  }
  EXPECT_EQ(ParseNodeId("shard-2"), std::nullopt);
}

class PromoteReplicaTest : public testing::Test {
 protected:
  void Open(int replicas_per_shard) {
    Options options;
    options.shards = 2;
    options.replicas_per_shard = replicas_per_shard;
    absl::StatusOr<std::unique_ptr<Cluster>> cluster =
        Cluster::Open(options, directory_.Path("cluster"));
    ASSERT_THAT(cluster, IsOk());
    cluster_ = *std::move(cluster);
  }
  absl::Status Promote(ShardId shard, std::optional<NodeId> node = std::nullopt) {
    PromoteOptions options;
    options.node = node;
    return PromoteReplica(cluster_.get(), shard, options);
  }
  NodeId Primary(ShardId shard) {
    const Topology topology = cluster_->GetTopology();
    return topology.FindShard(shard)->primary().id;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Cluster> cluster_;
};

TEST_F(PromoteReplicaTest, Promotes) {
  Open(1);
  const NodeId before = Primary(ShardId(1)), other = Primary(ShardId(2));
  EXPECT_THAT(Promote(ShardId(1)), IsOk());
  EXPECT_NE(Primary(ShardId(1)), before);
  EXPECT_THAT(Promote(ShardId(1), before), IsOk());
  EXPECT_EQ(Primary(ShardId(1)), before);
  EXPECT_EQ(Primary(ShardId(2)), other);
}

TEST_F(PromoteReplicaTest, SaysWhatThereIs) {
  Open(1);
  EXPECT_THAT(Promote(ShardId(9)),
              HasError(kNotFound, "no such shard: shard-9; the cluster has shard-1, shard-2"));
  EXPECT_THAT(Promote(ShardId(1), NodeId(9)),
              HasError(kNotFound, "no such node: node-9; shard-1 has node-1, node-2"));
  EXPECT_THAT(Promote(ShardId(1), Primary(ShardId(2))), HasError(kNotFound, "no such node"));
}

TEST_F(PromoteReplicaTest, NeedsAReplicaInSync) {
  Open(0);
  EXPECT_THAT(Promote(ShardId(1)), HasError(absl::StatusCode::kFailedPrecondition, "shard-1"));
}

}  // namespace
}  // namespace slotkv::tools
