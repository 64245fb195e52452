#include "shard/cluster_membership.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace slotkv {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(1);

// Whether `copy` may be one of those in sync, by the topology as it is.
absl::Status CheckCopy(const ClusterState& state, const ShardState& shard, const InSyncCopy& copy) {
  const auto node = std::find_if(shard.nodes.begin(), shard.nodes.end(),
                                 [&](const NodeState& node) { return node.id == copy.id; });
  if (node == shard.nodes.end()) {
    return absl::UnavailableError(
        absl::StrCat(copy.id.ToString(), " is no node of ", shard.id.ToString()));
  }
  if (node->in_sync) return absl::OkStatus();
  const auto zone = std::find_if(state.zones.begin(), state.zones.end(),
                                 [&](const ZoneState& zone) { return zone.name == node->zone; });
  if (zone->id.value() == copy.disk) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(copy.id.ToString(), " is on a disk that zone ",
                                             node->zone, " has had replaced meanwhile"));
}

}  // namespace

Membership MembershipOf(const ShardState& shard) {
  Membership membership;
  membership.epoch = shard.epoch;
  for (const NodeState& node : shard.nodes) {
    if (node.role == Role::kPrimary) membership.primary = node.id;
    if (node.in_sync) membership.in_sync.push_back({node.id, node.incarnation});
  }
  return membership;
}

void ApplyMembership(const Membership& membership, ShardState* shard) {
  shard->epoch = membership.epoch;
  for (NodeState& node : shard->nodes) {
    node.role = node.id == membership.primary ? Role::kPrimary : Role::kReplica;
    const auto in_sync = std::find_if(membership.in_sync.begin(), membership.in_sync.end(),
                                      [&](const InSyncCopy& copy) { return copy.id == node.id; });
    node.in_sync = in_sync != membership.in_sync.end();
    if (node.in_sync) node.incarnation = in_sync->incarnation;
    for (const InSyncCopy& next : membership.discarded) {
      if (next.id == node.id) node.incarnation = std::max(node.incarnation, next.incarnation);
    }
  }
}

size_t ClusterMembership::PrimariesIn(const std::string& zone) const {
  size_t primaries = 0;
  for (const ShardState& shard : keeper_->Current()->shards) {
    for (const NodeState& node : shard.nodes) {
      if (node.role == Role::kPrimary && node.zone == zone) ++primaries;
    }
  }
  return primaries;
}

absl::Status ClusterMembership::Change(const Membership& next, absl::Duration timeout) {
  return Change(nullptr, next, timeout);
}

absl::Status ClusterMembership::ChangeFrom(const Membership& expected, const Membership& next,
                                           absl::Duration timeout) {
  return Change(&expected, next, timeout);
}

absl::Status ClusterMembership::Change(const Membership* expected, const Membership& next,
                                       absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  bool in_doubt = false;
  std::optional<ShardState> before;
  while (true) {
    const std::shared_ptr<const ClusterState> current = keeper_->Current();
    ClusterState state = *current;
    ShardState* const shard = state.FindShard(shard_);
    if (shard == nullptr) {
      return absl::UnavailableError(absl::StrCat(shard_.ToString(), " is gone"));
    }
    for (const InSyncCopy& copy : next.in_sync) {
      if (absl::Status status = CheckCopy(state, *shard, copy); !status.ok()) return status;
    }
    if (!before.has_value()) before = *shard;
    const Membership found = MembershipOf(*shard);
    ApplyMembership(next, shard);
    if (state == *current) {  // an earlier call has come through
      changed_(*before, *shard);
      return absl::OkStatus();
    }
    if (expected != nullptr && !(found == *expected)) {
      return absl::UnavailableError(
          absl::StrCat(shard_.ToString(), ": its copies have changed meanwhile"));
    }
    state.epoch = state.epoch.Next();
    const absl::Status status = keeper_->ChangeTopology(current->epoch, state);
    if (status.ok()) {
      changed_(*before, *shard);
      return status;
    }
    // Aborted: something else has changed meanwhile, or what was unresolved. Unavailable: something
    // is being changed. An unknown outcome is resolved by asking for the same again.
    in_doubt = in_doubt || absl::IsDeadlineExceeded(status);
    if (absl::Now() >= deadline && in_doubt) {
      return absl::DeadlineExceededError(status.message());
    }
    if (absl::IsInvalidArgument(status) || absl::Now() >= deadline) {
      return absl::UnavailableError(
          absl::StrCat(shard_.ToString(), ": the topology cannot be changed: ", status.message()));
    }
    absl::SleepFor(kPause);
  }
}

}  // namespace slotkv
