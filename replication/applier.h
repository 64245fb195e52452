// Brings a replica's store up to its log behind the back of the writers.
//
//   leader: Add, Commit ──▶ [ payloads, committed | not yet ] ──▶ a worker: sorted batches ──▶
//   store
//
// Effects wait in memory, so that the log is not read again; whoever adds waits while more than
// kMaxLagBytes do. What a crash leaves unapplied is in the log.
//
// Thread safety: Add, Commit and AwaitRoom belong to one thread at a time (the group's leader),
// every other member to any thread.
#ifndef SLOTKV_REPLICATION_APPLIER_H_
#define SLOTKV_REPLICATION_APPLIER_H_

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/node.h"
#include "engine/record.h"
#include "engine/worker_pool.h"

namespace slotkv {

class Applier {
 public:
  // Bounds what a promotion has to catch up on.
  static constexpr size_t kMaxLagBytes = size_t{512} << 10;

  // Both must outlive it. The node's store has all that its log has.
  Applier(Node* node, WorkerPool* workers);
  // Waits for the job under way.
  ~Applier();
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;

  // Records that the node's log has just been given, the next ones. Their payloads are copied.
  void Add(absl::Span<const Record> records) ABSL_LOCKS_EXCLUDED(mu_);
  // Those up to `index` may be applied.
  void Commit(LogIndex index) ABSL_LOCKS_EXCLUDED(mu_);
  // Whether more may be added. Unavailable: kMaxLagBytes or more wait; ResourceExhausted: the disk
  // is full, what was to be applied is kept and tried again; else why the store cannot be written.
  absl::Status Room() const ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for Room, but neither for a disk that is full nor for a store that has failed.
  absl::Status AwaitRoom(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mu_);

  // Begins to apply what is committed, be it ever so little.
  void Start() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until all that is committed is applied. Unavailable: not within the timeout.
  absl::Status Drain(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mu_);

  size_t lag_bytes() const { return lag_bytes_.load(std::memory_order_relaxed); }
  // Why the store could not be written; nothing has been applied since. Only a full disk passes.
  absl::Status status() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Waiting {
    LogIndex index;
    RecordKind kind = RecordKind::kWrite;
    size_t end = 0;  // of its payload in payloads
  };
  // Consecutive records.
  struct Buffer {
    std::string payloads;
    std::vector<Waiting> records;
  };

  void StartLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ScheduleLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status RoomLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  LogIndex committed() const { return LogIndex(committed_.load(std::memory_order_acquire)); }
  bool HasCommitted() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  void TakeCommitted() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // One batch; the next is another job's, so that a zone's copies take turns.
  void RunJob() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status ApplyTaken();

  Node* const node_;
  WorkerPool* const workers_;
  std::atomic<size_t> lag_bytes_{0};
  std::atomic<uint64_t> committed_;  // an index

  mutable absl::Mutex mu_;
  Buffer waiting_ ABSL_GUARDED_BY(mu_);
  // A job is queued or running.
  bool applying_ ABSL_GUARDED_BY(mu_) = false;
  // Of the last job.
  absl::Status status_ ABSL_GUARDED_BY(mu_);

  // The job's own. What it has taken and not applied yet.
  Buffer taken_;
  std::vector<Record> records_;
};

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_APPLIER_H_
