#include "shard/cluster_impl.h"

#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "engine/text.h"
#include "replication/compare.h"

namespace slotkv {
namespace {

void AddNode(const Node& node, NodeStats* stats) {
  stats->last = node.log().last().index;
  stats->synced = node.log().synced();
  stats->applied = node.applied();
  stats->replayed = node.replayed();
  stats->log_bytes = node.log().sealed_bytes();
  stats->log_segments = node.log().segment_count();
  stats->table_bytes = node.store().table_bytes();
  stats->memtable_bytes = node.store().memtable_bytes();
}

// What cannot be told is left out.
void AddSlotBytes(const Store& store, const ShardInfo& shard, std::vector<SlotStats>* slots) {
  for (const SlotRange& range : shard.slots) {
    std::vector<uint64_t> bytes(static_cast<size_t>(range.last - range.first) + 1);
    if (!store.ApproximateSlotBytes(range.first, absl::MakeSpan(bytes)).ok()) continue;
    for (size_t i = 0; i < bytes.size(); ++i) (*slots)[range.first + i].bytes = bytes[i];
  }
}

// What is to be told of two: damage before all else, then what was first.
absl::Status Worse(const absl::Status& first, const absl::Status& second) {
  return first.ok() || (absl::IsDataLoss(second) && !absl::IsDataLoss(first)) ? second : first;
}

}  // namespace

ClusterImpl::~ClusterImpl() { Close().IgnoreError(); }

absl::Status ClusterImpl::Close() {
  // A second call returns when the first is done.
  absl::MutexLock lock(&close_mu_);
  if (!gate_.Close()) return absl::OkStatus();
  zone_gate_.Close();
  const bool was_open = maintenance_ != nullptr;
  maintenance_.reset();
  health_.reset();
  absl::Status status;
  for (const std::unique_ptr<ShardHost>& host : hosts_) {
    const std::shared_ptr<Group> group = host->group();
    if (group == nullptr) continue;
    // What callers were told of expiry since housekeeping last noted it must hold at the next Open.
    // One copy is enough, as for the records themselves.
    absl::Status noted = absl::UnavailableError("no copy");
    for (const Copies::CopyInfo& copy : group->copies()->InSync()) {
      const absl::Status one = copy.local->node()->NoteExpiry();
      if (!noted.ok()) noted = one;
    }
    status.Update(noted);
    status.Update(group->Sync());
    // A copy that could not be synced is not to be taken for one that was.
    if (group->NeedsCare()) group->TakeCare();
    if (group->NeedsCare()) status.Update(group->WriteError());
  }
  events_.reset();
  hosts_.clear();
  keeper_.reset();
  zones_.Clear();
  resources_.reset();
  lock_.reset();
  // An Open that failed has said so to its caller.
  if (was_open) {
    Log(status.ok() ? LogLevel::kInfo : LogLevel::kError,
        absl::StrCat("closed", status.ok() ? "" : ": ", status.message()));
  }
  return status;
}

void ClusterImpl::Log(LogLevel level, std::string_view text) const {
  if (options_.logger != nullptr) {
    options_.logger->Log(level, absl::StrCat(path_, ": ", ToAbsl(text)));
  }
}

Topology ClusterImpl::GetTopology() const {
  absl::flat_hash_set<uint32_t> up;
  for (const std::unique_ptr<ShardHost>& host : hosts_) {
    for (const NodeId node : host->Up()) up.insert(node.value());
  }
  return keeper_->Current()->ToTopology([&](NodeId node) { return up.contains(node.value()); });
}

ClusterStats ClusterImpl::GetStats(const StatsOptions& options) {
  ClusterStats stats;
  const Topology topology = GetTopology();
  stats.epoch = topology.epoch();
  std::vector<TopologyCopyHealth> copies = keeper_->Copies();
  stats.slots.resize(kSlotCount);
  for (const ShardInfo& info : topology.shards()) {
    ShardStats& shard = stats.shards.emplace_back();
    shard.id = info.id;
    shard.slots = info.SlotCount();
    router_.AddTo(&shard);
    for (const NodeInfo& node : info.nodes) shard.nodes.emplace_back().info = node;
    for (const SlotRange& range : info.slots) {
      for (int slot = range.first; slot <= range.last; ++slot) {
        stats.slots[slot].shard = info.id;
        router_.AddTo(static_cast<Slot>(slot), &stats.slots[slot]);
      }
    }
    const ShardHost* const host = FindHost(info.id);
    for (NodeStats& node : shard.nodes) {
      if (!node.info.in_sync) host->AddTo(&node);
    }
    const std::shared_ptr<Group> group = host->group();
    shard.repairs = host->repairs();
    if (group == nullptr) {
      shard.write_status = host->status();
      continue;
    }
    shard.write_status = group->WriteError();
    const Store& store = group->node()->store();
    shard.estimated_keys = store.estimated_keys();
    for (const Copies::CopyInfo& copy : group->copies()->InSync()) {
      for (NodeStats& node : shard.nodes) {
        if (node.info.id != copy.id) continue;
        AddNode(*copy.local->node(), &node);
        node.lag_bytes = copy.progress.lag_bytes;
        node.failure = copy.failure;
      }
    }
    if (options.slot_bytes) AddSlotBytes(store, info, &stats.slots);
  }
  for (const std::shared_ptr<OpenZone>& zone : zones_.All()) {
    ZoneStats& of_zone = stats.zones.emplace_back();
    of_zone.name = zone->state.name;
    of_zone.path = zone->path;
    of_zone.status = zone->status;
    for (TopologyCopyHealth& copy : copies) {
      if (copy.name == of_zone.name) of_zone.topology = std::move(copy.status);
    }
  }
  stats.loads = loads_.loads();
  stats.load_waits = loads_.waits();
  stats.loads_not_stored = loads_.not_stored();
  stats.memory_bytes = options_.memory_bytes;
  stats.memory_bytes_used = resources_->memory_bytes_used();
  return stats;
}

absl::Status ClusterImpl::Verify() {
  const std::shared_ptr<const ClusterState> state = keeper_->Current();
  if (absl::Status status = Validate(*state); !status.ok()) {
    return absl::DataLossError(absl::StrCat("topology: ", status.message()));
  }
  // All of it: each copy that is found damaged is repaired.
  absl::Status found;
  for (const ShardState& shard : state->shards) found = Worse(found, VerifyShard(shard));
  return found;
}

absl::Status ClusterImpl::VerifyShard(const ShardState& shard) {
  for (const SlotRange& range : shard.slots) {
    for (int slot = range.first; slot <= range.last; ++slot) {
      if (router_.slots().Load(static_cast<Slot>(slot)).shard() == shard.id) continue;
      return absl::DataLossError(absl::StrCat("slot ", slot, " is ", shard.id.ToString(),
                                              "'s by the topology, not by the slot table"));
    }
  }
  const ShardHost* const host = FindHost(shard.id);
  const std::shared_ptr<Group> group = host->group();
  if (group == nullptr) {
    return absl::UnavailableError(
        absl::StrCat(shard.id.ToString(), " is not served: ", host->status().message()));
  }
  const auto check = [&](uint16_t slot, std::string_view key) {
    if (SlotForKey(key) != slot) {
      return absl::DataLossError(
          absl::StrCat("a key of slot ", SlotForKey(key), " is kept in slot ", slot));
    }
    if (router_.slots().Load(slot).shard() == shard.id) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("holds a key of slot ", slot, ", which ",
                                            shard.id.ToString(), " does not own"));
  };
  absl::Status found;
  for (const Copies::CopyInfo& copy : group->copies()->InSync()) {
    const absl::Status status = copy.local->node()->Verify(check);
    if (!status.ok()) {
      Log(LogLevel::kError,
          absl::StrCat(shard.id.ToString(), ": ", copy.id.ToString(), ": ", status.message()));
    }
    found = Worse(found, status);
  }
  // Damaged copies go, if a sound one is left; those that remain are compared. Of two that differ
  // nobody knows which is right: both stay.
  if (group->NeedsCare()) group->TakeCare();
  return Worse(found, CompareCopies(group.get(), *clock_));
}

absl::Status ClusterImpl::Flush() {
  absl::Status status;
  for (const std::unique_ptr<ShardHost>& host : hosts_) {
    const std::shared_ptr<Group> group = host->group();
    if (group == nullptr) continue;
    for (const Copies::CopyInfo& copy : group->copies()->InSync()) {
      status.Update(copy.local->node()->Flush(/*wait=*/true));
    }
  }
  return status;
}

}  // namespace slotkv
