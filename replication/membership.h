// What the topology durably says of a shard's copies.
#ifndef SLOTKV_REPLICATION_MEMBERSHIP_H_
#define SLOTKV_REPLICATION_MEMBERSHIP_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/ids.h"

namespace slotkv {

struct InSyncCopy {
  NodeId id;
  uint32_t incarnation = 1;  // raised when a copy is built anew
  // Of the disk that its files are on, if this process has opened them: a number that the
  // membership keeper knows. A copy that was not in sync does not come to be if the keeper's is
  // another by then.
  uint64_t disk = 0;

  friend bool operator==(const InSyncCopy& a, const InSyncCopy& b) {
    return a.id == b.id && a.incarnation == b.incarnation && a.disk == b.disk;
  }
};

struct Membership {
  ShardEpoch epoch;
  NodeId primary;
  // Ascending by id; the primary is one of them.
  std::vector<InSyncCopy> in_sync;
  // Copies that leave because their files are damaged. These incarnations, and those above, will be
  // built anew: what the copy has now is not to be used again.
  std::vector<InSyncCopy> discarded;

  friend bool operator==(const Membership& a, const Membership& b) {
    return a.epoch == b.epoch && a.primary == b.primary && a.in_sync == b.in_sync;
  }
};

// Thread-safe.
class MembershipKeeper {
 public:
  virtual ~MembershipKeeper() = default;

  // Makes `next` durable; nobody acts on it before this is ok. Unavailable: certainly not made.
  // DeadlineExceeded: perhaps made, and to be asked for again.
  virtual absl::Status Change(const Membership& next, absl::Duration timeout) = 0;

  // How many shards have their primary in the zone: the next one is better elsewhere.
  virtual size_t PrimariesIn(const std::string& /*zone*/) const { return 0; }
};

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_MEMBERSHIP_H_
