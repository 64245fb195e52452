// The tour's sixth step: a zone is lost while threads write, and what they were told is kept is
// looked for.
//
//   the tour                                   each writer
//     all copies are in sync                     Set, notes it as acknowledged, and again
//     StopZone: the zone of a primary            waits, for the shards that lost their primary
//     other copies are the primaries             goes on
//     StartZone: its copies get what they missed
//     all copies are in sync again               ends
//     reads every write that was acknowledged
#ifndef SLOTKV_TOOLS_TOUR_FAILOVER_H_
#define SLOTKV_TOOLS_TOUR_FAILOVER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "slotkv/cluster.h"
#include "tools/interrupt.h"

namespace slotkv::tools {

// What each writer was told of its writes, the first one first: whether it was acknowledged.
using WriteOutcomes = std::vector<std::vector<bool>>;

// The key of a writer's write; SessionValue of it is what is written.
std::string FailoverSessionKey(size_t writer, size_t write);

// A shard that lost its primary.
struct Takeover {
  ShardId shard;
  NodeInfo lost;
  NodeInfo primary;  // the one that took over
};

struct Failover {
  std::vector<Takeover> takeovers;
  // The longest that any writer had no successful write at a shard that lost its primary, around
  // the loss.
  absl::Duration failover_time;
  // From StartZone until all copies were in sync again.
  absl::Duration return_time;
  uint64_t failed = 0;  // writes that were not acknowledged
  WriteOutcomes outcomes;
};

// The zone of the first shard's primary. FailedPrecondition if a shard that has its primary there
// has no copy in another zone.
absl::StatusOr<std::string> ZoneToLose(const Topology& topology);

// Stops the zone and starts it again while `threads` threads write, each at least `writes_min`
// times before, while and after it is away, at the shards that lose their primary.
absl::StatusOr<Failover> LoseZone(Cluster* cluster, const std::string& zone, int threads,
                                  uint64_t writes_min, const Interrupt& interrupt);

struct FailoverCheck {
  uint64_t acknowledged = 0;  // writes
  uint64_t lost = 0;          // of these, not in the cluster, or with another value
};

absl::StatusOr<FailoverCheck> CheckOutcomes(Cluster* cluster, const WriteOutcomes& outcomes,
                                            const Interrupt& interrupt);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_TOUR_FAILOVER_H_
