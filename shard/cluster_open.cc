// Opening and creating a cluster.
//
// Creation is made of steps that can be repeated. The file CLUSTER.creating, with the ids of
// cluster and zones, comes first; zones, empty nodes and the first topology follow; renaming it to
// CLUSTER ends the creation. A creation that was cut short is taken up where it stands.
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/check.h"
#include "shard/cluster_impl.h"
#include "shard/placement.h"

namespace slotkv {
namespace {

// A promotion waits so long for a copy of the topology that is not needed: one that is slower is
// brought up to date by itself.
constexpr absl::Duration kTopologyPatience = absl::Milliseconds(3);

// Runs `job(i)` for each i below `count` on a few threads; the first error by i.
absl::Status ForEach(size_t count, const std::function<absl::Status(size_t)>& job) {
  std::vector<absl::Status> statuses(count);
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < count; i = next++) statuses[i] = job(i);
  };
  const size_t cores = std::clamp<size_t>(std::thread::hardware_concurrency(), 1, 8);
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min(cores, count); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  for (absl::Status& status : statuses) {
    if (!status.ok()) return std::move(status);
  }
  return absl::OkStatus();
}

// The zones of `options`, looked for in `pointer`, take the place of the paths there.
absl::Status ApplyZonePaths(const Options& options, ClusterPointer* pointer) {
  for (const Zone& zone : options.zones) {
    const auto entry =
        std::find_if(pointer->zones.begin(), pointer->zones.end(),
                     [&](const auto& candidate) { return candidate.zone.name == zone.name; });
    if (entry == pointer->zones.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("Options.zones: the cluster has no zone \"", zone.name, "\""));
    }
    entry->path = zone.path;
  }
  return absl::OkStatus();
}

}  // namespace

ClusterImpl::ClusterImpl(const Options& options, std::string path, std::shared_ptr<FileHook> hook)
    : options_(options),
      path_(std::move(path)),
      hook_(std::move(hook)),
      disk_(std::make_unique<Disk>(hook_)),
      resources_(std::make_unique<StoreResources>(options.memory_bytes, options.logger)) {
  context_.options = &options_;
  context_.zones = &zones_;
  context_.resources = resources_.get();
  context_.gate = &gate_;
  context_.gate_mu = &gate_mu_;
  context_.router = &router_;
  context_.tell = [this](EventQueue::Event event) {
    // Before housekeeping begins there is nobody to tell.
    if (events_ != nullptr && options_.listener != nullptr) events_->Add(std::move(event));
  };
  // Looked up when it is delivered: never an older one behind a newer one.
  context_.tell_topology = [this] {
    context_.tell([this](EventListener* listener) { listener->OnTopologyChange(GetTopology()); });
  };
  context_.log = [this](LogLevel level, std::string_view text) { Log(level, text); };
}

absl::StatusOr<std::unique_ptr<ClusterImpl>> ClusterImpl::Open(const Options& options,
                                                               const std::string& path,
                                                               std::shared_ptr<FileHook> hook) {
  if (absl::Status status = ValidateOptions(options); !status.ok()) return status;
  if (path.empty()) return absl::InvalidArgumentError("the cluster's path is empty");
  std::unique_ptr<ClusterImpl> impl(new ClusterImpl(options, path, std::move(hook)));
  if (absl::Status status = impl->OpenOrCreate(); !status.ok()) return status;
  return impl;
}

absl::Status ClusterImpl::OpenOrCreate() {
  const absl::Time start = absl::Now();
  const std::string pointer_path = JoinPath(path_, kClusterFile);
  if (!disk_->Exists(pointer_path)) {
    if (!options_.create_if_missing) {
      return absl::NotFoundError(absl::StrCat(path_, ": no cluster here"));
    }
    // Before anything is made.
    const ClusterPointer pointer = NewClusterPointer(options_);
    const absl::Status status =
        CheckZonesSuffice(options_.replicas_per_shard, pointer.zones.size());
    if (!status.ok()) return status;
  }
  if (absl::Status status = disk_->MakeDirectory(path_); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<DirectoryLock>> lock = disk_->Lock(JoinPath(path_, kLockFile));
  if (!lock.ok()) {
    return absl::UnavailableError(
        absl::StrCat(path_, ": the cluster is open elsewhere: ", lock.status().message()));
  }
  lock_ = *std::move(lock);
  if (!disk_->Exists(pointer_path)) {
    if (absl::Status status = Create(); !status.ok()) return status;
  } else if (options_.error_if_exists) {
    return absl::AlreadyExistsError(absl::StrCat(path_, ": a cluster is here already"));
  } else if (absl::Status status = disk_->SyncDirectory(path_); !status.ok()) {
    return status;  // a creation may have been cut short before its last step was durable
  }

  absl::StatusOr<ClusterPointer> pointer = ReadClusterPointer(*disk_, pointer_path);
  if (!pointer.ok()) return pointer.status();
  const ClusterPointer as_read = *pointer;
  if (absl::Status status = ApplyZonePaths(options_, &*pointer); !status.ok()) return status;
  if (absl::Status status = OpenEachZone(*pointer); !status.ok()) return status;
  if (absl::Status status = CheckDevices(nullptr); !status.ok()) return status;
  if (absl::Status status = OpenTopology(pointer->id); !status.ok()) return status;
  if (absl::Status status = OpenShards(); !status.ok()) return status;
  if (absl::Status status = StartEpochs(); !status.ok()) return status;
  // Zones that were found at new paths are looked for there from now on.
  const std::vector<std::shared_ptr<OpenZone>> zones = zones_.All();
  for (size_t i = 0; i < zones.size(); ++i) {
    if (!zones[i]->status.ok()) pointer->zones[i].path = as_read.zones[i].path;
  }
  const std::string bytes = EncodeClusterPointer(*pointer);
  if (bytes != EncodeClusterPointer(as_read)) {
    if (absl::Status status = disk_->Replace(pointer_path, bytes); !status.ok()) return status;
  }
  DeleteDebris();
  PublishSlots();
  StartHousekeeping();
  TellOfOpen(absl::Now() - start);
  return absl::OkStatus();
}

void ClusterImpl::StartHousekeeping() {
  std::vector<ShardHost*> hosts;
  for (const std::unique_ptr<ShardHost>& host : hosts_) hosts.push_back(host.get());
  events_ = std::make_unique<EventQueue>(options_.listener, options_.logger);
  health_ = std::make_unique<HealthWatch>(hosts, events_.get(), options_.logger);
  maintenance_ = std::make_unique<Maintenance>(
      std::move(hosts), &context_, resources_->memtable_bytes, [this] { health_->Look(); });
}

void ClusterImpl::TellOfOpen(absl::Duration took) {
  size_t served = 0;
  uint64_t replayed = 0;
  for (const std::unique_ptr<ShardHost>& host : hosts_) {
    if (host->group() == nullptr) continue;
    ++served;
    replayed += host->replayed();
  }
  Log(LogLevel::kInfo,
      absl::StrCat("opened in ", absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1))),
                   ": ", served, " shards, ", replayed, " records replayed"));
  for (const std::shared_ptr<OpenZone>& zone : zones_.All()) {
    if (zone->status.ok()) continue;
    Log(LogLevel::kWarning,
        absl::StrCat("zone ", zone->state.name, " is down: ", zone->status.message()));
    events_->Add([name = zone->state.name, why = zone->status](EventListener* listener) {
      listener->OnZoneDown(name, why);
    });
  }
  context_.tell_topology();
}

absl::Status ClusterImpl::Create() {
  const std::string creating_path = JoinPath(path_, kCreatingFile);
  ClusterPointer pointer = NewClusterPointer(options_);
  if (disk_->Exists(creating_path)) {
    absl::StatusOr<ClusterPointer> begun = ReadClusterPointer(*disk_, creating_path);
    if (!begun.ok()) return begun.status();
    const bool same = std::equal(begun->zones.begin(), begun->zones.end(), pointer.zones.begin(),
                                 pointer.zones.end(), [](const auto& a, const auto& b) {
                                   return a.zone.name == b.zone.name && a.path == b.path;
                                 });
    if (!same) {
      return absl::FailedPreconditionError(
          absl::StrCat(creating_path,
                       ": the creation of a cluster with other zones was cut short here; open it "
                       "with those zones, or destroy it"));
    }
    pointer = *std::move(begun);
  } else if (absl::Status status = disk_->Replace(creating_path, EncodeClusterPointer(pointer));
             !status.ok()) {
    return status;
  }
  absl::Status status = CreateContents(pointer);
  zones_.Clear();  // and their locks: opening takes them again
  if (!status.ok()) return status;
  status = disk_->Rename(creating_path, JoinPath(path_, kClusterFile));
  return status.ok() ? disk_->SyncDirectory(path_) : status;
}

absl::Status ClusterImpl::CreateContents(const ClusterPointer& pointer) {
  std::vector<ZoneState> zone_states;
  for (const ClusterPointer::ZoneEntry& entry : pointer.zones) {
    auto zone = std::make_shared<OpenZone>(entry.zone, ZonePath(path_, entry), hook_);
    absl::StatusOr<std::unique_ptr<ZoneDirectory>> directory = ZoneDirectory::Create(
        zone->disk.get(), zone->path, {pointer.id, entry.zone.id, entry.zone.name});
    if (!directory.ok()) return directory.status();
    zone->directory = *std::move(directory);
    zones_.Add(std::move(zone));
    zone_states.push_back(entry.zone);
  }
  if (absl::Status status = CheckDevices(nullptr); !status.ok()) return status;
  absl::StatusOr<ClusterState> state =
      InitialState(pointer.id, zone_states, pointer.shards, pointer.replicas_per_shard);
  if (!state.ok()) return state.status();
  // Nodes before topology: what the topology names is there. And where there is a topology they may
  // hold data: all that was lost then is the last step, the name of this file.
  const std::vector<TopologyCopy> copies = TopologyCopies();
  const bool has_topology = std::any_of(copies.begin(), copies.end(), [](const TopologyCopy& copy) {
    return copy.disk->Exists(JoinPath(copy.directory, TopologyJournal::kName));
  });
  if (!has_topology) {
    if (absl::Status status = CreateNodes(*state); !status.ok()) return status;
  }
  const absl::Status status = TopologyKeeper::Create(*state, copies).status();
  return absl::IsAlreadyExists(status) ? absl::OkStatus() : status;
}

absl::Status ClusterImpl::CreateNodes(const ClusterState& state) {
  for (const ShardState& shard : state.shards) {
    for (const NodeState& node : shard.nodes) {
      const std::shared_ptr<OpenZone> zone = context_.FindZone(node.zone);
      const NodeOptions options = context_.MakeNodeOptions(state, shard, node, zone.get());
      if (absl::Status s = options.disk->DeleteTree(options.directory); !s.ok()) return s;
      if (absl::Status s = Node::Create(options); !s.ok()) return s;
    }
  }
  return absl::OkStatus();
}

absl::Status ClusterImpl::OpenEachZone(const ClusterPointer& pointer) {
  for (const ClusterPointer::ZoneEntry& entry : pointer.zones) {
    auto zone = std::make_shared<OpenZone>(entry.zone, ZonePath(path_, entry), hook_);
    absl::StatusOr<std::unique_ptr<ZoneDirectory>> directory = ZoneDirectory::Open(
        zone->disk.get(), zone->path, {pointer.id, entry.zone.id, entry.zone.name});
    zone->status = directory.status();
    if (directory.ok()) zone->directory = *std::move(directory);
    zones_.Add(std::move(zone));
  }
  return absl::OkStatus();
}

absl::Status ClusterImpl::CheckDevices(const OpenZone* next) const {
  if (!options_.require_distinct_devices) return absl::OkStatus();
  std::map<dev_t, std::string> devices;
  for (const std::shared_ptr<OpenZone>& zone : zones_.All()) {
    const bool replaced = next != nullptr && next->state.name == zone->state.name;
    struct stat info;
    if (stat((replaced ? next : zone.get())->path.c_str(), &info) != 0) continue;  // it is down
    const auto [it, inserted] = devices.emplace(info.st_dev, zone->state.name);
    if (inserted) continue;
    return absl::FailedPreconditionError(absl::StrCat("Options.require_distinct_devices: zones ",
                                                      it->second, " and ", zone->state.name,
                                                      " are on one device"));
  }
  return absl::OkStatus();
}

std::vector<TopologyCopy> ClusterImpl::TopologyCopies() const {
  std::vector<TopologyCopy> copies;
  for (const std::shared_ptr<OpenZone>& zone : zones_.All()) {
    copies.push_back({zone->state.name, zone->path, zone->disk.get(), zone->status, zone});
  }
  // One or two copies have no majority that survives the loss of one.
  if (copies.size() < 3) copies.push_back({"the cluster's directory", path_, disk_.get(), {}, {}});
  return copies;
}

absl::Status ClusterImpl::OpenTopology(const ClusterId& cluster) {
  TopologyKeeperOptions options;
  options.timeout = options_.operation_timeout;
  options.patience = kTopologyPatience;
  absl::StatusOr<std::unique_ptr<TopologyKeeper>> keeper =
      TopologyKeeper::Open(cluster, TopologyCopies(), options);
  if (!keeper.ok()) return keeper.status();
  keeper_ = *std::move(keeper);
  return absl::OkStatus();
}

// Logs first: what they say of the time decides what has expired in the stores.
absl::Status ClusterImpl::OpenShards() {
  const std::shared_ptr<const ClusterState> state = keeper_->Current();
  context_.keeper = keeper_.get();
  for (const ShardState& shard : state->shards) {
    hosts_.push_back(std::make_unique<ShardHost>(shard.id, &context_));
  }
  const absl::Status opened = ForEach(hosts_.size(), [&](size_t i) {
    hosts_[i]->OpenLogs(*state, state->shards[i]);
    return absl::OkStatus();
  });
  if (!opened.ok()) return opened;
  uint64_t floor_ms = 0;
  for (const std::unique_ptr<ShardHost>& host : hosts_) {
    floor_ms = std::max(floor_ms, host->highest_clock_ms());
  }
  Clock* const clock = options_.clock == nullptr ? Clock::System() : options_.clock.get();
  clock_ = std::make_unique<ExpiryClock>(clock, floor_ms);
  context_.clock = clock_.get();
  return ForEach(hosts_.size(), [&](size_t i) {
    bool can_force = false;
    const absl::Status status = hosts_[i]->Recover(&can_force);
    // A zone that is down comes back, and with a copy that is not in sync the operator may go on;
    // else damage and a disk that fails are the operator's to look at.
    const std::vector<NodeState>& nodes = state->shards[i].nodes;
    const bool zones_down = std::all_of(nodes.begin(), nodes.end(), [this](const NodeState& node) {
      return !node.in_sync || !context_.FindZone(node.zone)->status.ok();
    });
    return status.ok() || zones_down || can_force ? absl::OkStatus() : status;
  });
}

absl::Status ClusterImpl::StartEpochs() {
  const std::shared_ptr<const ClusterState> current = keeper_->Current();
  ClusterState next = *current;
  next.epoch = next.epoch.Next();
  // A replacement of a zone may have been cut short when the cluster's file named it already.
  for (ZoneState& zone : next.zones) zone = context_.FindZone(zone.name)->state;
  for (size_t i = 0; i < hosts_.size(); ++i) {
    if (hosts_[i]->status().ok()) hosts_[i]->ApplyTo(&next.shards[i]);
  }
  if (absl::Status status = keeper_->ChangeTopology(current->epoch, next); !status.ok()) {
    return status;
  }
  return ForEach(hosts_.size(), [&](size_t i) {
    return hosts_[i]->status().ok() ? hosts_[i]->Serve(next.shards[i]) : absl::OkStatus();
  });
}

// What a copy that was built anew has left: the topology names a later incarnation. What cannot be
// deleted is harmless.
void ClusterImpl::DeleteDebris() const {
  for (const std::shared_ptr<OpenZone>& zone : zones_.All()) {
    if (!zone->status.ok()) continue;
    const absl::StatusOr<std::vector<std::string>> names = zone->disk->List(zone->path);
    if (!names.ok()) continue;
    const std::set<std::string> found(names->begin(), names->end());
    for (const ShardState& shard : keeper_->Current()->shards) {
      for (const NodeState& node : shard.nodes) {
        // While it waits to be built anew, the rest of what it had may be all there is.
        if (node.zone != zone->state.name || !node.in_sync) continue;
        for (uint32_t i = 1; i < node.incarnation; ++i) {
          const std::string name = NodeDirectoryName(node.id, i);
          if (found.count(name) == 0) continue;
          zone->disk->DeleteTree(JoinPath(zone->path, name)).IgnoreError();
        }
      }
    }
  }
}

void ClusterImpl::PublishSlots() {
  const std::shared_ptr<const ClusterState> state = keeper_->Current();
  for (const std::unique_ptr<ShardHost>& host : hosts_) {
    router_.AddShard(host->id(), host->group().get(), host->status());
  }
  for (const ShardState& shard : state->shards) {
    for (const SlotRange& range : shard.slots) {
      router_.slots().Publish(range, SlotState::kServing, shard.id);
    }
  }
}

}  // namespace slotkv
