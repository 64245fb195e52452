// Which slots move where so that the shards' loads come to their targets: a pure function.
#ifndef SLOTKV_SHARD_REBALANCE_PLAN_H_
#define SLOTKV_SHARD_REBALANCE_PLAN_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "slotkv/rebalance.h"
#include "slotkv/topology.h"

namespace slotkv {

// `slot_loads`: the keys or bytes of each slot, kSlotCount of them, which add up to at most 2^53
// (what a double counts exactly); by slots they are not looked at and may be missing. If no slot
// holds anything, keys and bytes are balanced as slots are; the plan then says kSlots.
//
// The same arguments give the same plan. In it, whatever the options, shards of weight 0 have no
// slots left, no slot goes to them, and each slot moves at most once.
//
// By slots the targets are those of SetTargets, by the largest remainder; every shard that is off
// by more than the threshold comes to its target exactly, and no plan that does that moves fewer
// slots. The plan made after these moves is empty.
//
// By keys and bytes, where a slot may be heavier than what a shard has too much:
// - The sum of the squares of what shards are off their targets (of weight 0: of what they hold) is
//   smaller after the plan, unless it moves empty slots alone, and the largest of these is not
//   larger. So planning and moving again and again ends.
// - Every shard is then off by no more than the heaviest slot, or than the threshold.
//
// InvalidArgument: the topology has no shards, or a slot without an owner; an option out of bounds;
// a weight of a shard that is not there; no shard left to have slots; loads that are too few, too
// many or too large.
absl::StatusOr<RebalancePlan> PlanRebalance(const Topology& topology,
                                            absl::Span<const uint64_t> slot_loads,
                                            const RebalanceOptions& options);

}  // namespace slotkv

#endif  // SLOTKV_SHARD_REBALANCE_PLAN_H_
