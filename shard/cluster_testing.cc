#include "shard/cluster_testing.h"

#include <utility>

#include "shard/cluster_impl.h"

namespace slotkv {

absl::StatusOr<std::unique_ptr<Cluster>> OpenClusterWithHook(const Options& options,
                                                             const std::string& path,
                                                             std::shared_ptr<FileHook> hook) {
  absl::StatusOr<std::unique_ptr<ClusterImpl>> impl =
      ClusterImpl::Open(options, path, std::move(hook));
  if (!impl.ok()) return impl.status();
  return std::unique_ptr<Cluster>(new Cluster(*std::move(impl)));
}

absl::Status FlushStores(Cluster* cluster) { return cluster->impl()->Flush(); }

}  // namespace slotkv
