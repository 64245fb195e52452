// Makes changes of one shard's copies durable in the topology.
#ifndef SLOTKV_SHARD_CLUSTER_MEMBERSHIP_H_
#define SLOTKV_SHARD_CLUSTER_MEMBERSHIP_H_

#include <cstddef>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "replication/membership.h"
#include "shard/topology_keeper.h"
#include "slotkv/ids.h"

namespace slotkv {

// A copy comes to be in sync only if its zone has, by the topology, the id (InSyncCopy::disk) with
// which it was open when the copy was: a zone that is replaced takes what was on the old disk
// along. Unavailable otherwise.
//
// Thread-safe.
class ClusterMembership final : public MembershipKeeper {
 public:
  // The shard as it was, and as it is now.
  using Changed = std::function<void(const ShardState&, const ShardState&)>;

  // `keeper` must outlive this. `changed` is called after each change, on the caller's thread.
  ClusterMembership(ShardId shard, TopologyKeeper* keeper, Changed changed)
      : shard_(shard), keeper_(keeper), changed_(std::move(changed)) {}

  absl::Status Change(const Membership& next, absl::Duration timeout) override;
  // The same, but only in place of `expected`; Unavailable if the shard has another one.
  absl::Status ChangeFrom(const Membership& expected, const Membership& next,
                          absl::Duration timeout);
  size_t PrimariesIn(const std::string& zone) const override;

 private:
  absl::Status Change(const Membership* expected, const Membership& next, absl::Duration timeout);

  const ShardId shard_;
  TopologyKeeper* const keeper_;
  const Changed changed_;
};

// What the shard's nodes say.
Membership MembershipOf(const ShardState& shard);
// Writes it into the shard's nodes. Those that are not in sync are replicas.
void ApplyMembership(const Membership& membership, ShardState* shard);

}  // namespace slotkv

#endif  // SLOTKV_SHARD_CLUSTER_MEMBERSHIP_H_
