#include "shard/maintenance.h"

#include <utility>

#include "absl/time/time.h"
#include "engine/flusher.h"

namespace slotkv {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);
constexpr int kTicksPerSecond = 10;
constexpr uint64_t kSyncAfterMs = 500;

}  // namespace

Maintenance::Maintenance(std::vector<Member> members, const ExpiryClock* clock,
                         size_t memtable_budget_bytes)
    : members_(std::move(members)),
      clock_(clock),
      memtable_budget_bytes_(memtable_budget_bytes),
      busy_(members_.size()),
      thread_([this] { Run(); }) {}

Maintenance::~Maintenance() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
  absl::MutexLock lock(&mu_);
  const auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return jobs_ == 0; };
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
  }
}

void Maintenance::Tick(bool full_second) {
  const uint64_t now_ms = clock_->NowMs();
  std::vector<Node*> nodes;
  for (size_t i = 0; i < members_.size(); ++i) {
    Group* const group = members_[i].group;
    nodes.push_back(group->node());
    const uint64_t unsynced_ms = group->node()->log().unsynced_since_ms();
    if (unsynced_ms != 0 && now_ms >= unsynced_ms + kSyncAfterMs) {
      // The group itself remembers a failure.
      Start(i, kSync, [group] { group->Sync().IgnoreError(); });
    }
    if (full_second) {
      Start(i, kTruncate, [group] { group->Maintain().IgnoreError(); });
    }
  }
  Node* const victim = PickNodeToFlush(nodes, memtable_budget_bytes_);
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i] != victim) continue;
    // Waited for, so that the same store is not picked again for the same memory.
    Start(i, kFlush, [victim] { victim->Flush(/*wait=*/true).IgnoreError(); });
  }
}

void Maintenance::Start(size_t member, Job job, std::function<void()> run) {
  {
    absl::MutexLock lock(&mu_);
    if (busy_[member][job]) return;
    busy_[member][job] = true;
    ++jobs_;
  }
  members_[member].workers->Schedule([this, member, job, run = std::move(run)] {
    run();
    absl::MutexLock lock(&mu_);
    busy_[member][job] = false;
    --jobs_;
  });
}

}  // namespace slotkv
