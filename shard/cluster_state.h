// Everything durable about a cluster at one topology epoch: what the topology journal records and
// what every other class is told.
#ifndef SLOTKV_SHARD_CLUSTER_STATE_H_
#define SLOTKV_SHARD_CLUSTER_STATE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "shard/cluster_id.h"
#include "slotkv/ids.h"
#include "slotkv/slot.h"
#include "slotkv/topology.h"

namespace slotkv {

inline constexpr size_t kMaxZones = 64;
inline constexpr size_t kMaxShards = 1024;
inline constexpr size_t kMaxNodesPerShard = 64;
inline constexpr size_t kMaxZoneNameBytes = 64;

struct ZoneState {
  std::string name;
  ZoneId id;
};

struct NodeState {
  NodeId id;
  Role role = Role::kPrimary;
  std::string zone;
  bool in_sync = true;
  // From 1, raised when the copy is rebuilt from nothing, and when what it has is damaged and no
  // longer to be used. Directories of lower ones are debris as soon as it is in sync.
  uint32_t incarnation = 1;
};

struct ShardState {
  ShardId id;
  // The last one durably given out; 0 before the cluster's first Open.
  ShardEpoch epoch;
  std::vector<SlotRange> slots;
  std::vector<NodeState> nodes;
};

struct ClusterState {
  ClusterId id;
  Epoch epoch;
  std::vector<ZoneState> zones;
  // Ascending by id.
  std::vector<ShardState> shards;
  // The numbers that the next shard and the next node get; no number is used twice.
  uint32_t next_shard_id = 1;
  uint32_t next_node_id = 1;

  // Null if there is none.
  const ShardState* FindShard(ShardId shard) const;
  ShardState* FindShard(ShardId shard);

  // The public value; `up` says which nodes are open.
  Topology ToTopology(absl::FunctionRef<bool(NodeId)> up) const;
};

bool operator==(const ZoneState& a, const ZoneState& b);
bool operator==(const NodeState& a, const NodeState& b);
bool operator==(const ShardState& a, const ShardState& b);
bool operator==(const ClusterState& a, const ClusterState& b);

// 1 to 64 of a-z A-Z 0-9 _ -
bool IsZoneName(std::string_view name);

// InvalidArgument, naming the slot, shard, node or zone, unless all of this holds: every slot has
// exactly one owner; ids are unique and below the next ones; each shard has exactly one primary,
// which is in sync (so the in-sync set is never empty); each node is in a known zone; counts are
// within the bounds above.
absl::Status Validate(const ClusterState& state);

// Whether `next` may follow `current`: the same cluster, valid, one epoch higher, and no epoch,
// incarnation or id counter lower than before. InvalidArgument otherwise.
absl::Status ValidateSuccessor(const ClusterState& current, const ClusterState& next);

// `state` is valid.
std::string EncodeClusterState(const ClusterState& state);

// Takes any bytes. DataLoss if they are not a valid state, Unimplemented if a later release wrote
// them. The result passes Validate.
absl::StatusOr<ClusterState> DecodeClusterState(std::string_view bytes);

}  // namespace slotkv

#endif  // SLOTKV_SHARD_CLUSTER_STATE_H_
