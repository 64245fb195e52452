#include "shard/maintenance.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "engine/flusher.h"

namespace slotkv {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);
constexpr int kTicksPerSecond = 10;
constexpr uint64_t kSyncAfterMs = 500;

}  // namespace

Maintenance::Maintenance(std::vector<ShardHost*> hosts, const HostContext* context,
                         size_t memtable_budget_bytes, std::function<void()> look)
    : hosts_(std::move(hosts)),
      context_(context),
      memtable_budget_bytes_(memtable_budget_bytes),
      look_(std::move(look)),
      thread_([this] { Run(); }) {}

Maintenance::~Maintenance() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
  absl::MutexLock lock(&mu_);
  const auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return busy_.empty(); };
  mu_.Await(absl::Condition(&idle));
}

void Maintenance::Run() {
  for (int tick = 0;; ++tick) {
    {
      absl::MutexLock lock(&mu_);
      mu_.AwaitWithTimeout(absl::Condition(&stopping_), kTick);
      if (stopping_) return;
    }
    Tick(tick % kTicksPerSecond == 0);
    look_();
  }
}

void Maintenance::Tick(bool full_second) {
  const uint64_t observed_ms = context_->clock->observed_ms();
  const bool note_expiry = observed_ms > noted_expiry_ms_;
  noted_expiry_ms_ = observed_ms;
  if (context_->zones->HasUnused()) {
    Start({context_->zones, kCloseZones}, &caretakers_,
          [this] { context_->zones->DestroyUnused(); });
  }
  // All that is in sync, for the flusher.
  std::vector<Node*> nodes;
  std::vector<Copies::CopyInfo> all;
  for (ShardHost* const host : hosts_) {
    if (host->WantsReclaim()) Start({host, kReclaim}, &reclaimer_, [host] { host->Reclaim(); });
    for (const NodeState& node : host->ToRejoin()) {
      const std::shared_ptr<OpenZone> zone = context_->FindZone(node.zone);
      Start({host, kRejoin, zone.get()}, &zone->rebuilders,
            [this, host, zone, node] { host->Rejoin(node, [this] { return GoOn(); }); });
    }
    const std::shared_ptr<Group> group = host->group();
    if (group == nullptr) continue;
    std::vector<NodeId> slow;
    for (Copies::CopyInfo& copy : group->copies()->InSync()) {
      const std::shared_ptr<LocalReplica> local = copy.local;
      if (local == nullptr) continue;
      local->applier()->Start();
      if (local->node()->UnsyncedForMs() >= kSyncAfterMs) {
        Start({local.get(), kSync}, local->syncers(), [group, local, id = copy.id] {
          const absl::Status status = local->node()->Sync();
          if (!status.ok()) group->copies()->NoteFailure(id, status);
        });
      }
      if (BusyFor({local.get(), kSync}) >= context_->options->node_timeout) {
        slow.push_back(copy.id);
      }
      if (note_expiry) {
        Start({local.get(), kNoteExpiry}, local->workers(),
              [local] { local->node()->NoteExpiry().IgnoreError(); });
      }
      if (full_second) {
        Start({local.get(), kTruncate}, local->workers(), [group, local] {
          local->node()->Maintain(group->copies()->PersistedEverywhere()).IgnoreError();
        });
      }
      nodes.push_back(local->node());
      all.push_back(std::move(copy));
    }
    group->copies()->NoteSlow(slow);
    if (group->NeedsCare()) Start({host, kCare}, &caretakers_, [group] { group->TakeCare(); });
  }
  Node* const victim = PickNodeToFlush(nodes, memtable_budget_bytes_);
  if (victim == nullptr) return;
  const auto it = std::find_if(all.begin(), all.end(), [victim](const Copies::CopyInfo& copy) {
    return copy.local->node() == victim;
  });
  // A flush takes long: at most one worker of a zone is to wait for one.
  const bool zone_is_flushing =
      std::any_of(all.begin(), all.end(), [&](const Copies::CopyInfo& copy) {
        return copy.zone == it->zone && BusyFor({copy.local.get(), kFlush}) != absl::ZeroDuration();
      });
  if (zone_is_flushing) return;
  // Waited for, so that the same store is not picked again for the same memory.
  Start({it->local.get(), kFlush}, it->local->workers(),
        [local = it->local] { local->node()->Flush(/*wait=*/true).IgnoreError(); });
}

absl::Duration Maintenance::BusyFor(JobKey key) {
  absl::MutexLock lock(&mu_);
  const auto it = busy_.find(key);
  if (it == busy_.end()) return absl::ZeroDuration();
  return std::max(absl::Now() - it->second, absl::Nanoseconds(1));
}

absl::Status Maintenance::GoOn() {
  absl::MutexLock lock(&mu_);
  return stopping_ ? absl::CancelledError("the cluster is being closed") : absl::OkStatus();
}

void Maintenance::Start(JobKey key, WorkerPool* pool, std::function<void()> run) {
  {
    absl::MutexLock lock(&mu_);
    if (!busy_.emplace(key, absl::Now()).second) return;
  }
  // What `run` keeps is let go before the job is over.
  auto job = std::make_shared<std::function<void()>>(std::move(run));
  pool->Schedule([this, key, job] {
    (*job)();
    *job = nullptr;
    absl::MutexLock lock(&mu_);
    busy_.erase(key);
  });
}

}  // namespace slotkv
