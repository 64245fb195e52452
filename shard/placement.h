// Where a new cluster's slots and nodes go.
#ifndef SLOTKV_SHARD_PLACEMENT_H_
#define SLOTKV_SHARD_PLACEMENT_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "shard/cluster_id.h"
#include "shard/cluster_state.h"

namespace slotkv {

// The first state of a cluster, at epoch 1: `shards` shards (1 to kMaxShards), each one contiguous
// range of slots and 1 + `replicas` nodes, all in sync; ranges differ by at most one slot in size,
// zones by at most one primary. The nodes of a shard are in different zones, and the replicas of
// one zone's primaries are spread over the others, so that no zone gets all the load of one that
// dies. Shard epochs are 0: the first Open gives out 1. InvalidArgument if a count or a zone is out
// of bounds, and as CheckZonesSuffice.
absl::StatusOr<ClusterState> InitialState(ClusterId id, std::vector<ZoneState> zones, int shards,
                                          int replicas = 0);

// InvalidArgument if so many zones are too few for a shard's primary and `replicas` in zones of
// their own: two copies on one disk are lost together.
absl::Status CheckZonesSuffice(int replicas, size_t zones);

}  // namespace slotkv

#endif  // SLOTKV_SHARD_PLACEMENT_H_
