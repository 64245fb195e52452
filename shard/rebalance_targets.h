// How much each shard should have, and how much it has to give or to get for that.
#ifndef SLOTKV_SHARD_REBALANCE_TARGETS_H_
#define SLOTKV_SHARD_REBALANCE_TARGETS_H_

#include "absl/types/span.h"
#include "slotkv/ids.h"

namespace slotkv {

// One shard's part in the whole.
struct Share {
  ShardId id;
  double weight = 1;  // 0: is to have nothing
  double have = 0;
  // Set by SetTargets: the shard's part by weight, and what it is to aim at, which may be `exact`
  // rounded; what it is to get or, if negative, to give.
  double exact = 0;
  double target = 0;
  double change = 0;

  // Whether the shard may stay as it is if it holds `load`. Errors of rounding do not count.
  bool Settled(double load, double threshold) const {
    constexpr double kRounding = 1e-12;
    const double off = load < exact ? exact - load : load - exact;
    return off <= (threshold + kRounding) * exact;
  }
};

enum class TargetRounding { kNone, kWhole };

// Sets what is to be had and moved. All `have` are finite and not negative, and whole for kWhole;
// weights are finite, not negative and not all 0; ids are distinct.
//
// Targets add up to what all have. For kWhole each is `exact` rounded up or down, by the method of
// the largest remainder: no other whole numbers of that sum are closer to the exact ones (by the
// sum of squares). Of equal remainders those are rounded up with which the least is moved, then
// those of lower ids.
//
// Changes add up to 0. A shard that is not settled is to reach its target. A settled one keeps what
// it has, or comes closer to its target if what those others give or get does not match: those that
// are furthest off first. So nobody gets further off, and no more is moved than what those that are
// not settled have too much, or lack, whichever is more: less cannot do.
void SetTargets(TargetRounding rounding, double threshold, absl::Span<Share> shares);

}  // namespace slotkv

#endif  // SLOTKV_SHARD_REBALANCE_TARGETS_H_
