// Which nodes there are, and which of them serve.
#include <algorithm>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "shard/cluster_impl.h"

namespace slotkv {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(1);

NodeState* FindNode(NodeId id, ShardState* shard) {
  const auto it = std::find_if(shard->nodes.begin(), shard->nodes.end(),
                               [id](const NodeState& node) { return node.id == id; });
  return it == shard->nodes.end() ? nullptr : &*it;
}

}  // namespace

ShardHost* ClusterImpl::FindHost(ShardId shard) const {
  for (const std::unique_ptr<ShardHost>& host : hosts_) {
    if (host->id() == shard) return host.get();
  }
  return nullptr;
}

absl::StatusOr<ShardHost*> ClusterImpl::HostOf(NodeId node) const {
  const std::shared_ptr<const ClusterState> state = keeper_->Current();
  for (const ShardState& shard : state->shards) {
    for (const NodeState& candidate : shard.nodes) {
      if (candidate.id == node) return FindHost(shard.id);
    }
  }
  return absl::NotFoundError(absl::StrCat("there is no ", node.ToString()));
}

absl::Status ClusterImpl::Promote(ShardId shard, std::optional<NodeId> node, bool force) {
  ShardHost* const host = FindHost(shard);
  if (host == nullptr) return absl::NotFoundError(absl::StrCat("there is no ", shard.ToString()));
  return host->Promote(node, force);
}

absl::Status ClusterImpl::StopNode(NodeId node) {
  const absl::StatusOr<ShardHost*> host = HostOf(node);
  return host.ok() ? (*host)->StopNode(node) : host.status();
}

absl::Status ClusterImpl::StartNode(NodeId node) {
  const absl::StatusOr<ShardHost*> host = HostOf(node);
  if (host.ok()) (*host)->StartNode(node);
  return host.status();
}

// Until it is made, or `change` refuses it.
absl::Status ClusterImpl::ChangeTopology(absl::FunctionRef<absl::Status(ClusterState*)> change) {
  const absl::Time deadline = absl::Now() + options_.operation_timeout;
  while (true) {
    const std::shared_ptr<const ClusterState> current = keeper_->Current();
    ClusterState next = *current;
    if (absl::Status status = change(&next); !status.ok()) return status;
    next.epoch = next.epoch.Next();
    const absl::Status status = keeper_->ChangeTopology(current->epoch, next);
    if (status.ok()) context_.tell_topology();
    // Something else has changed meanwhile.
    if (!absl::IsAborted(status)) return status;
    if (absl::Now() >= deadline) return absl::UnavailableError(status.message());
    absl::SleepFor(kPause);
  }
}

absl::Status ClusterImpl::AddReplica(ShardId id, const std::string& zone) {
  if (absl::Status status = FindZone(zone).status(); !status.ok()) return status;
  return ChangeTopology([&](ClusterState* state) -> absl::Status {
    ShardState* const shard = state->FindShard(id);
    if (shard == nullptr) return absl::NotFoundError(absl::StrCat("there is no ", id.ToString()));
    for (const NodeState& node : shard->nodes) {
      if (node.zone != zone) continue;
      return absl::FailedPreconditionError(absl::StrCat(node.id.ToString(), " of ", id.ToString(),
                                                        " is in zone \"", zone, "\" already"));
    }
    if (shard->nodes.size() >= kMaxNodesPerShard) {
      return absl::FailedPreconditionError(absl::StrCat(id.ToString(), " has ", shard->nodes.size(),
                                                        " nodes, the most there may be"));
    }
    NodeState node;
    node.id = NodeId(state->next_node_id++);
    node.role = Role::kReplica;
    node.zone = zone;
    node.in_sync = false;
    // Below its first directory: housekeeping finds none, and builds it.
    node.incarnation = 1;
    shard->nodes.push_back(std::move(node));
    return absl::OkStatus();
  });
}

absl::Status ClusterImpl::RemoveReplica(NodeId id) {
  const absl::StatusOr<ShardHost*> host = HostOf(id);
  if (!host.ok()) return host.status();
  const std::shared_ptr<const ClusterState> current = keeper_->Current();
  ShardState before = *current->FindShard((*host)->id());
  const NodeState* const node = FindNode(id, &before);
  if (node == nullptr) return absl::NotFoundError(absl::StrCat("there is no ", id.ToString()));
  if (node->role == Role::kPrimary) {
    return absl::FailedPreconditionError(absl::StrCat(
        id.ToString(), " is the primary of ", (*host)->id().ToString(), ": promote another first"));
  }
  const std::vector<NodeId> up = (*host)->Up();
  if (std::all_of(up.begin(), up.end(), [id](NodeId other) { return other == id; })) {
    return absl::UnavailableError(
        absl::StrCat("no copy of ", (*host)->id().ToString(), " but ", id.ToString(), " serves"));
  }
  // Out of sync first: nothing is written to it any more.
  if (absl::Status status = (*host)->StopNode(id); !status.ok()) {
    (*host)->StartNode(id);
    return status;
  }
  const absl::Status status = ChangeTopology([&](ClusterState* state) -> absl::Status {
    ShardState* const shard = state->FindShard((*host)->id());
    const NodeState* const found = FindNode(id, shard);
    if (found == nullptr) return absl::NotFoundError(absl::StrCat("there is no ", id.ToString()));
    // It was started again, or promoted, meanwhile.
    if (found->in_sync) {
      return absl::UnavailableError(absl::StrCat(id.ToString(), " is in sync again"));
    }
    shard->nodes.erase(shard->nodes.begin() + (found - shard->nodes.data()));
    return absl::OkStatus();
  });
  if (!status.ok()) {
    (*host)->StartNode(id);
    return status;
  }
  (*host)->DeleteWhenClosed(id, context_.FindZone(node->zone));
  return absl::OkStatus();
}

}  // namespace slotkv
