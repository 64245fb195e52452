// What tests and benchmarks do with a cluster that its users cannot.
#ifndef SLOTKV_SHARD_CLUSTER_TESTING_H_
#define SLOTKV_SHARD_CLUSTER_TESTING_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/file_hook.h"
#include "slotkv/cluster.h"

namespace slotkv {

// Cluster::Open, with `hook` asked around every file operation.
absl::StatusOr<std::unique_ptr<Cluster>> OpenClusterWithHook(const Options& options,
                                                             const std::string& path,
                                                             std::shared_ptr<FileHook> hook);

// Writes what is in memtables into tables, of all shards, and waits for it.
absl::Status FlushStores(Cluster* cluster);

}  // namespace slotkv

#endif  // SLOTKV_SHARD_CLUSTER_TESTING_H_
