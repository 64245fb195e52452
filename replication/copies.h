// The copies of one shard: what puts a record on all of them that are in sync, or else makes those
// that do not have it be out of sync, durably, before anybody is told that it is written.
//
//   Commit:  ship to every in-sync copy ──▶ wait for them ──▶ all have it ─────────────▶ apply
//                                                └─ some failed ──▶ drop them, durably ──┘
//                                                   (the primary among them: promote another)
//
// Any of these steps may have to be left unfinished, because a disk or the topology does not answer
// in time: it is kept, and whoever leads next finishes it before anything else (Prepare).
//
// Invariants:
//   1. The in-sync set holds the primary and is never empty. It changes, and the primary does, only
//      after the membership keeper says that this is durable.
//   2. A record is applied, by any copy, only when every in-sync copy has it.
//   3. A copy that was dropped is never appended to again.
//   4. A new primary has a higher epoch, durable before its first record, and has applied all that
//      was committed before anybody reads from it.
//   5. Only an in-sync copy, which has every committed record, becomes the primary.
//   6. A copy that has failed stays so. The last one in sync never fails for being slow, nor for a
//      disk that is full; the last one that is sound makes none fail for damage of its files.
//   7. A copy that joins is shipped every record from a moment on at which it had all before, and
//      is synced that far before it is in sync.
//   8. After End nothing is committed, and the membership keeper is asked for nothing.
//   9. What a copy has that was found damaged is never used again once it has left: the membership
//      says so in the same change.
//
// Thread safety: the functions in the first part belong to one thread at a time (the group's
// leader), those in the second to any.
#ifndef SLOTKV_REPLICATION_COPIES_H_
#define SLOTKV_REPLICATION_COPIES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/expiry_clock.h"
#include "engine/ids.h"
#include "engine/node.h"
#include "engine/record.h"
#include "replication/local_replica.h"
#include "replication/membership.h"
#include "replication/record_tap.h"
#include "replication/replica_link.h"
#include "replication/round.h"

namespace slotkv {

struct CopiesOptions {
  // How long a copy may take for one step before it is given up, if there is another.
  absl::Duration node_timeout = absl::Seconds(2);
  // How long one step may take before whoever waits for it is told so.
  absl::Duration operation_timeout = absl::Seconds(10);
  // For EnoughInSync and WriteError.
  size_t min_in_sync_replicas = 0;
  // Off: a primary that fails stays the primary until somebody calls Promote.
  bool auto_failover = true;
};

// One copy of a shard.
struct Copy {
  NodeId id;
  uint32_t incarnation = 1;
  std::string zone;
  uint64_t disk = 0;  // see InSyncCopy
  std::shared_ptr<ReplicaLink> link;
  // What `link` is if the copy is in this process: only such can be the primary. Null otherwise.
  std::shared_ptr<LocalReplica> local;
};

class Copies {
 public:
  // `copies`: the primary, which is local, and those that have every record it has, in their logs
  // and stores. `keeper` may be null if there is one copy only; it and `clock` must outlive this.
  Copies(std::vector<Copy> copies, MembershipKeeper* keeper, const ExpiryClock* clock,
         const CopiesOptions& options);
  ~Copies();
  Copies(const Copies&) = delete;
  Copies& operator=(const Copies&) = delete;

  // ---- The leader's ----

  // Begins an epoch, above every earlier one and durable already: logs its first record.
  absl::Status StartEpoch(ShardEpoch epoch);

  // Finishes what can be finished without waiting for copies, and replaces those that have failed.
  void TakeCare();
  // Finishes what was left unfinished, replaces copies that have failed, waits for slow ones. Ok:
  // records can be committed. Otherwise certainly nothing was written.
  absl::Status Prepare();
  // Unavailable: fewer replicas are in sync than min_in_sync_replicas.
  absl::Status EnoughInSync() const;
  // Room on every in-sync copy for records of so many bytes (EncodedRecordSize each). Otherwise
  // certainly nothing was written.
  absl::Status Reserve(size_t bytes);
  // Gives records that Reserve has made room for their places behind last(), puts them on every
  // in-sync copy, durably if `sync`, and applies them to the primary's store. If it fails, nobody
  // knows: they will all be there, or, if no copy is left, perhaps not.
  absl::Status Commit(absl::Span<Record> records, bool sync);
  // Makes an in-sync copy the primary; nullopt: any but the present one, or, if auto_failover is
  // off, instead of one that has failed.
  absl::Status Promote(std::optional<NodeId> id);

  // For good: what is asked for from here on is refused. Another may go on with other copies.
  void End(const absl::Status& why);

  // From here on it is given what is committed.
  void AddTap(std::shared_ptr<RecordTap> tap) { taps_.push_back(std::move(tap)); }
  void RemoveTap(const RecordTap* tap);
  // From here on the copy, which is local and has exactly what the primary has, is shipped every
  // record; it is not in sync, and dropped without a word if it fails.
  absl::Status AddLearner(Copy copy);
  // Syncs the log of a learner, which should be synced but for the last records, and makes it one
  // of the in-sync copies.
  absl::Status Join(NodeId id);
  void RemoveLearner(NodeId id);

  const LogPosition& last() const { return last_; }
  ShardEpoch epoch() const { return epoch_; }
  // How long the oldest record that is not durable everywhere has been so, in real time.
  uint64_t UnsyncedForMs() const;

  // ---- Anybody's ----

  // Where reads go. It outlives its time as the primary until TakeDropped hands it out.
  Node* primary() const { return primary_.load(std::memory_order_acquire); }
  // Grows after the primary has changed and before the new one takes a write: what was read of a
  // primary is sound if this is afterwards what it was before.
  uint64_t term() const { return term_.load(std::memory_order_acquire); }
  // The last record that every in-sync copy has.
  LogIndex committed() const { return LogIndex(committed_.load(std::memory_order_acquire)); }

  // Makes everything appended durable on every in-sync copy, and waits for it. What fails is
  // dropped by the next Prepare, if there are others. Unavailable if no copy did it in time.
  absl::Status Sync() ABSL_LOCKS_EXCLUDED(mu_);

  struct CopyInfo {
    NodeId id;
    uint32_t incarnation = 1;
    std::string zone;
    std::shared_ptr<LocalReplica> local;
    ReplicaProgress progress;
    absl::Status failure;
  };
  // The in-sync copies, the primary first.
  std::vector<CopyInfo> InSync() const ABSL_LOCKS_EXCLUDED(mu_);

  // Something has failed on the copy: if it is in sync, the next Prepare drops it, if there are
  // others.
  void NoteFailure(NodeId id, const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  // These copies, and no others, have an operation under way that takes longer than node_timeout: a
  // failure, unless no copy would be left that has neither failed nor is as slow.
  void NoteSlow(absl::Span<const NodeId> slow) ABSL_LOCKS_EXCLUDED(mu_);
  // Whatever was found damaged has failed, if a sound copy is left. True: the copy of this node has
  // failed, or has left already, and another that has not is to serve.
  bool FailDamaged(const Node* node) ABSL_LOCKS_EXCLUDED(mu_);
  // Whether a primary that fails is replaced without somebody's Promote.
  bool auto_failover() const { return options_.auto_failover; }
  // Looks at the stores of the copies, too. True: Prepare can do something about it.
  bool NeedsCare() ABSL_LOCKS_EXCLUDED(mu_);
  // Why no write is taken; ok: as far as is known one would be.
  absl::Status WriteError() const ABSL_LOCKS_EXCLUDED(mu_);
  // The last record that every in-sync copy's store has durably: logs keep those behind it, so that
  // the copies can be made equal from any of them.
  LogIndex PersistedEverywhere() const ABSL_LOCKS_EXCLUDED(mu_);

  struct Dropped {
    Copy copy;
    absl::Status why;
  };
  // Copies that were dropped, once: no record will be appended to them and no new read begin there;
  // reads that began before may still run.
  std::vector<Dropped> TakeDropped() ABSL_LOCKS_EXCLUDED(mu_);
  bool HasDropped() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Member {
    Copy copy;
    // The leader's own: since when it has kept writers from going on.
    absl::Time unready_since = absl::InfiniteFuture();
    absl::Time no_room_since = absl::InfiniteFuture();  // the same for room in its log
    absl::Status failure;                               // guarded by mu_; set once
  };
  using Members = std::vector<std::shared_ptr<Member>>;

  // Records that were shipped and are not committed.
  struct Unfinished {
    std::vector<std::string> payloads;
    std::vector<Record> records;
  };

  absl::Status Settle();
  absl::Status FinishShipped();
  absl::Status LogEpochStart();
  void FailPrimary(const absl::Status& why);
  absl::Status TooFewInSync(size_t copies) const;
  static absl::Status Refusal(const absl::Status& why);

  // copies_commit.cc
  absl::Status AwaitReady();
  absl::Status Readiness(const Member& member) const;
  bool Ship(absl::Span<const Record> records, bool sync);
  void ShipToLearners(absl::Span<const Record> records);
  bool AwaitAnswers();
  absl::Status Conclude(absl::Span<const Record> records);
  absl::Status ApplyOnPrimary(absl::Span<const Record> records);
  void Keep(absl::Span<const Record> records);

  // copies_membership.cc
  bool IsPrimary(const Member& member) const;
  bool PrimaryChanged() const { return !IsPrimary(*in_sync_.front()); }
  void Fail(Member* member, const absl::Status& why) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status DropFailed(bool may_fail_over) ABSL_LOCKS_EXCLUDED(mu_);
  static Members Without(const Members& members, const Members& others);
  absl::Status ChangeMembership(Members next) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status TakeOver();

  // copies_health.cc
  static absl::Status DamageOf(const Copy& copy);
  Members Published() const ABSL_LOCKS_EXCLUDED(mu_);
  bool AllFailedLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  void FailDamagedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  MembershipKeeper* const keeper_;
  const ExpiryClock* const clock_;
  const CopiesOptions options_;

  // The leader's own. The in-sync copies, the primary first.
  Members in_sync_;
  Members learners_;
  std::vector<std::shared_ptr<RecordTap>> taps_;
  ShardEpoch epoch_;        // given out, durably
  ShardEpoch asked_epoch_;  // the highest that may have been given out
  LogPosition last_;
  std::optional<Unfinished> unfinished_;
  // Of what is being shipped, while not everybody has answered.
  std::unique_ptr<Round, RoundUnref> round_;
  // The keeper has been asked to make this the in-sync set, and may have done so.
  std::optional<Members> asked_;
  absl::Status ended_;  // not ok: End was called

  // Read by every reader, written by the leader now and then.
  alignas(64) std::atomic<Node*> primary_{nullptr};
  std::atomic<uint64_t> term_{0};

  alignas(64) std::atomic<uint64_t> committed_{0};
  std::atomic<bool> needs_care_{false};  // something is to be settled

  mutable absl::Mutex mu_;
  Members published_ ABSL_GUARDED_BY(mu_);  // in_sync_, for others
  Members dropped_ ABSL_GUARDED_BY(mu_);
};

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_COPIES_H_
