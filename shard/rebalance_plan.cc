// How a plan is made.
//
// 1. SetTargets says how much each shard is to give or get.
// 2. Transfer: those that give and those that get are paired one after the other, the largest
//    first, so that there are fewer pairs than shards. In a pair slots are cut from the ends of the
//    giver's ranges. By slots that is all: amounts are whole, and each slot weighs 1.
// 3. DrainRest: what shards of weight 0 still have goes where most is lacking.
// 4. Polish: as long as a shard is off by more than the heaviest slot (and than the threshold), a
//    slot goes from the shard that has most too much to the one that lacks most.
//
// A slot of load x moves only if x is less than what the giver has too much and the receiver lacks
// together. That makes the sum of the squares of what shards are off smaller, by 2x times the
// difference, and leaves both less off than the worse of them was: so each step is an improvement,
// and 4 ends, as there are finitely many ways to spread the slots. While a shard is off by more
// than the heaviest slot, every slot is light enough. In 3 the receiver lacks something, as the
// giver has too much; the square of what the giver holds sinks by more than what can be added.
#include "shard/rebalance_plan.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "shard/rebalance_targets.h"

namespace slotkv {
namespace {

constexpr uint64_t kMaxLoad = uint64_t{1} << 53;

using Owners = std::vector<size_t>;  // by slot: the place of its shard in the topology

class Planner {
 public:
  // `owners` and `loads` are of all slots, `shares` of all shards, with targets.
  Planner(Owners owners, absl::Span<const uint64_t> loads, absl::Span<const Share> shares,
          double threshold)
      : owners_(std::move(owners)),
        loads_(loads),
        shares_(shares),
        threshold_(threshold),
        held_(shares.size()),
        filled_slots_(shares.size()),
        first_ranges_(shares.size()) {
    load_before_.push_back(0);
    for (size_t slot = 0; slot < kSlotCount; ++slot) {
      Count(slot, owners_[slot], 1);
      load_before_.push_back(load_before_.back() + loads_[slot]);
      AddToRanges(slot, &first_ranges_[owners_[slot]]);
    }
  }

  Owners Run() {
    Transfer();
    DrainRest();
    Polish();
    return std::move(owners_);
  }

 private:
  // What is still to go from one shard to another. A slot that is heavier than `left` goes if that
  // is by no more than `slack`, which is half a slot on average; the pair is done when less than
  // that is left, or a slot does not fit and what is left is not worth a range of its own.
  struct Pair {
    static constexpr double kWorthARange = 4;  // times the slack

    size_t from;
    size_t to;
    double left;
    double slack;
    bool done = false;
  };

  enum class IfTooHeavy { kStop, kGoOn };

  void Count(size_t slot, size_t shard, int sign) {
    held_[shard] += sign * static_cast<int64_t>(loads_[slot]);
    filled_slots_[shard] += loads_[slot] == 0 ? 0 : sign;
  }
  void Move(size_t slot, size_t to) {
    Count(slot, owners_[slot], -1);
    Count(slot, to, 1);
    owners_[slot] = to;
  }

  // What the shard has too much or, if negative, lacks.
  double Off(size_t shard) const {
    return static_cast<double>(held_[shard]) - shares_[shard].target;
  }
  double Load(size_t slot) const { return static_cast<double>(loads_[slot]); }
  bool Improves(size_t slot, size_t from, size_t to) const {
    return Load(slot) < Off(from) - Off(to);
  }

  // `slot` is behind all that are there.
  static void AddToRanges(size_t slot, std::vector<SlotRange>* ranges) {
    const Slot number = static_cast<Slot>(slot);
    if (ranges->empty() || ranges->back().last + 1 != number) ranges->push_back({number, number});
    ranges->back().last = number;
  }
  // What the shard still has of what it had at first, ascending.
  std::vector<SlotRange> RangesOf(size_t shard) const {
    std::vector<SlotRange> ranges;
    for (const SlotRange& range : first_ranges_[shard]) {
      for (size_t slot = range.first; slot <= range.last; ++slot) {
        if (owners_[slot] == shard) AddToRanges(slot, &ranges);
      }
    }
    return ranges;
  }
  double LoadOf(const SlotRange& range) const {
    return static_cast<double>(load_before_[range.last + 1u] - load_before_[range.first]);
  }

  // Moves the slots from `first` on towards `last`, until the pair is done. A slot that does not
  // fit ends it, too, or is left behind. Empty ones go along with those behind them.
  void Cut(size_t first, size_t last, IfTooHeavy if_too_heavy, Pair* pair) {
    const bool up = first <= last;
    std::vector<size_t> empty;
    for (size_t i = 0; !pair->done && i <= (up ? last - first : first - last); ++i) {
      const size_t slot = up ? first + i : first - i;
      if (loads_[slot] == 0) {
        empty.push_back(slot);
      } else if (Load(slot) <= pair->left + pair->slack && Improves(slot, pair->from, pair->to)) {
        for (const size_t light : empty) Move(light, pair->to);
        empty.clear();
        Move(slot, pair->to);
        pair->left -= Load(slot);
        pair->done = pair->left <= pair->slack;
      } else {
        pair->done = pair->left <= Pair::kWorthARange * pair->slack;
        if (if_too_heavy == IfTooHeavy::kStop) return;
        empty.clear();
      }
    }
  }

  // Ranges should neither become more nor be scattered. So first come slots that touch the
  // receiver's, then whole ranges, the largest first, and last the end of the last range.
  void CutPair(Pair* pair) {
    for (const SlotRange& range : RangesOf(pair->from)) {
      if (range.first > 0 && owners_[range.first - 1] == pair->to) {
        Cut(range.first, range.last, IfTooHeavy::kStop, pair);
      } else if (range.last + 1 < kSlotCount && owners_[range.last + 1] == pair->to) {
        Cut(range.last, range.first, IfTooHeavy::kStop, pair);
      }
    }
    std::vector<SlotRange> ranges = RangesOf(pair->from);
    std::stable_sort(ranges.begin(), ranges.end(), [this](const SlotRange& a, const SlotRange& b) {
      return LoadOf(a) > LoadOf(b);
    });
    for (const SlotRange& range : ranges) {
      if (LoadOf(range) <= pair->left) Cut(range.first, range.last, IfTooHeavy::kStop, pair);
    }
    ranges = RangesOf(pair->from);
    for (auto range = ranges.rbegin(); range != ranges.rend(); ++range) {
      Cut(range->last, range->first, IfTooHeavy::kGoOn, pair);
    }
  }

  // What a shard is still to give, or to get.
  struct Part {
    size_t shard;
    double amount;
  };

  // Of the shards of which `sign` times the change is more than 0, the largest first.
  std::vector<Part> PartsOf(double sign) const {
    std::vector<Part> parts;
    for (size_t i = 0; i < shares_.size(); ++i) {
      const double amount = sign * shares_[i].change;
      if (amount > 0) parts.push_back({i, amount});
    }
    std::stable_sort(parts.begin(), parts.end(),
                     [](const Part& a, const Part& b) { return a.amount > b.amount; });
    return parts;
  }

  // The next one gives or gets what was too little or too much, up to `slack`. Else a shard that is
  // to get less than a slot of each of many would get nothing.
  static void Next(double slack, std::vector<Part>* parts, size_t* i) {
    const double rest = std::clamp((*parts)[*i].amount, -slack, slack);
    if (++*i < parts->size()) (*parts)[*i].amount += rest;
  }

  void Transfer() {
    std::vector<Part> givers = PartsOf(-1), receivers = PartsOf(1);
    size_t giver = 0, receiver = 0;
    while (giver < givers.size() && receiver < receivers.size()) {
      Part& give = givers[giver];
      Part& get = receivers[receiver];
      const double amount = std::min(give.amount, get.amount);
      Pair pair = {give.shard, get.shard, amount, HalfSlotOf(give.shard)};
      if (amount > pair.slack) CutPair(&pair);
      give.amount -= amount - pair.left;
      get.amount -= amount - pair.left;
      if (give.amount <= get.amount) {
        Next(pair.slack, &givers, &giver);
      } else {
        Next(pair.slack, &receivers, &receiver);
      }
    }
  }

  // Half of what those of its slots that hold anything hold on average.
  double HalfSlotOf(size_t shard) const {
    return static_cast<double>(held_[shard]) / std::max(filled_slots_[shard], 1) / 2;
  }

  // Of those that are to have slots.
  size_t LackingMost() const {
    std::optional<size_t> found;
    for (size_t i = 0; i < shares_.size(); ++i) {
      if (shares_[i].weight > 0 && (!found.has_value() || Off(i) < Off(*found))) found = i;
    }
    return *found;
  }
  size_t HavingMost() const {
    size_t found = LackingMost();
    for (size_t i = 0; i < shares_.size(); ++i) {
      if (shares_[i].weight > 0 && Off(i) > Off(found)) found = i;
    }
    return found;
  }

  void DrainRest() {
    std::optional<size_t> to;
    for (size_t slot = 0; slot < kSlotCount; ++slot) {
      if (shares_[owners_[slot]].weight > 0) continue;
      // Empty ones keep company with those before them.
      if (!to.has_value() || loads_[slot] > 0) to = LackingMost();
      Move(slot, *to);
    }
  }

  void Polish() {
    const double heaviest = static_cast<double>(*std::max_element(loads_.begin(), loads_.end()));
    for (;;) {
      std::optional<size_t> worst;
      for (size_t i = 0; i < shares_.size(); ++i) {
        const double off = std::fabs(Off(i));
        if (off <= heaviest || shares_[i].Settled(static_cast<double>(held_[i]), threshold_)) {
          continue;
        }
        if (!worst.has_value() || off > std::fabs(Off(*worst))) worst = i;
      }
      if (!worst.has_value()) return;
      const size_t from = Off(*worst) > 0 ? *worst : HavingMost();
      const size_t to = Off(*worst) > 0 ? LackingMost() : *worst;
      const std::optional<size_t> slot = BestSlot(from, to);
      if (!slot.has_value()) return;
      Move(*slot, to);
    }
  }

  // With which the two come closest to each other.
  std::optional<size_t> BestSlot(size_t from, size_t to) const {
    const double half = (Off(from) - Off(to)) / 2;
    std::optional<size_t> best;
    for (size_t slot = 0; slot < kSlotCount; ++slot) {
      if (owners_[slot] != from || loads_[slot] == 0 || !Improves(slot, from, to)) continue;
      if (!best.has_value() || std::fabs(Load(slot) - half) < std::fabs(Load(*best) - half)) {
        best = slot;
      }
    }
    return best;
  }

  Owners owners_;
  const absl::Span<const uint64_t> loads_;
  const absl::Span<const Share> shares_;
  const double threshold_;
  // By shard: the load of its slots, how many of them are not empty, and the slots that it had
  // at first.
  std::vector<int64_t> held_;
  std::vector<int> filled_slots_;
  std::vector<std::vector<SlotRange>> first_ranges_;
  // By slot: the load of all slots before it; one more, of all.
  std::vector<uint64_t> load_before_;
};

absl::Status CheckOptions(const Topology& topology, const RebalanceOptions& options) {
  // Also not true of what is no number.
  if (!(options.threshold >= 0 && options.threshold < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("threshold ", options.threshold, ": it must be from 0 to below 1"));
  }
  for (const auto& [id, weight] : options.weights) {
    if (topology.FindShard(id) == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("a weight for ", id.ToString(), ": no such shard"));
    }
    if (!(weight >= 0 && std::isfinite(weight))) {
      return absl::InvalidArgumentError(absl::StrCat("weight ", weight, " of ", id.ToString(),
                                                     ": it must be finite and not negative"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Owners> OwnersOf(const Topology& topology) {
  const size_t nobody = topology.shards().size();
  Owners owners(kSlotCount, nobody);
  for (size_t i = 0; i < nobody; ++i) {
    for (const SlotRange& range : topology.shards()[i].slots) {
      std::fill(owners.begin() + range.first, owners.begin() + range.last + 1, i);
    }
  }
  const auto found = std::find(owners.begin(), owners.end(), nobody);
  if (found == owners.end()) return owners;
  return absl::InvalidArgumentError(absl::StrCat("slot ", found - owners.begin(), " has no owner"));
}

absl::Status CheckLoads(absl::Span<const uint64_t> loads) {
  if (loads.size() != kSlotCount) {
    return absl::InvalidArgumentError(
        absl::StrCat("loads of ", loads.size(), " slots: there must be ", kSlotCount));
  }
  uint64_t left = kMaxLoad;
  for (const uint64_t load : loads) {
    if (load > left) {
      return absl::InvalidArgumentError(absl::StrCat("loads that add up to more than ", kMaxLoad));
    }
    left -= load;
  }
  return absl::OkStatus();
}

bool AllEmpty(absl::Span<const uint64_t> loads) {
  return std::all_of(loads.begin(), loads.end(), [](uint64_t load) { return load == 0; });
}

// Without targets.
std::vector<Share> SharesOf(const Topology& topology, const Owners& owners,
                            absl::Span<const uint64_t> loads, const RebalanceOptions& options) {
  std::vector<Share> shares;
  for (const ShardInfo& shard : topology.shards()) {
    Share& share = shares.emplace_back();
    share.id = shard.id;
    const auto weight = options.weights.find(shard.id);
    if (weight != options.weights.end()) share.weight = weight->second;
    if (shard.slots.empty() && !options.use_empty_shards) share.weight = 0;
  }
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    shares[owners[slot]].have += static_cast<double>(loads[slot]);
  }
  return shares;
}

// The slots of which `before` and `after` differ.
std::vector<SlotMove> MovesOf(absl::Span<const Share> shares, const Owners& before,
                              const Owners& after) {
  std::vector<SlotMove> moves;
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    if (before[slot] == after[slot]) continue;
    const Slot number = static_cast<Slot>(slot);
    if (slot > 0 && before[slot] == before[slot - 1] && after[slot] == after[slot - 1]) {
      moves.back().slots.last = number;
    } else {
      moves.push_back({{number, number}, shares[before[slot]].id, shares[after[slot]].id});
    }
  }
  std::sort(moves.begin(), moves.end(), [](const SlotMove& a, const SlotMove& b) {
    return std::tie(a.from, a.to, a.slots.first) < std::tie(b.from, b.to, b.slots.first);
  });
  return moves;
}

std::vector<ShardBalance> BalancesOf(absl::Span<const Share> shares,
                                     absl::Span<const uint64_t> loads, const Owners& before,
                                     const Owners& after) {
  std::vector<ShardBalance> balances;
  for (const Share& share : shares) {
    ShardBalance& balance = balances.emplace_back();
    balance.id = share.id;
    balance.weight = share.weight;
    balance.target = share.target;
  }
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    ++balances[before[slot]].slots_before;
    ++balances[after[slot]].slots_after;
    balances[before[slot]].load_before += loads[slot];
    balances[after[slot]].load_after += loads[slot];
  }
  return balances;
}

}  // namespace

absl::StatusOr<RebalancePlan> PlanRebalance(const Topology& topology,
                                            absl::Span<const uint64_t> slot_loads,
                                            const RebalanceOptions& options) {
  if (topology.shards().empty()) return absl::InvalidArgumentError("there are no shards");
  if (absl::Status status = CheckOptions(topology, options); !status.ok()) return status;
  absl::StatusOr<Owners> owners = OwnersOf(topology);
  if (!owners.ok()) return owners.status();
  RebalancePlan plan;
  plan.by = options.by;
  if (plan.by != RebalanceBy::kSlots) {
    if (absl::Status status = CheckLoads(slot_loads); !status.ok()) return status;
    if (AllEmpty(slot_loads)) plan.by = RebalanceBy::kSlots;
  }
  const bool by_slots = plan.by == RebalanceBy::kSlots;
  const std::vector<uint64_t> ones(by_slots ? kSlotCount : 0, 1);
  const absl::Span<const uint64_t> loads = by_slots ? ones : slot_loads;

  std::vector<Share> shares = SharesOf(topology, *owners, loads, options);
  if (std::all_of(shares.begin(), shares.end(),
                  [](const Share& share) { return share.weight == 0; })) {
    return absl::InvalidArgumentError("no shard is left to have slots: all weights are 0");
  }
  SetTargets(by_slots ? TargetRounding::kWhole : TargetRounding::kNone, options.threshold,
             absl::MakeSpan(shares));
  const Owners after = Planner(*owners, loads, shares, options.threshold).Run();
  plan.moves = MovesOf(shares, *owners, after);
  plan.shards = BalancesOf(shares, loads, *owners, after);
  return plan;
}

}  // namespace slotkv
