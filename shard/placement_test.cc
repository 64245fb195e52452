#include "shard/placement.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace slotkv {
namespace {

std::vector<ZoneState> Zones(int count) {
  std::vector<ZoneState> zones;
  for (int i = 1; i <= count; ++i) {
    zones.push_back({"zone-" + std::to_string(i), ZoneId(static_cast<uint64_t>(i))});
  }
  return zones;
}

std::vector<int> Sizes(const ClusterState& state) {
  std::vector<int> sizes;
  for (const ShardState& shard : state.shards) {
    EXPECT_EQ(shard.slots.size(), 1u);
    sizes.push_back(shard.slots[0].last - shard.slots[0].first + 1);
  }
  return sizes;
}

TEST(PlacementTest, ThreeShards) {
  const absl::StatusOr<ClusterState> state = InitialState(ClusterId::Random(), Zones(3), 3);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(Sizes(*state), (std::vector<int>{5461, 5462, 5461}));
  EXPECT_EQ(state->shards[0].slots[0], (SlotRange{0, 5460}));
  EXPECT_EQ(state->shards[2].slots[0], (SlotRange{10923, 16383}));
  EXPECT_EQ(state->epoch, Epoch(1));
  EXPECT_EQ(state->next_shard_id, 4u);
  EXPECT_EQ(state->next_node_id, 4u);
}

TEST(PlacementTest, ReplicasAreInOtherZonesAndSpreadOverThem) {
  const absl::StatusOr<ClusterState> state = InitialState(ClusterId::Random(), Zones(3), 12, 1);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->next_node_id, 25u);
  std::map<std::pair<std::string, std::string>, int> pairs;
  for (const ShardState& shard : state->shards) {
    ASSERT_EQ(shard.nodes.size(), 2u);
    EXPECT_EQ(shard.nodes[0].role, Role::kPrimary);
    EXPECT_EQ(shard.nodes[1].role, Role::kReplica);
    EXPECT_TRUE(shard.nodes[1].in_sync);
    ++pairs[{shard.nodes[0].zone, shard.nodes[1].zone}];
  }
  // Each of the six ways to be in two zones, equally often.
  EXPECT_EQ(pairs.size(), 6u);
  for (const auto& [zones, count] : pairs) {
    EXPECT_NE(zones.first, zones.second);
    EXPECT_EQ(count, 2);
  }
}

TEST(PlacementTest, NodesOfAShardAreInDifferentZones) {
  for (int zones : {1, 2, 3, 64}) {
    for (int replicas = 0; replicas < zones; ++replicas) {
      const absl::StatusOr<ClusterState> state =
          InitialState(ClusterId::Random(), Zones(zones), 5, replicas);
      ASSERT_TRUE(state.ok()) << state.status();
      for (const ShardState& shard : state->shards) {
        std::set<std::string> used;
        for (const NodeState& node : shard.nodes) used.insert(node.zone);
        EXPECT_EQ(shard.nodes.size(), static_cast<size_t>(replicas) + 1);
        EXPECT_EQ(used.size(), shard.nodes.size());
      }
    }
  }
}

TEST(PlacementTest, RefusesMoreNodesThanZones) {
  const auto refusal = [](int zones, int replicas) {
    const absl::Status status =
        InitialState(ClusterId::Random(), Zones(zones), 4, replicas).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  };
  EXPECT_EQ(refusal(1, 1),
            "Options.replicas_per_shard is 1, but there is 1 zone: name another in Options.zones, "
            "or set it to 0");
  EXPECT_EQ(refusal(3, 3),
            "Options.replicas_per_shard is 3, but there are 3 zones: name others in Options.zones, "
            "or set it to 2");
}

TEST(PlacementTest, SizesAndZonesDifferByAtMostOne) {
  for (int zones : {1, 2, 3, 5, 64}) {
    for (int shards = 1; shards <= 1024; shards += shards < 20 ? 1 : 251) {
      const absl::StatusOr<ClusterState> state =
          InitialState(ClusterId::Random(), Zones(zones), shards);
      ASSERT_TRUE(state.ok()) << state.status();
      ASSERT_EQ(state->shards.size(), static_cast<size_t>(shards));
      const std::vector<int> sizes = Sizes(*state);
      EXPECT_LE(*std::max_element(sizes.begin(), sizes.end()),
                *std::min_element(sizes.begin(), sizes.end()) + 1)
          << shards;
      std::map<std::string, int> primaries;
      for (const ZoneState& zone : state->zones) primaries[zone.name] = 0;
      for (const ShardState& shard : state->shards) ++primaries[shard.nodes.at(0).zone];
      int least = shards;
      int most = 0;
      for (const auto& [name, count] : primaries) {
        least = std::min(least, count);
        most = std::max(most, count);
      }
      EXPECT_LE(most, least + 1) << shards << " shards in " << zones << " zones";
    }
  }
}

TEST(PlacementTest, Bounds) {
  const ClusterId id = ClusterId::Random();
  for (int shards : {1, 7, 1024}) EXPECT_TRUE(InitialState(id, Zones(3), shards).ok()) << shards;
  for (int shards : {-1, 0, 1025}) {
    EXPECT_TRUE(absl::IsInvalidArgument(InitialState(id, Zones(3), shards).status())) << shards;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(InitialState(id, {}, 3).status()));
  for (int replicas : {-1, 64}) {
    EXPECT_TRUE(absl::IsInvalidArgument(InitialState(id, Zones(3), 3, replicas).status()));
  }
  EXPECT_TRUE(absl::IsInvalidArgument(InitialState(id, Zones(65), 3).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(InitialState(ClusterId(), Zones(3), 3).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(InitialState(id, {{"a", ZoneId(1)}, {"a", ZoneId(2)}}, 3).status()));
}

}  // namespace
}  // namespace slotkv
