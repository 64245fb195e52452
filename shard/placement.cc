#include "shard/placement.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace slotkv {
namespace {

// The first slot of the shard at `index`: the exact boundary, rounded. Two neighbours differ by
// the same real number, so their rounded distance is one of two integers. (For three shards this
// gives redis-cli's 0-5460, 5461-10922, 10923-16383.)
int FirstSlot(int index, int shards) { return (2 * index * kSlotCount + shards) / (2 * shards); }

}  // namespace

absl::StatusOr<ClusterState> InitialState(ClusterId id, std::vector<ZoneState> zones, int shards) {
  if (shards < 1 || static_cast<size_t>(shards) > kMaxShards) {
    return absl::InvalidArgumentError(
        absl::StrCat(shards, " shards: there must be 1 to ", kMaxShards));
  }
  if (zones.empty()) return absl::InvalidArgumentError("no zones");
  ClusterState state;
  state.id = id;
  state.epoch = Epoch(1);
  state.zones = std::move(zones);
  for (int i = 0; i < shards; ++i) {
    NodeState node;
    node.id = NodeId(state.next_node_id++);
    node.zone = state.zones[static_cast<size_t>(i) % state.zones.size()].name;
    ShardState shard;
    shard.id = ShardId(state.next_shard_id++);
    shard.slots = {
        {static_cast<Slot>(FirstSlot(i, shards)), static_cast<Slot>(FirstSlot(i + 1, shards) - 1)}};
    shard.nodes = {std::move(node)};
    state.shards.push_back(std::move(shard));
  }
  if (absl::Status status = Validate(state); !status.ok()) return status;
  return state;
}

}  // namespace slotkv
