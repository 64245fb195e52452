// The seam between a shard's group and one copy of its log, wherever that copy is.
#ifndef SLOTKV_REPLICATION_REPLICA_LINK_H_
#define SLOTKV_REPLICATION_REPLICA_LINK_H_

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/record.h"

namespace slotkv {

// How far a copy has come, as far as is known here.
struct ReplicaProgress {
  LogPosition last;      // in its log
  LogIndex synced;       // durable in its log
  LogIndex applied;      // in its store
  LogIndex persisted;    // durable in its store: what it still needs of the log comes after
  size_t lag_bytes = 0;  // of effects that its log has and its store has not
};

// Append and Commit are called by one thread at a time, the group's leader; the others by any.
class ReplicaLink {
 public:
  using Done = absl::AnyInvocable<void(absl::Status)>;

  // Every `done` has been called, or never will be, once this has returned.
  virtual ~ReplicaLink() = default;

  // Appends `records` behind `previous` to the copy's log, in which there is room for them if it is
  // in this process, and makes them durable there if `sync`.
  // `done` is called once, on any thread, be it before this returns, when the copy answers for
  // them: not ok if the copy's last record is another than `previous` or any of it failed. The
  // records are the caller's again when this returns. After a failure nothing more is appended.
  virtual void Append(LogPosition previous, absl::Span<const Record> records, bool sync,
                      Done done) = 0;

  // Makes everything appended durable.
  virtual void Sync(Done done) = 0;

  // Every in-sync copy has the records up to `index`, which was appended here: they may be applied.
  virtual void Commit(LogIndex index) = 0;

  virtual ReplicaProgress Progress() const = 0;
};

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_REPLICA_LINK_H_
