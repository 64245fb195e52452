#include "replication/local_replica.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace slotkv {

LocalReplica::LocalReplica(std::unique_ptr<Node> node, WorkerPool* workers, WorkerPool* syncers)
    : node_(std::move(node)),
      workers_(workers),
      syncers_(syncers),
      applier_(node_.get(), workers),
      last_(node_->log().last()) {}

LocalReplica::~LocalReplica() {
  absl::MutexLock lock(&mu_);
  const auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return jobs_ == 0; };
  mu_.Await(absl::Condition(&idle));
}

absl::Status LocalReplica::AppendNow(LogPosition previous, absl::Span<const Record> records) {
  if (!(last_ == previous)) {
    return absl::FailedPreconditionError(
        absl::StrCat(node_->directory(), ": the log ends at record ", last_.index.ToString(),
                     " of epoch ", last_.epoch.ToString(), ", not at record ",
                     previous.index.ToString(), " of epoch ", previous.epoch.ToString()));
  }
  if (absl::Status status = node_->Append(records); !status.ok()) return status;
  last_ = records.back().position;
  if (!is_primary_) applier_.Add(records);
  return absl::OkStatus();
}

void LocalReplica::Append(LogPosition previous, absl::Span<const Record> records, bool sync,
                          Done done) {
  absl::Status status = AppendNow(previous, records);
  if (status.ok() && sync) {
    Sync(std::move(done));
  } else {
    done(std::move(status));
  }
}

void LocalReplica::Sync(Done done) {
  {
    absl::MutexLock lock(&mu_);
    ++jobs_;
  }
  // A job of the pool is copyable.
  auto shared = std::make_shared<Done>(std::move(done));
  syncers_->Schedule([this, shared] {
    (*shared)(node_->Sync());
    absl::MutexLock lock(&mu_);
    --jobs_;
  });
}

void LocalReplica::Commit(LogIndex index) {
  if (!is_primary_) applier_.Commit(index);
}

ReplicaProgress LocalReplica::Progress() const {
  ReplicaProgress progress;
  progress.last = node_->log().last();
  progress.synced = node_->log().synced();
  progress.applied = node_->applied();
  progress.persisted = node_->persisted();
  progress.lag_bytes = applier_.lag_bytes();
  return progress;
}

absl::Status LocalReplica::BecomePrimary(absl::Duration timeout) {
  absl::Status status = applier_.Drain(timeout);
  if (status.ok()) is_primary_ = true;
  return status;
}

}  // namespace slotkv
