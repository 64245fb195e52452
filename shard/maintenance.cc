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
                         size_t memtable_budget_bytes, std::function<void()> look)
    : members_(std::move(members)),
      clock_(clock),
      memtable_budget_bytes_(memtable_budget_bytes),
      look_(std::move(look)),
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
    look_();
  }
}

void Maintenance::Tick(bool full_second) {
  const uint64_t observed_ms = clock_->observed_ms();
  const bool note_expiry = observed_ms > noted_expiry_ms_;
  noted_expiry_ms_ = observed_ms;
  std::vector<Node*> nodes;
  for (size_t i = 0; i < members_.size(); ++i) {
    Group* const group = members_[i].group;
    Node* const node = group->node();
    nodes.push_back(node);
    // The group, or the log, remembers a failure of these.
    if (node->UnsyncedForMs() >= kSyncAfterMs) {
      Start(i, kSync, [group] { group->Sync().IgnoreError(); });
    }
    if (note_expiry) Start(i, kNoteExpiry, [node] { node->NoteExpiry().IgnoreError(); });
    if (full_second) Start(i, kTruncate, [node] { node->Maintain().IgnoreError(); });
  }
  Node* const victim = PickNodeToFlush(nodes, memtable_budget_bytes_);
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i] != victim || ZoneIsFlushing(members_[i].workers)) continue;
    // Waited for, so that the same store is not picked again for the same memory.
    Start(i, kFlush, [victim] { victim->Flush(/*wait=*/true).IgnoreError(); });
  }
}

bool Maintenance::ZoneIsFlushing(const WorkerPool* workers) {
  absl::MutexLock lock(&mu_);
  for (size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].workers == workers && busy_[i][kFlush]) return true;
  }
  return false;
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
