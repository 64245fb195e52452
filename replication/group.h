// The replication group of one shard: the only way by which anything enters its copies (copies.h).
//
// Callers queue, each with one write or several; the first in the queue leads a write group, the
// rest of it wait. The leader, in this order: checks the copies' health, drops writes whose guard
// no longer holds, evaluates the others in queue order (each seeing the effects of those before),
// reserves room, puts one record for each on every in-sync copy, syncs them if the policy says so,
// applies them to the primary's store, and wakes everybody.
//
// Invariants:
//   1. One write group at a time is between evaluation and application; records are logged and
//      applied in index order.
//   2. A write is acknowledged only when every in-sync copy has logged it (and synced it, with
//      kAlways) and the primary has applied it.
//   3. Once a record may have reached the log, its caller gets ok or DeadlineExceeded, nothing
//      else, and nothing is tried again.
//   4. What is left unfinished behind that point is finished before the next write (copies.h). If
//      no copy is left that could, the group takes no more writes; reads go on.
//   5. A write group holds at most kMaxWrites writes and about kMaxGroupBytes of effects, or one
//      caller's with more.
//   6. While a write group is under way, readers judge expiry by a time not later than the
//      group's: what a write found alive, no reader has found expired before the write is applied.
//   7. What a reader has found expired, no later reader finds alive: a write group announces a time
//      that it has read a moment before, so readers never go back behind one that said "expired".
//      That one's time was taken before the announcement, or bounded by it, so 6 holds all the
//      same.
//
// A copy that fails costs no write: it is dropped, or another becomes the primary, while the write
// group waits. Nor does a primary whose store turns out to be damaged when a write is evaluated, or
// a key read: nothing has been logged then, and another copy is asked.
//
// Thread-safe. Lock order: the group's mutex before a log's; no lock is held across I/O.
#ifndef SLOTKV_REPLICATION_GROUP_H_
#define SLOTKV_REPLICATION_GROUP_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/expiry_clock.h"
#include "engine/node.h"
#include "engine/record.h"
#include "replication/copies.h"
#include "replication/mutation.h"

namespace slotkv {

// When the log is synced (Options::fsync).
enum class SyncPolicy { kAlways, kEverySecond, kNever };

struct GroupOptions {
  SyncPolicy sync = SyncPolicy::kEverySecond;
  // Bounds each wait of a write: for other writers, for room in the log, for the store.
  absl::Duration operation_timeout = absl::Seconds(10);
};

class Group {
 public:
  static constexpr size_t kMaxWrites = 256;
  static constexpr size_t kMaxGroupBytes = size_t{1} << 20;

  // `clock` must outlive the group.
  Group(std::unique_ptr<Copies> copies, ExpiryClock* clock, const GroupOptions& options);
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // Begins a shard epoch, above every earlier one: logs its first record. Before any Write.
  absl::Status StartEpoch(ShardEpoch epoch);

  // Ok: logged and applied. Aborted: the guard did not hold, nothing was done. Otherwise the
  // mutation's own error or one of Cluster's codes.
  absl::Status Write(Mutation* mutation, Guard guard);
  // The same for several writes, in their order; each is on its own, and its outcome is left in its
  // status. Bring at most kMaxWrites, and about kMaxGroupBytes, at a time.
  void WriteMany(absl::Span<GroupWrite> writes);

  // The time by which a reader is to judge expiry (invariants 6 and 7).
  uint64_t ReadTimeMs() const {
    const uint64_t now_ms = clock_->NowMs();
    const uint64_t bound_ms = group_time_ms_.load(std::memory_order_seq_cst);
    return std::max(std::min(now_ms, bound_ms), expired_seen_ms_.load(std::memory_order_seq_cst));
  }
  // A reader has found something expired by this ReadTimeMs, and is about to say so.
  void NoteExpired(uint64_t read_time_ms) {
    uint64_t seen_ms = expired_seen_ms_.load(std::memory_order_relaxed);
    while (seen_ms < read_time_ms && !expired_seen_ms_.compare_exchange_weak(
                                         seen_ms, read_time_ms, std::memory_order_seq_cst)) {
    }
    clock_->NoteObserved(read_time_ms);
  }

  // The primary, for one reading. What was read is sound if StillServes says so afterwards.
  struct ReadPoint {
    const Node* node = nullptr;
    uint64_t term = 0;

    const Store& store() const { return node->store(); }
  };
  ReadPoint BeginRead() const {
    const uint64_t term = copies_->term();  // before the store
    return {copies_->primary(), term};
  }
  bool StillServes(const ReadPoint& point) const { return copies_->term() == point.term; }
  // What was read ended with `damage`, DataLoss. Ok: another copy serves now, read there. Otherwise
  // what the caller is to be told: the damage if no other copy may take over; Unavailable if it
  // could not within the operation timeout.
  absl::Status ReadElsewhere(const ReadPoint& point, const absl::Status& damage)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Whether a copy has failed that could be replaced; replaces it. For when nobody writes.
  bool NeedsCare() { return copies_->NeedsCare(); }
  void TakeCare();
  // See Copies::Promote. Writers wait meanwhile.
  absl::Status Promote(std::optional<NodeId> id);

  // See Copies::End. Ok: what was under way has ended, too. Unavailable as RunAsLeader.
  absl::Status End(const absl::Status& why);

  // Runs `task`, which may use the leader's part of copies(), while no write is under way. It must
  // be brief. Unavailable if its turn has not come within the operation timeout.
  absl::Status RunAsLeader(absl::FunctionRef<absl::Status()> task) ABSL_LOCKS_EXCLUDED(mu_);

  // Makes all that was acknowledged durable. For the once-a-second rhythm and for closing.
  absl::Status Sync();

  // Why the last writes failed and the next would, as far as is known; ok: it would not.
  absl::Status WriteError() const;

  // The primary.
  Node* node() const { return copies_->primary(); }
  // For what anybody may call.
  Copies* copies() const { return copies_.get(); }

 private:
  class View;
  struct Writer;
  using Writers = std::vector<Writer*>;

  void CollectGroup() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void RunGroup();
  absl::Status PrepareAndEvaluate(size_t* bytes);
  void FailFrom(const absl::Status& status);
  void TrimPayloads();
  bool BecomeLeader(Writer* writer) ABSL_LOCKS_EXCLUDED(mu_);
  void EndLeading(Writer* writer) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Prepare();
  size_t EvaluateGroup(bool* met_damage);
  size_t Evaluate(GroupWrite* write, View* view, std::string* payload);
  void ReturnToQueue(size_t first) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status LogAndApply(size_t bytes);
  void LeaveQueue(Writer* writer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::unique_ptr<Copies> copies_;
  ExpiryClock* const clock_;
  const GroupOptions options_;

  absl::Mutex mu_;
  // In order of arrival; the front one leads, or will. No longer than there are calling threads.
  std::deque<Writer*> queue_ ABSL_GUARDED_BY(mu_);
  // A write group is under way; otherwise the queue's front may start one.
  bool leading_ ABSL_GUARDED_BY(mu_) = false;

  // Not later than the time of the write group under way; the maximum if there is none.
  std::atomic<uint64_t> group_time_ms_{std::numeric_limits<uint64_t>::max()};
  // The latest time by which a reader found something expired.
  std::atomic<uint64_t> expired_seen_ms_{0};

  // The last write group found no room in the log.
  std::atomic<bool> log_full_{false};

  // The leader's own, reused from group to group. Guarded by leading_.
  Writers group_;
  std::vector<GroupWrite*> writes_;    // of group_, one after the other
  std::vector<std::string> payloads_;  // of writes_; those behind keep some memory
  std::vector<Record> records_;
};

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_GROUP_H_
