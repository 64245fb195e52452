// Which cluster states there may be, and which may follow which.
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/text.h"
#include "shard/cluster_state.h"
#include "shard/slot_table.h"

namespace slotkv {
namespace {

template <typename... Parts>
absl::Status Invalid(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::Status ValidateZones(const std::vector<ZoneState>& zones) {
  if (zones.empty() || zones.size() > kMaxZones) {
    return Invalid(zones.size(), " zones: there must be 1 to ", kMaxZones);
  }
  std::set<std::string> names;
  std::set<ZoneId> ids;
  for (const ZoneState& zone : zones) {
    if (!IsZoneName(zone.name)) return Invalid("bad zone name");
    if (!names.insert(zone.name).second) return Invalid("zone ", zone.name, " is there twice");
    if (zone.id == ZoneId()) return Invalid("zone ", zone.name, " has no id");
    if (!ids.insert(zone.id).second) return Invalid("zone ", zone.name, " has another one's id");
  }
  return absl::OkStatus();
}

absl::Status ValidateNode(const ClusterState& state, const NodeState& node) {
  const std::string name = node.id.ToString();
  if (node.id == NodeId() || node.id.value() >= state.next_node_id) {
    return Invalid(name, ": not between 1 and the next id, ", state.next_node_id);
  }
  if (node.incarnation == 0) return Invalid(name, ": incarnation 0");
  const bool known = std::any_of(state.zones.begin(), state.zones.end(),
                                 [&node](const ZoneState& z) { return z.name == node.zone; });
  if (!known) return Invalid(name, ": its zone is unknown");
  if (node.role == Role::kPrimary && !node.in_sync) {
    return Invalid(name, ": a primary that is not in sync");
  }
  return absl::OkStatus();
}

absl::Status ValidateNodes(const ClusterState& state, std::set<NodeId>* seen) {
  for (const ShardState& shard : state.shards) {
    const std::string name = shard.id.ToString();
    if (shard.nodes.empty() || shard.nodes.size() > kMaxNodesPerShard) {
      return Invalid(name, ": ", shard.nodes.size(), " nodes");
    }
    int primaries = 0;
    for (const NodeState& node : shard.nodes) {
      if (absl::Status status = ValidateNode(state, node); !status.ok()) return status;
      if (!seen->insert(node.id).second) return Invalid(node.id.ToString(), " is there twice");
      if (node.role == Role::kPrimary) ++primaries;
    }
    if (primaries != 1) return Invalid(name, ": ", primaries, " primaries");
  }
  return absl::OkStatus();
}

// Ranges of one shard ascend and do not touch, so that equal sets of slots are equal values.
absl::Status ValidateRanges(const ShardState& shard, std::vector<ShardId>* owners) {
  int end = -1;  // the first slot that the next range may start at, less one
  for (const SlotRange& range : shard.slots) {
    if (range.first > range.last || range.last >= kSlotCount || range.first <= end) {
      return Invalid(shard.id.ToString(), ": bad slot range ", range.first, "-", range.last);
    }
    for (int slot = range.first; slot <= range.last; ++slot) {
      ShardId& owner = (*owners)[static_cast<size_t>(slot)];
      if (owner != ShardId()) {
        return Invalid("slot ", slot, " is owned by ", owner.ToString(), " and ",
                       shard.id.ToString());
      }
      owner = shard.id;
    }
    end = range.last + 1;
  }
  return absl::OkStatus();
}

absl::Status ValidateShards(const ClusterState& state) {
  if (state.shards.empty() || state.shards.size() > kMaxShards) {
    return Invalid(state.shards.size(), " shards: there must be 1 to ", kMaxShards);
  }
  ShardId previous;
  std::vector<ShardId> owners(kSlotCount);
  for (const ShardState& shard : state.shards) {
    if (shard.id <= previous) return Invalid(shard.id.ToString(), ": ids do not ascend from 1");
    previous = shard.id;
    if (absl::Status status = ValidateRanges(shard, &owners); !status.ok()) return status;
  }
  if (previous.value() >= state.next_shard_id || state.next_shard_id - 1 > kMaxShardNumber) {
    return Invalid("next shard id ", state.next_shard_id, " is out of range");
  }
  const auto orphan = std::find(owners.begin(), owners.end(), ShardId());
  if (orphan != owners.end()) return Invalid("slot ", orphan - owners.begin(), " has no owner");
  std::set<NodeId> nodes;
  return ValidateNodes(state, &nodes);
}

absl::Status ValidateShardSuccessor(const ClusterState& current, const ShardState& shard) {
  const std::string name = shard.id.ToString();
  const ShardState* before = current.FindShard(shard.id);
  if (before == nullptr && shard.id.value() < current.next_shard_id) {
    return Invalid(name, ": its id was used before");
  }
  if (before != nullptr && shard.epoch < before->epoch) {
    return Invalid(name, ": epoch ", shard.epoch.ToString(), " is below ",
                   before->epoch.ToString());
  }
  for (const NodeState& node : shard.nodes) {
    if (node.id.value() >= current.next_node_id) continue;
    const NodeState* old = nullptr;
    if (before != nullptr) {
      for (const NodeState& candidate : before->nodes) {
        if (candidate.id == node.id) old = &candidate;
      }
    }
    if (old == nullptr) return Invalid(node.id.ToString(), ": its id was used before");
    if (node.incarnation < old->incarnation) {
      return Invalid(node.id.ToString(), ": incarnation went back");
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool IsZoneName(std::string_view name) {
  if (name.empty() || name.size() > kMaxZoneNameBytes) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

absl::Status Validate(const ClusterState& state) {
  if (state.id == ClusterId()) return Invalid("no cluster id");
  if (state.epoch == Epoch()) return Invalid("epoch 0");
  if (absl::Status status = ValidateZones(state.zones); !status.ok()) return status;
  return ValidateShards(state);
}

absl::Status ValidateSuccessor(const ClusterState& current, const ClusterState& next) {
  if (absl::Status status = Validate(next); !status.ok()) return status;
  if (next.id != current.id) {
    return Invalid("cluster ", next.id.ToString(), " cannot follow cluster ",
                   current.id.ToString());
  }
  if (next.epoch != current.epoch.Next()) {
    return Invalid("epoch ", next.epoch.ToString(), " cannot follow epoch ",
                   current.epoch.ToString());
  }
  if (next.next_shard_id < current.next_shard_id || next.next_node_id < current.next_node_id) {
    return Invalid("the next shard or node id went back");
  }
  for (const ShardState& shard : next.shards) {
    if (absl::Status status = ValidateShardSuccessor(current, shard); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace slotkv
