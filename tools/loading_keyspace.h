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
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "slotkv/clock.h"
#include "slotkv/cluster.h"
#include "tools/expired_keys.h"
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

  // Forgets the keys that are not in the cluster, as when all keys are deleted.
  void Clear();

  // Keys that were given up for want of memory, though a later operation could still have extended
  // their life. The ones that went longest without an operation are given up first.
  uint64_t expired_given_up() const { return expired_.given_up(); }

 private:
  absl::Status Set(const Operation& operation);
  absl::Status SetExpired(const Operation& operation);
  absl::Status Delete(const Operation& operation);
  absl::Status Expire(const Operation& operation);
  absl::Status Persist(const Operation& operation);
  absl::Status Increment(const Operation& operation);
  absl::Status Append(const Operation& operation);
  absl::Status SetRange(const Operation& operation);
  absl::Status HashSet(const Operation& operation);
  absl::Status HashDelete(const Operation& operation);
  absl::Status HashIncrement(const Operation& operation);
  absl::Status RequireAbsent(const Operation& operation);
  // FailedPrecondition if the key holds a hash.
  absl::Status RequireString(std::string_view key);

  absl::Status HashSetInCluster(std::string_view key, const std::vector<HashField>& fields);
  // Moves the key into the cluster, its time not having passed after all.
  absl::Status Revive(ExpiredKey* expired, absl::Time deadline);
  // What the key holds in the cluster.
  absl::StatusOr<Value> ReadValue(std::string_view key);
  absl::StatusOr<HashValue> ReadHash(std::string_view key);
  // InfiniteFuture for a key without expiry.
  absl::StatusOr<absl::Time> CurrentDeadline(std::string_view key);

  Cluster* const cluster_;
  const absl::Time now_;
  ExpiredKeys expired_;

  // What the cluster has at the key whose hash was last found to be full. Commands that would make
  // it larger tend to come by the thousand, and the cluster reads all of it to refuse each.
  struct FullHash {
    std::string key;
    HashValue hash;
  };
  std::optional<FullHash> full_hash_;
};

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_LOADING_KEYSPACE_H_
