// Keeps the topology durable on a majority of copies, so that losing any minority of them loses no
// change that was acknowledged, and makes every change of it.
//
//   opening ──────────────▶ open ◀──────────────▶ changing ──(no majority)──▶ unresolved
//   read, promise,           Current()            one record,                 only this same
//   choose, rewrite          ChangeTopology()     same bytes everywhere       record is retried
//
// A keeper assumes that it is the only one: the caller holds the cluster's and the zones' LOCKs.
#ifndef SLOTKV_SHARD_TOPOLOGY_KEEPER_H_
#define SLOTKV_SHARD_TOPOLOGY_KEEPER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/disk.h"
#include "engine/worker_pool.h"
#include "shard/cluster_id.h"
#include "shard/cluster_state.h"
#include "shard/topology_journal.h"
#include "slotkv/ids.h"

namespace slotkv {

// Where one copy is. Every copy of the cluster is listed, those out of reach included: they count
// when a majority is counted.
struct TopologyCopy {
  std::string name;       // "zone-a", for errors
  std::string directory;  // an existing directory that is known to be this cluster's
  // Outlives the keeper. Ignored if not reachable.
  const Disk* disk = nullptr;
  // Not ok: why the copy is out of reach. It is then left alone.
  absl::Status reachable = absl::OkStatus();
  // Kept for as long as the disk may be used, which can be longer than the copy is one.
  std::shared_ptr<const void> owner = nullptr;
};

// How one copy is doing: ok if it durably holds the current topology.
struct TopologyCopyHealth {
  std::string name;
  absl::Status status;
};

struct TopologyKeeperOptions {
  // How long one call waits for copies that do not answer.
  absl::Duration timeout = absl::Seconds(10);
  // How long a call that has its majority still waits for the other copies.
  absl::Duration patience = absl::Seconds(1);
  // How often a record is written to copies that fail before its call gives up; at least 1. The
  // pauses between grow from 10 ms, doubling.
  int attempts = 6;
};

// Thread-safe.
class TopologyKeeper {
 public:
  // For a new cluster. All copies must be reachable, and blank or left behind by a creation of this
  // cluster that was cut short (AlreadyExists otherwise); all hold `initial`, of epoch 1, on ok.
  static absl::StatusOr<std::unique_ptr<TopologyKeeper>> Create(
      const ClusterState& initial, const std::vector<TopologyCopy>& copies,
      const TopologyKeeperOptions& options = {});

  // Finds the last acknowledged topology (or, if a change was cut short, that change) and makes it
  // durable anew. Without a majority: DataLoss if the copies that are damaged or gone are too many,
  // else Unavailable; the text names each copy and what is wrong with it. Unimplemented if a later
  // release wrote it.
  static absl::StatusOr<std::unique_ptr<TopologyKeeper>> Open(
      const ClusterId& cluster, const std::vector<TopologyCopy>& copies,
      const TopologyKeeperOptions& options = {});

  // Waits for the disk operations that are still running.
  ~TopologyKeeper();
  TopologyKeeper(const TopologyKeeper&) = delete;
  TopologyKeeper& operator=(const TopologyKeeper&) = delete;

  // The last durable topology. No I/O. Never null.
  std::shared_ptr<const ClusterState> Current() const ABSL_LOCKS_EXCLUDED(mu_);

  // Makes `next` the current topology, durably. Nobody may act on `next` before this is ok.
  //   Aborted            the epoch is no longer `expected`: compute the change anew from Current()
  //   InvalidArgument    `next` may not follow the current topology (ValidateSuccessor)
  //   Unavailable        certainly not made: another change is running, or is unresolved
  //   DeadlineExceeded   outcome unknown: the change is unresolved. The next call first finishes
  //                      it, and then returns ok if it asks for that very change, else Aborted
  absl::Status ChangeTopology(Epoch expected, const ClusterState& next) ABSL_LOCKS_EXCLUDED(mu_);

  // From here on the copy of that name is left alone, as one that is out of reach because of `why`;
  // an operation under way there may still end. Ok: a majority holds the topology without it.
  // Otherwise nothing has changed: Unavailable if there would be no such majority.
  absl::Status Detach(std::string_view name, const absl::Status& why) ABSL_LOCKS_EXCLUDED(mu_);
  // Makes `place` the copy of its name, which is detached or was out of reach, and writes the
  // topology there, whatever it holds now. Unavailable: it could not be written; the copy is then
  // as if detached.
  absl::Status Attach(const TopologyCopy& place) ABSL_LOCKS_EXCLUDED(mu_);

  // As of the last time each copy was written; in the order given.
  std::vector<TopologyCopyHealth> Copies() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Copy {
    TopologyCopy place;
    // Both null if out of reach. The journal belongs to the job that runs on the worker.
    std::unique_ptr<TopologyJournal> journal;
    std::unique_ptr<WorkerPool> worker;
  };

  // One that was detached while it had an operation under way.
  struct LeftCopy {
    std::shared_ptr<Copy> copy;
    bool busy = true;
  };

  struct CopyState {
    // A job is queued or running.
    bool busy = false;
    // In which the last job was started.
    uint64_t round = 0;
    // Of the last job that ended.
    absl::Status status;
    // What the copy durably holds; nullopt if unknown, damaged or gone.
    std::optional<JournalHead> head;
  };

  // A change that has been given to the copies and is not on a majority yet.
  struct Pending {
    std::shared_ptr<const ClusterState> state;
    std::shared_ptr<const TopologyRecord> record;
  };

  // The one caller that may start rounds.
  class Turn;

  using Job = std::function<absl::StatusOr<JournalHead>(TopologyJournal*)>;
  using Test = absl::FunctionRef<bool(const CopyState&)>;

  TopologyKeeper(const ClusterId& cluster, const std::vector<TopologyCopy>& copies,
                 const TopologyKeeperOptions& options);

  std::shared_ptr<Copy> MakeCopy(const TopologyCopy& place) const;
  static Job WriteJob(std::shared_ptr<const TopologyRecord> record);

  // The stages of Create and Open.
  absl::Status CreateAll(const ClusterState& initial) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status CheckBlank() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Recover() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status ReadAll(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<Term> PromiseAll(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<Pending> Choose(Term term) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // ChangeTopology, with the turn held.
  absl::StatusOr<bool> Resolve(const ClusterState& next, absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Change(Epoch expected, const ClusterState& next, absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Writes the pending record until a majority has it. False if that could not be.
  bool FinishPending(size_t enough, absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Runs `job` once on each copy that `wants` it, as soon as that copy is idle. Returns when all
  // have ended; or when `enough` copies are `done` and the rest have had their time; or at the
  // deadline.
  void RunRound(const Job& job, Test wants, Test done, size_t enough, absl::Time deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StartIdle(uint64_t round, const Job& job, Test wants) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // On the copy's worker: a job has ended.
  void Finish(size_t index, const Copy* copy, absl::StatusOr<JournalHead> head)
      ABSL_LOCKS_EXCLUDED(mu_);
  void CommitIfDurable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  static bool Holds(const CopyState& state, const RecordName& name);
  size_t Count(Test test) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Health(size_t copy) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  std::optional<size_t> IndexOf(std::string_view name) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Leaves the copy alone; what is returned is to be destroyed without the lock.
  std::vector<std::shared_ptr<Copy>> Leave(size_t copy, const absl::Status& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // "1 of 3 copies are good, 2 are needed; zone-a: …; zone-b: …"
  std::string Describe(Test good) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const ClusterId cluster_;
  const TopologyKeeperOptions options_;
  const size_t majority_;

  // Held for memory accesses only, never across I/O.
  mutable absl::Mutex mu_;
  // Signalled when a job ends, a turn ends or a record is durable.
  absl::CondVar changed_;
  bool turn_taken_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t round_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<CopyState> states_ ABSL_GUARDED_BY(mu_);
  std::optional<Pending> pending_ ABSL_GUARDED_BY(mu_);
  // The change whose caller was told that its outcome is unknown; null if there is none.
  std::shared_ptr<const ClusterState> unresolved_ ABSL_GUARDED_BY(mu_);
  // What holds `current_`. Both are null before the first.
  std::shared_ptr<const TopologyRecord> current_record_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const ClusterState> current_ ABSL_GUARDED_BY(mu_);

  // Nowhere null.
  std::vector<std::shared_ptr<Copy>> copies_ ABSL_GUARDED_BY(mu_);
  std::vector<LeftCopy> left_ ABSL_GUARDED_BY(mu_);
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_TOPOLOGY_KEEPER_H_
