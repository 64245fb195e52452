#include "shard/rebalance_targets.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <vector>

namespace slotkv {
namespace {

void SetExact(absl::Span<Share> shares) {
  double most = 0, have = 0;
  for (const Share& share : shares) {
    most = std::max(most, share.weight);
    have += share.have;
  }
  // By the largest first: the sum of weights may be no number.
  double weights = 0;
  for (const Share& share : shares) weights += share.weight / most;
  for (Share& share : shares) share.exact = have * (share.weight / most / weights);
}

// Who is to be rounded up: the first in this order.
using RoundingRank = std::tuple<int64_t, int, ShardId>;

RoundingRank RankOf(const Share& share, double threshold) {
  // Remainders that differ by rounding errors only are equal.
  constexpr double kUnits = 1e9;
  const double floor = std::floor(share.exact);
  const auto remainder = static_cast<int64_t>(std::llround((share.exact - floor) * kUnits));
  // One more lets a shard that has too much give one less, is all the same to a settled one, and
  // makes any other ask for one more.
  const bool has_more = share.have > floor;
  const bool settled = share.Settled(share.have, threshold);
  const int cost = settled ? (has_more ? 1 : 2) : (has_more ? 0 : 3);
  return {-remainder, cost, share.id};
}

void RoundTargets(double threshold, absl::Span<Share> shares) {
  double left = 0;
  std::vector<Share*> order;
  for (Share& share : shares) {
    share.target = std::floor(share.exact);
    left += share.have - share.target;
    order.push_back(&share);
  }
  std::sort(order.begin(), order.end(), [threshold](const Share* a, const Share* b) {
    return RankOf(*a, threshold) < RankOf(*b, threshold);
  });
  for (size_t i = 0; i < static_cast<size_t>(std::llround(left)); ++i) order[i]->target += 1;
}

// Lets settled shards get `amount` or, if it is negative, give that much.
void ChangeSettled(double threshold, double amount, absl::Span<Share> shares) {
  const double sign = amount < 0 ? -1 : 1;
  std::vector<Share*> order;
  for (Share& share : shares) {
    if (share.Settled(share.have, threshold)) order.push_back(&share);
  }
  const auto off = [sign](const Share* share) { return sign * (share->target - share->have); };
  std::sort(order.begin(), order.end(), [off](const Share* a, const Share* b) {
    return std::make_tuple(-off(a), a->id) < std::make_tuple(-off(b), b->id);
  });
  double left = std::fabs(amount);
  for (Share* const share : order) {
    const double part = std::clamp<double>(off(share), 0, left);
    share->change = sign * part;
    left -= part;
  }
}

}  // namespace

void SetTargets(TargetRounding rounding, double threshold, absl::Span<Share> shares) {
  SetExact(shares);
  if (rounding == TargetRounding::kWhole) {
    RoundTargets(threshold, shares);
  } else {
    for (Share& share : shares) share.target = share.exact;
  }
  double change = 0;
  for (Share& share : shares) {
    share.change = share.Settled(share.have, threshold) ? 0 : share.target - share.have;
    change += share.change;
  }
  ChangeSettled(threshold, -change, shares);
}

}  // namespace slotkv
