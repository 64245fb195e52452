// The cluster's own directory: its lock, and the pointer to its zones.
//
//   LOCK              held while the cluster is open
//   CLUSTER           the cluster's id, its shards and replicas at creation, each zone's name, id
//                     and path
//   CLUSTER.creating  the same, while the cluster is being created
//
// A zone's path stands there as it was given; a relative one, as those of the default zones, is
// below the cluster's directory, so that the whole can be moved.
#ifndef SLOTKV_SHARD_CLUSTER_FILES_H_
#define SLOTKV_SHARD_CLUSTER_FILES_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/disk.h"
#include "shard/cluster_id.h"
#include "shard/cluster_state.h"
#include "slotkv/options.h"

namespace slotkv {

inline constexpr const char* kClusterFile = "CLUSTER";
inline constexpr const char* kCreatingFile = "CLUSTER.creating";
inline constexpr const char* kLockFile = "LOCK";

struct ClusterPointer {
  struct ZoneEntry {
    ZoneState zone;
    std::string path;
  };
  ClusterId id;
  // At creation; the topology says how many there are now.
  int shards = 0;
  int replicas_per_shard = 0;
  std::vector<ZoneEntry> zones;
};

std::string EncodeClusterPointer(const ClusterPointer& pointer);
// DataLoss if damaged, Unimplemented if a later release wrote it.
absl::StatusOr<ClusterPointer> DecodeClusterPointer(std::string_view bytes);

// As above, of the file at `path`, which errors name.
absl::StatusOr<ClusterPointer> ReadClusterPointer(const Disk& disk, const std::string& path);

// The zones that `options` ask for, each with a new id: three below the cluster's directory if
// they name none.
ClusterPointer NewClusterPointer(const Options& options);

// Where a zone is.
std::string ZonePath(const std::string& cluster_directory, const ClusterPointer::ZoneEntry& entry);

}  // namespace slotkv

#endif  // SLOTKV_SHARD_CLUSTER_FILES_H_
