// How slots could be spread better over the shards: what is to be even, and a plan of which slots
// go from where to where. Making a plan moves nothing.
#ifndef SLOTKV_SHARD_REBALANCE_H_
#define SLOTKV_SHARD_REBALANCE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "slotkv/ids.h"
#include "slotkv/slot.h"

namespace slotkv {

// What is to be even. A slot moves as a whole, so that only kSlots comes out exactly.
enum class RebalanceBy {
  kSlots,
  kKeys,   // live keys
  kBytes,  // in table files, about
};

// How much each shard should have, and how exactly.
struct RebalanceOptions {
  // See RebalanceBy.
  RebalanceBy by = RebalanceBy::kSlots;
  // Each shard's share is its weight among those of all; a shard that is not here has weight 1.
  // With 0 it gives away all its slots, as before its removal. Finite and not negative; at least
  // one shard must have more than 0.
  std::map<ShardId, double> weights;
  // How far off its share a shard may stay, as a fraction of the share, 0 to less than 1. A shard
  // that has from 1 - threshold to 1 + threshold times its share gives or takes only what shards
  // further off need. Lower it to have all alike, at the price of moving more.
  double threshold = 0.02;
  // Off: shards that have no slots get none.
  bool use_empty_shards = true;
};

// Slots that one shard gives to another.
struct SlotMove {
  SlotRange slots;
  ShardId from;
  ShardId to;
};

inline bool operator==(const SlotMove& a, const SlotMove& b) {
  return a.slots == b.slots && a.from == b.from && a.to == b.to;
}
inline bool operator!=(const SlotMove& a, const SlotMove& b) { return !(a == b); }

// One shard before and after a plan's moves. A load is slots, keys or bytes, as RebalanceBy says.
struct ShardBalance {
  ShardId id;
  // 0, too, for a shard without slots that is to get none.
  double weight = 1;
  int slots_before = 0;
  int slots_after = 0;
  uint64_t load_before = 0;
  uint64_t load_after = 0;
  // The load that it should have. Whole by slots.
  double target = 0;
};

// A value: it stays what it is when the cluster changes.
struct RebalancePlan {
  RebalanceBy by = RebalanceBy::kSlots;
  // By `from`, then `to`, then slot; no two that touch have the same `from` and `to`. No slot is in
  // two of them, so they may be done in any order.
  std::vector<SlotMove> moves;
  // All shards of the cluster, ascending by id.
  std::vector<ShardBalance> shards;

  // How many slots move.
  int SlotCount() const;
  // A line for each shard and each move, under headings; "balanced: nothing to move" if there are
  // no moves. Each line ends with a newline.
  std::string ToString() const;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_REBALANCE_H_
