// A cluster's keys as Redis sees them while it loads an append-only file: time stands still.
//
// A file that was written in the past may set a key with an expiry that has passed by now, and
// later extend it:
//
//   SET session alice PXAT <yesterday>      PEXPIREAT session <tomorrow>
//
// or change it while it was alive, which must not bring it back:
//
//   SET visits 7 PXAT <yesterday>           INCR visits
//
// So no key expires before the whole file is read. In the cluster that is the work of StillClock.
// Keys whose time had passed before the load began are not put into the cluster at all: each
// LoadingKeyspace keeps them in memory and forgets them in the end.
#ifndef SLOTKV_TOOLS_LOADING_KEYSPACE_H_
#define SLOTKV_TOOLS_LOADING_KEYSPACE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "slotkv/clock.h"
#include "slotkv/cluster.h"
#include "tools/operation.h"

namespace slotkv::tools {

// Shows the millisecond in which it was made, for ever.
class StillClock final : public Clock {
 public:
  StillClock();

  absl::Time Wall() override { return now_; }
  absl::Duration Monotonic() override { return absl::ZeroDuration(); }

 private:
  const absl::Time now_;
};

// Not thread-safe: operations on different keys may go to different LoadingKeyspaces of one
// cluster; all operations on a key go to the same one, and nothing else touches the key meanwhile.
class LoadingKeyspace {
 public:
  // `cluster` must outlive this and be opened with a StillClock that shows `now`. At most
  // `expired_bytes_max` bytes of keys and values whose time has passed are kept.
  LoadingKeyspace(Cluster* cluster, absl::Time now, size_t expired_bytes_max);

  // Applies the operation; a condition that does not hold is ok, as for Redis.
  //   FailedPrecondition, OutOfRange, InvalidArgument  what Redis refuses; nothing was changed
  //   others                                           the cluster's own
  absl::Status Apply(const Operation& operation);

  // Keys that were given up for want of memory, though a later operation could still have extended
  // their life. The ones that went longest without an operation are given up first.
  uint64_t expired_given_up() const { return expired_given_up_; }

 private:
  struct ExpiredKey {
    std::string key;
    std::string value;
    absl::Time deadline;
  };
  // The latest used is first.
  using ExpiredKeys = std::list<ExpiredKey>;

  absl::Status Set(const Operation& operation);
  absl::Status SetExpired(const Operation& operation);
  absl::Status Delete(const Operation& operation);
  absl::Status Expire(const Operation& operation);
  absl::Status Persist(const Operation& operation);
  absl::Status Increment(const Operation& operation);
  absl::Status Append(const Operation& operation);
  absl::Status RequireAbsent(const Operation& operation);

  // Null if the key's time has not passed, or it is missing.
  ExpiredKey* FindExpired(std::string_view key);
  void PutExpired(std::string_view key, std::string_view value, absl::Time deadline);
  void SetExpiredValue(ExpiredKey* expired, std::string value);
  void EraseExpired(std::string_view key);
  // Moves the key into the cluster, its time not having passed after all.
  absl::Status Revive(const ExpiredKey& expired, absl::Time deadline);
  // InfiniteFuture for a key without expiry.
  absl::StatusOr<absl::Time> CurrentDeadline(std::string_view key);

  Cluster* const cluster_;
  const absl::Time now_;
  const size_t expired_bytes_max_;

  ExpiredKeys expired_;
  // The keys are those of expired_'s elements.
  absl::flat_hash_map<std::string_view, ExpiredKeys::iterator> expired_by_key_;
  size_t expired_bytes_ = 0;
  uint64_t expired_given_up_ = 0;
};

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_LOADING_KEYSPACE_H_
