#include "slotkv/cluster.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "shard/cluster_impl.h"
#include "shard/keyspace_calls.h"

namespace slotkv {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(1);

}  // namespace

Topology Shard::GetTopology() const {
  const CallGate::Pass pass(impl()->gate());
  return pass.open() ? impl()->GetTopology() : Topology();
}

// Shard handles may keep the implementation; what it has open ends here.
Cluster::~Cluster() { Close().IgnoreError(); }

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Open(const Options& options,
                                                       const std::string& path) {
  absl::StatusOr<std::unique_ptr<ClusterImpl>> impl = ClusterImpl::Open(options, path, nullptr);
  if (!impl.ok()) return impl.status();
  return std::unique_ptr<Cluster>(new Cluster(*std::move(impl)));
}

absl::Status Cluster::Destroy(const std::string& path) { return ClusterImpl::Destroy(path); }

absl::Status Cluster::Close() { return impl()->Close(); }

Topology Cluster::GetTopology() const {
  const CallGate::Pass pass(impl()->gate());
  return pass.open() ? impl()->GetTopology() : Topology();
}

ClusterStats Cluster::GetStats(const StatsOptions& options) {
  ClusterStats stats;
  {
    const CallGate::Pass pass(impl()->gate());
    if (!pass.open()) return stats;
    stats = impl()->GetStats(options);
  }
  if (!options.count_keys) return stats;
  for (int slot = 0; slot < kSlotCount; ++slot) {
    const absl::StatusOr<uint64_t> keys = CountKeysInSlot(static_cast<Slot>(slot));
    if (keys.ok()) stats.slots[slot].keys = *keys;
  }
  return stats;
}

absl::Status Cluster::Verify() {
  const CallGate::Pass pass(impl()->gate());
  return pass.open() ? impl()->Verify() : Closed();
}

absl::Status Cluster::Promote(ShardId shard, const PromoteOptions& options) {
  const absl::Time deadline = absl::Now() + impl()->options().operation_timeout;
  while (true) {
    absl::Status status;
    {
      const CallGate::Pass pass(impl()->gate());
      status = pass.open() ? impl()->Promote(shard, options.node, options.force) : Closed();
    }
    if (!absl::IsAborted(status)) return status;
    // A copy is being closed, for which calls that run are waited for.
    if (absl::Now() >= deadline) return absl::UnavailableError(status.message());
    absl::SleepFor(kPause);
  }
}

absl::Status Cluster::StopNode(NodeId node) {
  const CallGate::Pass pass(impl()->gate());
  return pass.open() ? impl()->StopNode(node) : Closed();
}

absl::Status Cluster::StartNode(NodeId node) {
  const CallGate::Pass pass(impl()->gate());
  return pass.open() ? impl()->StartNode(node) : Closed();
}

absl::Status Cluster::StopZone(const std::string& name) {
  const CallGate::Pass pass(impl()->zone_gate());
  return pass.open() ? impl()->StopZone(name) : Closed();
}

absl::Status Cluster::ReplaceZone(const std::string& name, const std::string& path) {
  const CallGate::Pass pass(impl()->zone_gate());
  return pass.open() ? impl()->ReplaceZone(name, path) : Closed();
}

absl::Status Cluster::StartZone(const std::string& name) {
  const CallGate::Pass pass(impl()->zone_gate());
  return pass.open() ? impl()->StartZone(name) : Closed();
}

absl::Status Cluster::AddReplica(ShardId shard, const std::string& zone) {
  const CallGate::Pass pass(impl()->gate());
  return pass.open() ? impl()->AddReplica(shard, zone) : Closed();
}

absl::Status Cluster::RemoveReplica(NodeId node) {
  const CallGate::Pass pass(impl()->gate());
  return pass.open() ? impl()->RemoveReplica(node) : Closed();
}

absl::StatusOr<Shard> Cluster::shard(ShardId id) {
  const CallGate::Pass pass(impl()->gate());
  if (!pass.open()) return Closed();
  if (impl()->GetTopology().FindShard(id) != nullptr) return Shard(impl(), id);
  return absl::NotFoundError(absl::StrCat("there is no ", id.ToString()));
}

}  // namespace slotkv
