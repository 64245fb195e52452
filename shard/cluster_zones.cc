// Zones that are stopped, come back, or are replaced by another disk.
//
// Replacing one is made of steps after each of which the cluster can be opened:
//   the new root has its identity file → the nodes of the zone are out of sync, and the zone has
//   another id, by one change of the topology → the cluster's file names the new root → a copy of
//   the topology is there → its nodes are built anew, as any copy that is not in sync
// With the second no copy on the old disk can come to be in sync any more (ClusterMembership). Up
// to the third the old root is what an Open, or StartZone, takes for the zone, with its id: what is
// there may catch up. From there on it is the new one: it holds no topology before that, so that an
// older one is never taken for a copy.
#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "shard/cluster_impl.h"

namespace slotkv {
namespace {

// How often it is looked whether a zone that was stopped is closed.
constexpr absl::Duration kLook = absl::Milliseconds(5);

// A node in the zone that is in sync, if there is one.
std::optional<NodeId> AnyInSync(const ClusterState& state, const std::string& zone) {
  for (const ShardState& shard : state.shards) {
    for (const NodeState& node : shard.nodes) {
      if (node.zone == zone && node.in_sync) return node.id;
    }
  }
  return std::nullopt;
}

// Makes `zone` the root of a zone that is to take the place of the one of its name. `open`: that
// one, if it is up; `named`: what the topology names.
absl::Status CreateReplacement(const ClusterId& cluster, std::optional<ZoneId> open, ZoneId named,
                               OpenZone* zone) {
  const absl::StatusOr<ZoneIdentity> found = ZoneDirectory::Identify(*zone->disk, zone->path);
  zone->state.id = RandomZoneId();
  if (found.ok() && found->cluster == cluster && found->name == zone->state.name) {
    // An earlier attempt was cut short, if there is no data; behind the topology's change it may
    // have written the copy of that.
    const absl::StatusOr<bool> data = found->id == named
                                          ? ZoneDirectory::HoldsNodes(*zone->disk, zone->path)
                                          : ZoneDirectory::HoldsData(*zone->disk, zone->path);
    if (!data.ok()) return data.status();
    if (found->id == open || (*data && found->id == named)) {
      return absl::AlreadyExistsError(
          absl::StrCat(zone->path, ": is the zone itself; an empty directory is needed"));
    }
    if (!*data) zone->state.id = found->id;
  }
  absl::StatusOr<std::unique_ptr<ZoneDirectory>> directory = ZoneDirectory::Create(
      zone->disk.get(), zone->path, {cluster, zone->state.id, zone->state.name});
  if (directory.ok()) zone->directory = *std::move(directory);
  return directory.status();
}

}  // namespace

// One call at a time, in which zones may change.
class ClusterImpl::ZoneTurn {
 public:
  ZoneTurn(ClusterImpl* cluster, absl::Time deadline) : cluster_(cluster) {
    absl::MutexLock lock(&cluster_->zone_turn_mu_);
    const auto is_free = [this]() ABSL_SHARED_LOCKS_REQUIRED(cluster_->zone_turn_mu_) {
      return !cluster_->zone_turn_taken_;
    };
    taken_ = cluster_->zone_turn_mu_.AwaitWithDeadline(absl::Condition(&is_free), deadline);
    if (taken_) cluster_->zone_turn_taken_ = true;
  }
  ~ZoneTurn() {
    if (!taken_) return;
    absl::MutexLock lock(&cluster_->zone_turn_mu_);
    cluster_->zone_turn_taken_ = false;
  }
  ZoneTurn(const ZoneTurn&) = delete;
  ZoneTurn& operator=(const ZoneTurn&) = delete;

  absl::Status status() const {
    return taken_ ? absl::OkStatus()
                  : absl::UnavailableError("a zone is being stopped, started or replaced");
  }

 private:
  ClusterImpl* const cluster_;
  bool taken_ = false;
};

absl::StatusOr<std::shared_ptr<OpenZone>> ClusterImpl::FindZone(const std::string& name) const {
  for (std::shared_ptr<OpenZone>& zone : zones_.All()) {
    if (zone->state.name == name) return std::move(zone);
  }
  return absl::NotFoundError(absl::StrCat("there is no zone \"", name, "\""));
}

std::vector<NodeId> ClusterImpl::NodesIn(const std::string& zone) const {
  const std::shared_ptr<const ClusterState> state = keeper_->Current();
  std::vector<NodeId> nodes;
  for (const ShardState& shard : state->shards) {
    for (const NodeState& node : shard.nodes) {
      if (node.zone == zone) nodes.push_back(node.id);
    }
  }
  return nodes;
}

void ClusterImpl::StartNodesIn(const std::string& zone) {
  for (const NodeId node : NodesIn(zone)) {
    if (const absl::StatusOr<ShardHost*> host = HostOf(node); host.ok()) (*host)->StartNode(node);
  }
}

// On a thread of the zone, which is not one of zones_ yet: its disk may hang. If the job fails, the
// zone never is.
absl::Status ClusterImpl::RunIn(const std::shared_ptr<OpenZone>& zone, absl::Time deadline,
                                std::function<absl::Status()> job) {
  struct Outcome {
    absl::Mutex mu;
    std::optional<absl::Status> status ABSL_GUARDED_BY(mu);
  };
  const auto outcome = std::make_shared<Outcome>();
  zone->workers.Schedule([zone, outcome, job = std::move(job)] {
    absl::Status status = job();
    absl::MutexLock lock(&outcome->mu);
    outcome->status = std::move(status);
  });
  absl::Status status = absl::DeadlineExceededError(
      absl::StrCat(zone->path, ": does not answer within Options.operation_timeout"));
  {
    const auto ended = [&outcome]() ABSL_SHARED_LOCKS_REQUIRED(outcome->mu) {
      return outcome->status.has_value();
    };
    absl::MutexLock lock(&outcome->mu);
    if (outcome->mu.AwaitWithDeadline(absl::Condition(&ended), deadline)) {
      status = *outcome->status;
    }
  }
  if (!status.ok()) zones_.Leave(zone);
  return status;
}

absl::Status ClusterImpl::TakeDown(const std::string& name, const absl::Status& why) {
  const std::shared_ptr<OpenZone> zone = context_.FindZone(name);
  if (absl::Status status = keeper_->Detach(name, why); !status.ok()) {
    return absl::UnavailableError(
        absl::StrCat("zone ", name, " cannot be stopped: ", status.message()));
  }
  // First, so that no copy is brought back there meanwhile.
  if (zone->status.ok()) {
    auto down = std::make_shared<OpenZone>(zone->state, zone->path, hook_);
    down->status = why;
    zones_.Replace(std::move(down));
  }
  absl::Status status;
  for (const NodeId node : NodesIn(name)) {
    const absl::StatusOr<ShardHost*> host = HostOf(node);
    status.Update(host.ok() ? (*host)->StopNode(node) : host.status());
  }
  if (!zone->status.ok()) return status;  // it was down
  Log(LogLevel::kWarning, absl::StrCat("zone ", name, " is down: ", why.message()));
  context_.tell([name, why](EventListener* listener) { listener->OnZoneDown(name, why); });
  return status;
}

// The topology names it, if nothing is in sync on another disk that it names now.
absl::Status ClusterImpl::NameInTopology(const ZoneState& zone) {
  const absl::Status named = ChangeTopology([&](ClusterState* state) -> absl::Status {
    for (ZoneState& known : state->zones) {
      if (known.name != zone.name) continue;
      if (known == zone) return absl::AlreadyExistsError("");
      known = zone;
    }
    const std::optional<NodeId> in_sync = AnyInSync(*state, zone.name);
    if (!in_sync.has_value()) return absl::OkStatus();
    return absl::UnavailableError(
        absl::StrCat(in_sync->ToString(), " is in sync, on the disk that is replaced"));
  });
  return absl::IsAlreadyExists(named) ? absl::OkStatus() : named;
}

// `zone`, whose directory is open, takes the place of what is down.
absl::Status ClusterImpl::BringUp(const std::shared_ptr<OpenZone>& zone) {
  const std::string& name = zone->state.name;
  const absl::Status status = keeper_->Attach({name, zone->path, zone->disk.get(), {}, zone});
  if (!status.ok()) {
    zones_.Leave(zone);
    return absl::UnavailableError(absl::StrCat("zone ", name, " stays down: ", status.message()));
  }
  zones_.Replace(zone);
  StartNodesIn(name);
  Log(LogLevel::kInfo, absl::StrCat("zone ", name, " is up, at ", zone->path));
  context_.tell(
      [name, path = zone->path](EventListener* listener) { listener->OnZoneUp(name, path); });
  return absl::OkStatus();
}

absl::Status ClusterImpl::StopZone(const std::string& name) {
  const ZoneTurn turn(this, absl::Now() + options_.operation_timeout);
  if (!turn.status().ok()) return turn.status();
  if (absl::Status status = FindZone(name).status(); !status.ok()) return status;
  return TakeDown(name, absl::UnavailableError("it was stopped"));
}

absl::Status ClusterImpl::StartZone(const std::string& name) {
  const absl::Time deadline = absl::Now() + options_.operation_timeout;
  const ZoneTurn turn(this, deadline);
  if (!turn.status().ok()) return turn.status();
  const absl::StatusOr<std::shared_ptr<OpenZone>> zone = FindZone(name);
  if (!zone.ok()) return zone.status();
  if (!(*zone)->status.ok()) return OpenAgain(**zone, deadline);
  StartNodesIn(name);
  return absl::OkStatus();
}

absl::Status ClusterImpl::OpenAgain(const OpenZone& down, absl::Time deadline) {
  const std::string name = down.state.name;
  // A replacement that was cut short may have come so far that the cluster's file names it.
  absl::StatusOr<ClusterPointer> pointer =
      ReadClusterPointer(*disk_, JoinPath(path_, kClusterFile));
  if (!pointer.ok()) return pointer.status();
  const auto entry =
      std::find_if(pointer->zones.begin(), pointer->zones.end(),
                   [&](const auto& candidate) { return candidate.zone.name == name; });
  if (entry == pointer->zones.end()) {
    return absl::DataLossError(absl::StrCat(path_, ": the cluster's file names no zone ", name));
  }
  const bool same = entry->zone.id == down.state.id;
  const std::string path = same ? down.path : ZonePath(path_, *entry);
  // What was open there before holds the zone's lock until it is closed.
  do {
    zones_.DestroyUnused();
    if (absl::Now() >= deadline) {
      return absl::UnavailableError(absl::StrCat(
          "zone ", name, ": something that was under way at ", path, " has not ended yet"));
    }
  } while (!zones_.AwaitClosed(path, absl::Now() + kLook));
  const auto zone = std::make_shared<OpenZone>(entry->zone, path, hook_);
  const ZoneIdentity identity = {pointer->id, zone->state.id, name};
  absl::Status status = RunIn(zone, deadline, [zone, identity] {
    absl::StatusOr<std::unique_ptr<ZoneDirectory>> directory =
        ZoneDirectory::Open(zone->disk.get(), zone->path, identity);
    if (directory.ok()) zone->directory = *std::move(directory);
    return directory.status();
  });
  if (!status.ok()) return status;
  status = CheckDevices(zone.get());
  if (status.ok()) status = NameInTopology(zone->state);
  if (status.ok()) status = SetPointer(*zone);
  if (status.ok()) return BringUp(zone);
  zones_.Leave(zone);
  return absl::Status(status.code(),
                      absl::StrCat("zone ", name, " stays down: ", status.message()));
}

// The cluster's file names the zone, and where it is.
absl::Status ClusterImpl::SetPointer(const OpenZone& zone) const {
  const std::string file = JoinPath(path_, kClusterFile);
  absl::StatusOr<ClusterPointer> pointer = ReadClusterPointer(*disk_, file);
  if (!pointer.ok()) return pointer.status();
  const std::string as_read = EncodeClusterPointer(*pointer);
  for (ClusterPointer::ZoneEntry& entry : pointer->zones) {
    if (entry.zone.name != zone.state.name) continue;
    entry.zone = zone.state;
    if (ZonePath(path_, entry) != zone.path) entry.path = zone.path;
  }
  const std::string bytes = EncodeClusterPointer(*pointer);
  // An earlier attempt may have failed just before it was durable.
  return bytes == as_read ? disk_->SyncDirectory(path_) : disk_->Replace(file, bytes);
}

absl::Status ClusterImpl::CheckReplaceable(const std::string& name) const {
  const std::shared_ptr<const ClusterState> state = keeper_->Current();
  for (const ShardState& shard : state->shards) {
    const bool elsewhere =
        std::any_of(shard.nodes.begin(), shard.nodes.end(),
                    [&](const NodeState& node) { return node.in_sync && node.zone != name; });
    if (elsewhere) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("zone ", name, " has the only copy of ", shard.id.ToString(),
                     " that is in sync: what it holds would be lost"));
  }
  return absl::OkStatus();
}

absl::Status ClusterImpl::ReplaceZone(const std::string& name, const std::string& path) {
  const absl::Time deadline = absl::Now() + options_.operation_timeout;
  const ZoneTurn turn(this, deadline);
  if (!turn.status().ok()) return turn.status();
  const absl::StatusOr<std::shared_ptr<OpenZone>> former = FindZone(name);
  if (!former.ok()) return former.status();
  if (path.empty()) return absl::InvalidArgumentError("the zone's new path is empty");
  if (absl::Status status = CheckReplaceable(name); !status.ok()) return status;
  const std::shared_ptr<const ClusterState> current = keeper_->Current();
  const ZoneState state = (*former)->state;
  const auto named = std::find_if(current->zones.begin(), current->zones.end(),
                                  [&](const ZoneState& known) { return known.name == name; });
  const auto zone = std::make_shared<OpenZone>(
      state, ZonePath(path_, ClusterPointer::ZoneEntry{state, path}), hook_);
  // Not the zone itself, which is to be closed even if the new disk hangs.
  const std::optional<ZoneId> open =
      (*former)->status.ok() ? std::optional<ZoneId>(state.id) : std::nullopt;
  absl::Status status = RunIn(zone, deadline, [zone, cluster = current->id, open, id = named->id] {
    return CreateReplacement(cluster, open, id, zone.get());
  });
  if (!status.ok()) return status;
  status = CheckDevices(zone.get());
  if (status.ok()) {
    status = TakeDown(name, absl::UnavailableError(absl::StrCat("it is replaced by ", path)));
  }
  // A copy there may have been the last one meanwhile.
  if (status.ok()) status = CheckReplaceable(name);
  if (status.ok()) status = NameInTopology(zone->state);
  if (status.ok()) status = SetPointer(*zone);
  if (status.ok()) return BringUp(zone);
  zones_.Leave(zone);
  return absl::Status(status.code(),
                      absl::StrCat("zone ", name, " is not replaced: ", status.message()));
}

}  // namespace slotkv
