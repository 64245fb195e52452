#include "shard/placement.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace slotkv {
namespace {

// The first slot of the shard at `index`: the exact boundary, rounded. Two neighbours differ by
// the same real number, so their rounded distance is one of two integers. (For three shards this
// gives redis-cli's 0-5460, 5461-10922, 10923-16383.)
int FirstSlot(int index, int shards) { return (2 * index * kSlotCount + shards) / (2 * shards); }

// The zone of a shard's node; 0 is the primary.
size_t ZoneOf(size_t shard, size_t node, size_t zones) {
  const size_t first = shard % zones;
  if (node == 0) return first;
  // The other zones, beginning with another one for each round of shards.
  const size_t round = shard / zones;
  return (first + 1 + (round + node - 1) % (zones - 1)) % zones;
}

}  // namespace

absl::StatusOr<ClusterState> InitialState(ClusterId id, std::vector<ZoneState> zones, int shards,
                                          int replicas) {
  if (shards < 1 || static_cast<size_t>(shards) > kMaxShards) {
    return absl::InvalidArgumentError(
        absl::StrCat(shards, " shards: there must be 1 to ", kMaxShards));
  }
  if (replicas < 0 || static_cast<size_t>(replicas) >= kMaxNodesPerShard) {
    return absl::InvalidArgumentError(
        absl::StrCat(replicas, " replicas: there may be 0 to ", kMaxNodesPerShard - 1));
  }
  if (zones.empty()) return absl::InvalidArgumentError("no zones");
  if (absl::Status status = CheckZonesSuffice(replicas, zones.size()); !status.ok()) return status;
  ClusterState state;
  state.id = id;
  state.epoch = Epoch(1);
  state.zones = std::move(zones);
  for (int i = 0; i < shards; ++i) {
    ShardState shard;
    shard.id = ShardId(state.next_shard_id++);
    shard.slots = {
        {static_cast<Slot>(FirstSlot(i, shards)), static_cast<Slot>(FirstSlot(i + 1, shards) - 1)}};
    for (int j = 0; j <= replicas; ++j) {
      NodeState node;
      node.id = NodeId(state.next_node_id++);
      node.role = j == 0 ? Role::kPrimary : Role::kReplica;
      node.zone =
          state.zones[ZoneOf(static_cast<size_t>(i), static_cast<size_t>(j), state.zones.size())]
              .name;
      shard.nodes.push_back(std::move(node));
    }
    state.shards.push_back(std::move(shard));
  }
  if (absl::Status status = Validate(state); !status.ok()) return status;
  return state;
}

absl::Status CheckZonesSuffice(int replicas, size_t zones) {
  if (replicas < 0 || static_cast<size_t>(replicas) < zones) return absl::OkStatus();
  const bool one = zones == 1;
  return absl::InvalidArgumentError(absl::StrCat(
      "Options.replicas_per_shard is ", replicas, ", but there ", one ? "is " : "are ", zones,
      one ? " zone: name another in Options.zones, or set it to "
          : " zones: name others in Options.zones, or set it to ",
      zones - 1));
}

}  // namespace slotkv
