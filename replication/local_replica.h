// A copy on a disk of this machine: a node, and the link to it.
#ifndef SLOTKV_REPLICATION_LOCAL_REPLICA_H_
#define SLOTKV_REPLICATION_LOCAL_REPLICA_H_

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/node.h"
#include "engine/record.h"
#include "engine/worker_pool.h"
#include "replication/applier.h"
#include "replication/replica_link.h"

namespace slotkv {

// Appends on the caller's thread. Syncs and applies on threads of the node's zone.
class LocalReplica final : public ReplicaLink {
 public:
  // `node` has recovered. `workers` apply; `syncers` only sync, so that a request for a sync waits
  // for nothing but the disk. Both must outlive this.
  // The pools are its zone's; they outlive it.
  LocalReplica(std::unique_ptr<Node> node, WorkerPool* workers, WorkerPool* syncers);
  // Waits for the jobs under way.
  ~LocalReplica() override;

  // Room in the log for records of so many bytes, which Append needs. As Log::Reserve.
  absl::Status Reserve(size_t bytes, absl::Duration timeout) {
    return node_->Reserve(bytes, timeout);
  }
  // Append without a sync, whose answer is there at once.
  absl::Status AppendNow(LogPosition previous, absl::Span<const Record> records);

  void Append(LogPosition previous, absl::Span<const Record> records, bool sync,
              Done done) override;
  void Sync(Done done) override ABSL_LOCKS_EXCLUDED(mu_);
  void Commit(LogIndex index) override;
  ReplicaProgress Progress() const override;

  // As the primary it applies by itself: Append and Commit leave the store alone. Applies what is
  // committed first; fails as Applier::Drain does, and is a replica still.
  absl::Status BecomePrimary(absl::Duration timeout);
  void BecomeReplica() { is_primary_ = false; }

  Node* node() const { return node_.get(); }
  Applier* applier() { return &applier_; }
  WorkerPool* workers() const { return workers_; }
  WorkerPool* syncers() const { return syncers_; }

 private:
  const std::unique_ptr<Node> node_;
  WorkerPool* const workers_;
  WorkerPool* const syncers_;
  Applier applier_;
  // The leader's own.
  bool is_primary_ = false;
  LogPosition last_;  // in the log

  absl::Mutex mu_;
  int jobs_ ABSL_GUARDED_BY(mu_) = 0;  // queued or running
};

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_LOCAL_REPLICA_H_
