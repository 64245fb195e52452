#include "shard/rebalance_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Loads = std::vector<uint64_t>;

// By slot: the shard's number.
using Owners = std::vector<uint32_t>;

// Shards 1 to `shards`.
Topology TopologyOf(const Owners& owners, uint32_t shards) {
  std::vector<ShardInfo> infos(shards);
  for (uint32_t i = 0; i < shards; ++i) infos[i].id = ShardId(i + 1);
  for (int slot = 0; slot < kSlotCount; ++slot) {
    std::vector<SlotRange>& ranges = infos[owners[static_cast<size_t>(slot)] - 1].slots;
    const Slot number = static_cast<Slot>(slot);
    if (ranges.empty() || ranges.back().last + 1 != slot) ranges.push_back({number, number});
    ranges.back().last = number;
  }
  return Topology(Epoch(1), std::move(infos));
}

Owners OwnersOf(const Topology& topology) {
  Owners owners;
  for (int slot = 0; slot < kSlotCount; ++slot) {
    owners.push_back(topology.OwnerOf(static_cast<Slot>(slot)).value());
  }
  return owners;
}

// A shard after the other has so many slots.
Topology ContiguousTopology(const std::vector<int>& counts) {
  Owners owners;
  for (size_t i = 0; i < counts.size(); ++i) {
    owners.insert(owners.end(), static_cast<size_t>(counts[i]), static_cast<uint32_t>(i + 1));
  }
  return TopologyOf(owners, static_cast<uint32_t>(counts.size()));
}

Topology EvenTopology(int shards) {
  std::vector<int> counts;
  for (int i = 0; i < shards; ++i) {
    counts.push_back(kSlotCount * (i + 1) / shards - kSlotCount * i / shards);
  }
  return ContiguousTopology(counts);
}

// Runs of slots of random lengths; a shard may have none.
Topology RandomTopology(uint32_t shards, uint64_t run_max, std::mt19937_64* random) {
  Owners owners;
  while (owners.size() < kSlotCount) {
    const uint64_t run = std::min<uint64_t>(1 + (*random)() % run_max, kSlotCount - owners.size());
    owners.insert(owners.end(), run, static_cast<uint32_t>(1 + (*random)() % shards));
  }
  return TopologyOf(owners, shards);
}

// The topology after the plan's moves, of which none may be odd.
Topology Apply(const RebalancePlan& plan, const Topology& topology) {
  Owners owners = OwnersOf(topology);
  std::vector<bool> moved(kSlotCount);
  int moved_twice = 0, not_its_own = 0;
  for (size_t i = 0; i < plan.moves.size(); ++i) {
    const SlotMove& move = plan.moves[i];
    EXPECT_NE(move.from, move.to);
    EXPECT_NE(topology.FindShard(move.to), nullptr);
    EXPECT_LE(move.slots.first, move.slots.last);
    EXPECT_LT(move.slots.last, kSlotCount);
    for (size_t slot = move.slots.first; slot <= move.slots.last; ++slot) {
      moved_twice += moved[slot];
      not_its_own += topology.OwnerOf(static_cast<Slot>(slot)) != move.from;
      moved[slot] = true;
      owners[slot] = move.to.value();
    }
    if (i == 0) continue;
    const SlotMove& before = plan.moves[i - 1];
    EXPECT_LE(std::make_pair(before.from, before.to), std::make_pair(move.from, move.to));
    if (before.from == move.from && before.to == move.to) {
      EXPECT_LT(before.slots.last + 1, move.slots.first);
    }
  }
  EXPECT_EQ(moved_twice, 0);
  EXPECT_EQ(not_its_own, 0);
  EXPECT_EQ(std::count(moved.begin(), moved.end(), true), plan.SlotCount());
  return TopologyOf(owners, static_cast<uint32_t>(topology.shards().size()));
}

uint64_t LoadOf(const Topology& topology, const Loads& loads, size_t shard) {
  uint64_t sum = 0;
  for (const SlotRange& range : topology.shards()[shard].slots) {
    for (size_t slot = range.first; slot <= range.last; ++slot) sum += loads[slot];
  }
  return sum;
}

// Plans, checks what holds of every plan, and returns the plan and what comes of it.
struct Planned {
  RebalancePlan plan;
  Topology after;
};
Planned Plan(const Topology& topology, const Loads& loads, const RebalanceOptions& options) {
  const absl::StatusOr<RebalancePlan> plan = PlanRebalance(topology, loads, options);
  EXPECT_THAT(plan, IsOk());
  if (!plan.ok()) return {};
  const absl::StatusOr<RebalancePlan> again = PlanRebalance(topology, loads, options);
  EXPECT_EQ(plan->moves, again->moves);
  Planned planned = {*plan, Apply(*plan, topology)};
  const Loads& counted = plan->by == RebalanceBy::kSlots ? Loads(kSlotCount, 1) : loads;
  EXPECT_EQ(plan->shards.size(), topology.shards().size());
  for (size_t i = 0; i < plan->shards.size(); ++i) {
    const ShardBalance& shard = plan->shards[i];
    EXPECT_EQ(shard.id, topology.shards()[i].id);
    EXPECT_EQ(shard.slots_before, topology.shards()[i].SlotCount());
    EXPECT_EQ(shard.slots_after, planned.after.shards()[i].SlotCount());
    EXPECT_EQ(shard.load_before, LoadOf(topology, counted, i));
    EXPECT_EQ(shard.load_after, LoadOf(planned.after, counted, i));
    const auto weight = options.weights.find(shard.id);
    const bool left_empty = !options.use_empty_shards && shard.slots_before == 0;
    EXPECT_EQ(shard.weight, left_empty ? 0 : weight == options.weights.end() ? 1 : weight->second);
    EXPECT_TRUE(shard.weight > 0 || shard.slots_after == 0);
  }
  return planned;
}

RebalanceOptions By(RebalanceBy by, double threshold = 0.02) {
  RebalanceOptions options;
  options.by = by;
  options.threshold = threshold;
  return options;
}

double Off(const ShardBalance& shard, double load) { return std::fabs(load - shard.target); }
bool Settled(const ShardBalance& shard, uint64_t load, double threshold) {
  return Off(shard, static_cast<double>(load)) <= threshold * shard.target * (1 + 1e-9);
}

// ---- By slots ----

TEST(RebalancePlanTest, BalancedClustersStayAsTheyAre) {
  for (const int shards : {1, 2, 3, 7, 256, 1024}) {
    const RebalancePlan plan = Plan(EvenTopology(shards), {}, By(RebalanceBy::kSlots, 0)).plan;
    EXPECT_THAT(plan.moves, IsEmpty()) << shards;
    EXPECT_EQ(plan.SlotCount(), 0);
  }
}

TEST(RebalancePlanTest, AFourthShard) {
  const Topology three = ContiguousTopology({5461, 5462, 5461, 0});
  const Planned planned = Plan(three, {}, {});
  // The last of them touches what the second brings.
  EXPECT_THAT(planned.plan.moves, ElementsAre(SlotMove{{4096, 5460}, ShardId(1), ShardId(4)},
                                              SlotMove{{9557, 10922}, ShardId(2), ShardId(4)},
                                              SlotMove{{10923, 12287}, ShardId(3), ShardId(4)}));
  EXPECT_EQ(planned.plan.SlotCount(), 4096);
  for (const ShardBalance& shard : planned.plan.shards) {
    EXPECT_EQ(shard.slots_after, 4096);
    EXPECT_EQ(shard.target, 4096);
  }

  RebalanceOptions options;
  options.use_empty_shards = false;
  EXPECT_THAT(Plan(three, {}, options).plan.moves, IsEmpty());
}

TEST(RebalancePlanTest, ANewShardIsFilledThoughAllOthersAreSettled) {
  std::vector<int> counts(257, 64);
  counts[256] = 0;
  const Planned planned = Plan(ContiguousTopology(counts), {}, {});
  EXPECT_EQ(planned.plan.shards[256].slots_after, planned.plan.shards[256].target);
  EXPECT_EQ(planned.plan.SlotCount(), 63);
}

TEST(RebalancePlanTest, DrainsAShardOfWeightZero) {
  for (const uint32_t drained : {1, 2, 3}) {
    RebalanceOptions options;
    options.weights[ShardId(drained)] = 0;
    const Planned planned = Plan(EvenTopology(3), {}, options);
    EXPECT_THAT(planned.after.shards()[drained - 1].slots, IsEmpty());
    for (const ShardInfo& shard : planned.after.shards()) {
      if (shard.id == ShardId(drained)) continue;
      EXPECT_EQ(shard.SlotCount(), 8192);
      EXPECT_LE(shard.slots.size(), 2u);
    }
    EXPECT_EQ(planned.plan.moves.size(), 2u);
  }
}

TEST(RebalancePlanTest, GivesWhatTouchesTheReceiver) {
  RebalanceOptions options;
  options.weights[ShardId(2)] = 6;
  const Planned planned = Plan(EvenTopology(3), {}, options);
  EXPECT_THAT(planned.after.shards()[0].slots, ElementsAre(SlotRange{0, 2047}));
  EXPECT_THAT(planned.after.shards()[1].slots, ElementsAre(SlotRange{2048, 14335}));
  EXPECT_THAT(planned.after.shards()[2].slots, ElementsAre(SlotRange{14336, 16383}));
}

TEST(RebalancePlanTest, GivesWholeRanges) {
  std::vector<ShardInfo> shards(3);
  for (uint32_t i = 0; i < 3; ++i) shards[i].id = ShardId(i + 1);
  shards[0].slots = {{0, 999}, {2000, 7461}};
  shards[1].slots = {{11923, 16383}};
  shards[2].slots = {{1000, 1999}, {7462, 11922}};
  const Planned planned = Plan(Topology(Epoch(1), shards), {}, By(RebalanceBy::kSlots, 0));
  EXPECT_THAT(planned.plan.moves, ElementsAre(SlotMove{{0, 999}, ShardId(1), ShardId(2)}));
}

TEST(RebalancePlanTest, MakesFewRanges) {
  std::mt19937_64 random(TestSeed());
  for (int round = 0; round < 40; ++round) {
    const uint32_t shards = 1 + static_cast<uint32_t>(random() % 40);
    const Topology topology = RandomTopology(shards, 1 + random() % 500, &random);
    const Planned planned = Plan(topology, {}, By(RebalanceBy::kSlots, 0));
    std::set<std::pair<ShardId, ShardId>> pairs;
    for (const SlotMove& move : planned.plan.moves) pairs.insert({move.from, move.to});
    EXPECT_LT(pairs.size(), shards);
    size_t before = 0, after = 0;
    for (const ShardInfo& shard : topology.shards()) before += shard.slots.size();
    for (const ShardInfo& shard : planned.after.shards()) after += shard.slots.size();
    // Each pair cuts off at most one piece; what is moved besides are whole ranges.
    EXPECT_LE(after, before + pairs.size());
  }
}

// The least that must move, over all targets that are as close to the exact shares as can be.
int LeastMoved(const Topology& topology, const std::vector<double>& weights) {
  double sum = 0;
  for (const double weight : weights) sum += weight;
  double closest = std::numeric_limits<double>::infinity();
  int least = kSlotCount;
  for (uint32_t up = 0; up < uint32_t{1} << weights.size(); ++up) {
    int targets = 0, moved = 0;
    double squares = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      const double exact = kSlotCount * weights[i] / sum;
      const int target = static_cast<int>(std::floor(exact + 1e-9)) + ((up >> i & 1) != 0 ? 1 : 0);
      targets += target;
      squares += std::pow(target - exact, 2);
      moved += std::max(0, topology.shards()[i].SlotCount() - target);
    }
    if (targets != kSlotCount || squares > closest + 1e-6) continue;
    if (squares < closest - 1e-6) least = kSlotCount;
    closest = std::min(closest, squares);
    least = std::min(least, moved);
  }
  return least;
}

TEST(RebalancePlanTest, MovesNoMoreThanBruteForce) {
  std::mt19937_64 random(TestSeed());
  for (int round = 0; round < 100; ++round) {
    const uint32_t shards = 1 + static_cast<uint32_t>(random() % 8);
    const Topology topology = RandomTopology(shards, 1 + random() % 3000, &random);
    RebalanceOptions options = By(RebalanceBy::kSlots, 0);
    std::vector<double> weights(shards, 1);
    for (uint32_t i = 0; i < shards; ++i) {
      if (random() % 3 == 0) {
        weights[i] = static_cast<double>(random() % 5) / 2;
        options.weights[ShardId(i + 1)] = weights[i];
      }
    }
    if (std::count(weights.begin(), weights.end(), 0) == shards) continue;
    const Planned planned = Plan(topology, {}, options);
    ASSERT_EQ(planned.plan.SlotCount(), LeastMoved(topology, weights)) << "round " << round;
    EXPECT_THAT(Plan(planned.after, {}, options).plan.moves, IsEmpty());
  }
}

TEST(RebalancePlanTest, KeepsToTheThreshold) {
  std::mt19937_64 random(TestSeed());
  for (int round = 0; round < 80; ++round) {
    const uint32_t shards = 2 + static_cast<uint32_t>(random() % 200);
    const Topology topology = RandomTopology(shards, 1 + random() % 300, &random);
    const double threshold = static_cast<double>(random() % 90) / 100;
    RebalanceOptions options = By(RebalanceBy::kSlots, threshold);
    options.weights[ShardId(1 + static_cast<uint32_t>(random() % shards))] = 0;
    options.weights[ShardId(1 + static_cast<uint32_t>(random() % shards))] = 2.5;
    const Planned planned = Plan(topology, {}, options);
    double sum = 0;
    for (const ShardBalance& shard : planned.plan.shards) sum += shard.weight;
    int too_many = 0, too_few = 0;
    for (const ShardBalance& shard : planned.plan.shards) {
      const double exact = kSlotCount * shard.weight / sum;
      EXPECT_LT(std::fabs(shard.target - exact), 1);
      EXPECT_LE(Off(shard, shard.slots_after), Off(shard, shard.slots_before));
      if (std::fabs(shard.slots_before - exact) <= threshold * exact * (1 + 1e-9)) continue;
      EXPECT_EQ(shard.slots_after, shard.target);
      too_many += std::max(0, shard.slots_before - static_cast<int>(shard.target));
      too_few += std::max(0, static_cast<int>(shard.target) - shard.slots_before);
    }
    EXPECT_EQ(planned.plan.SlotCount(), std::max(too_many, too_few));
    EXPECT_THAT(Plan(planned.after, {}, options).plan.moves, IsEmpty());
  }
}

TEST(RebalancePlanTest, ClustersOfAnySize) {
  std::mt19937_64 random(TestSeed());
  for (const uint32_t shards : {1, 2, 1023, 1024}) {
    // Each slot with another owner than its neighbours.
    const Topology scattered = RandomTopology(shards, 1, &random);
    Plan(scattered, {}, {});
    RebalanceOptions options;
    for (uint32_t i = 2; i <= shards; ++i) options.weights[ShardId(i)] = 0;
    EXPECT_THAT(Plan(scattered, {}, options).after.shards()[0].slots,
                ElementsAre(SlotRange{0, 16383}));
    // One has them all.
    std::vector<int> counts(shards);
    counts[shards / 2] = kSlotCount;
    const Planned spread = Plan(ContiguousTopology(counts), {}, {});
    for (const ShardInfo& shard : spread.after.shards()) EXPECT_EQ(shard.slots.size(), 1u);
  }
}

// ---- By keys and bytes ----

enum class Spread { kEven, kUneven, kSparse, kHot, kHuge };

Loads RandomLoads(Spread spread, std::mt19937_64* random) {
  Loads loads(kSlotCount);
  for (uint64_t& load : loads) {
    const uint64_t number = (*random)();
    switch (spread) {
      case Spread::kEven:
        load = 50 + number % 20;
        break;
      case Spread::kUneven:
        // Few are heavy, most are light.
        load = uint64_t{1} << (number % 64 % (1 + (number >> 8) % 20));
        break;
      case Spread::kSparse:
        load = number % 50 == 0 ? 1 + (number >> 8) % 10 : 0;
        break;
      case Spread::kHot:
        load = number % 2000 == 0 ? 1'000'000 : number % 100;
        break;
      case Spread::kHuge:
        load = number >> 25;
        break;
    }
  }
  return loads;
}

struct Imbalance {
  double squares = 0;
  double worst = 0;
};
Imbalance ImbalanceOf(const RebalancePlan& plan, bool after) {
  Imbalance imbalance;
  for (const ShardBalance& shard : plan.shards) {
    const double off =
        Off(shard, static_cast<double>(after ? shard.load_after : shard.load_before));
    imbalance.squares += off * off;
    imbalance.worst = std::max(imbalance.worst, off);
  }
  return imbalance;
}

void ExpectGoodPlan(const RebalancePlan& plan, const Loads& loads, double threshold) {
  constexpr double kRounding = 1 + 1e-9;
  const Imbalance before = ImbalanceOf(plan, false), after = ImbalanceOf(plan, true);
  EXPECT_LE(after.worst, before.worst * kRounding);
  bool moves_load = false;
  for (const SlotMove& move : plan.moves) {
    for (size_t slot = move.slots.first; slot <= move.slots.last; ++slot) {
      moves_load = moves_load || loads[slot] > 0;
    }
  }
  if (moves_load) {
    EXPECT_LT(after.squares, before.squares);
  } else {
    EXPECT_EQ(after.squares, before.squares);
  }
  const auto heaviest = static_cast<double>(*std::max_element(loads.begin(), loads.end()));
  for (const ShardBalance& shard : plan.shards) {
    EXPECT_TRUE(Off(shard, static_cast<double>(shard.load_after)) <= heaviest * kRounding ||
                Settled(shard, shard.load_after, threshold))
        << shard.id << " has " << shard.load_after << " of " << shard.target;
  }
}

TEST(RebalancePlanTest, LoadsGetCloserAndPlanningEnds) {
  std::mt19937_64 random(TestSeed());
  for (int round = 0; round < 75; ++round) {
    const Spread spread = static_cast<Spread>(round % 5);
    const uint32_t shards = 1 + static_cast<uint32_t>(random() % (round % 3 == 0 ? 300 : 8));
    Topology topology = RandomTopology(shards, 1 + random() % 2000, &random);
    const Loads loads = RandomLoads(spread, &random);
    RebalanceOptions options = By(round % 2 == 0 ? RebalanceBy::kKeys : RebalanceBy::kBytes,
                                  static_cast<double>(random() % 4) / 50);
    if (random() % 2 == 0) options.weights[ShardId(1)] = 2;
    if (random() % 2 == 0 && shards > 1) options.weights[ShardId(shards)] = 0;
    options.use_empty_shards = random() % 4 != 0;
    if (!options.use_empty_shards && shards <= 2) continue;
    SCOPED_TRACE(testing::Message() << "round " << round << ", " << shards << " shards");
    // Again and again on what came of the plan before.
    int plans = 0;
    for (;; ++plans) {
      ASSERT_LT(plans, 200);
      const Planned planned = Plan(topology, loads, options);
      ExpectGoodPlan(planned.plan, loads, options.threshold);
      if (planned.plan.moves.empty() || HasFailure()) break;
      topology = planned.after;
    }
  }
}

TEST(RebalancePlanTest, EvenLoadsComeWithinTheThresholdInFewRanges) {
  std::mt19937_64 random(TestSeed());
  const Loads loads = RandomLoads(Spread::kEven, &random);
  const Planned planned =
      Plan(ContiguousTopology({5461, 5462, 5461, 0}), loads, By(RebalanceBy::kKeys));
  for (const ShardBalance& shard : planned.plan.shards) {
    EXPECT_LT(Off(shard, static_cast<double>(shard.load_after)), 200) << shard.id;
  }
  EXPECT_EQ(planned.plan.moves.size(), 3u);
}

TEST(RebalancePlanTest, ASlotThatDoesNotFitIsNotPassedForALittle) {
  Loads loads(kSlotCount, 10);
  loads[8192] = 25;
  EXPECT_THAT(Plan(ContiguousTopology({kSlotCount, 0}), loads, By(RebalanceBy::kKeys)).plan.moves,
              ElementsAre(SlotMove{{8193, 16383}, ShardId(1), ShardId(2)}));
}

TEST(RebalancePlanTest, ManyShardsGiveLittleEach) {
  // 200 shards of 81 or 82 slots; 81.5 are the share of 201. By the heaviest slot alone the new
  // shard could stay without a fifth of it.
  Loads loads(kSlotCount, 60);
  loads[0] = 1000;
  const Topology old = EvenTopology(200);
  std::vector<ShardInfo> shards(old.shards().begin(), old.shards().end());
  shards.emplace_back().id = ShardId(201);
  const Planned filled = Plan(Topology(Epoch(1), shards), loads, By(RebalanceBy::kBytes, 0));
  EXPECT_TRUE(Settled(filled.plan.shards[200], filled.plan.shards[200].load_after, 0.02));

  RebalanceOptions options = By(RebalanceBy::kBytes);
  options.weights[ShardId(201)] = 0;
  const Planned drained = Plan(filled.after, loads, options);
  ExpectGoodPlan(drained.plan, loads, options.threshold);
  EXPECT_EQ(drained.plan.SlotCount(), filled.after.shards()[200].SlotCount());
}

TEST(RebalancePlanTest, AHotSlotStaysAndTheRestMakesRoom) {
  // Shard 1 has a slot that is as heavy as a third of all.
  Loads loads(kSlotCount, 10);
  loads[5460] = 5461 * 10;
  const Planned planned = Plan(EvenTopology(3), loads, By(RebalanceBy::kKeys));
  EXPECT_EQ(planned.after.OwnerOf(5460), ShardId(1));
  for (const ShardBalance& shard : planned.plan.shards) {
    EXPECT_TRUE(Settled(shard, shard.load_after, 0.001)) << shard.id;
  }
}

TEST(RebalancePlanTest, WhatCannotBeSplitStays) {
  Loads loads(kSlotCount);
  loads[7] = 1000;
  EXPECT_THAT(Plan(EvenTopology(3), loads, By(RebalanceBy::kKeys)).plan.moves, IsEmpty());
}

TEST(RebalancePlanTest, EmptySlotsLeaveAShardOfWeightZero) {
  Loads loads(kSlotCount);
  for (size_t slot = 0; slot < 5000; ++slot) loads[slot] = 10;
  RebalanceOptions options = By(RebalanceBy::kKeys);
  options.weights[ShardId(3)] = 0;
  const Planned planned = Plan(EvenTopology(3), loads, options);
  EXPECT_THAT(planned.after.shards()[2].slots, IsEmpty());
}

TEST(RebalancePlanTest, AnEmptyClusterIsBalancedBySlots) {
  RebalanceOptions options = By(RebalanceBy::kBytes);
  options.weights[ShardId(3)] = 0;
  const Planned planned = Plan(EvenTopology(3), Loads(kSlotCount), options);
  EXPECT_EQ(planned.plan.by, RebalanceBy::kSlots);
  EXPECT_EQ(planned.plan.shards[0].slots_after, 8192);
  EXPECT_EQ(planned.plan.shards[1].slots_after, 8192);
}

// ---- What is refused ----

void ExpectRefused(const Topology& topology, const Loads& loads, const RebalanceOptions& options,
                   const std::string& why) {
  EXPECT_THAT(PlanRebalance(topology, loads, options),
              HasError(absl::StatusCode::kInvalidArgument, why));
}

TEST(RebalancePlanTest, RefusesBadOptions) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double threshold : {-0.01, 1.0, kNan, kInfinity}) {
    ExpectRefused(EvenTopology(3), {}, By(RebalanceBy::kSlots, threshold), "threshold ");
  }
  for (const double weight : {-1.0, -kInfinity, kInfinity, kNan}) {
    RebalanceOptions options;
    options.weights[ShardId(2)] = weight;
    ExpectRefused(EvenTopology(3), {}, options, "of shard-2: it must be finite");
  }
  RebalanceOptions options;
  options.weights = {{ShardId(1), 1}, {ShardId(4), 1}};
  ExpectRefused(EvenTopology(3), {}, options, "shard-4: no such shard");
  options.weights = {{ShardId(1), 0}, {ShardId(2), 0}};
  ExpectRefused(EvenTopology(2), {}, options, "all weights are 0");
  // The one that is not 0 has no slots, and is to get none.
  options.weights = {{ShardId(1), 0}};
  options.use_empty_shards = false;
  ExpectRefused(ContiguousTopology({kSlotCount, 0}), {}, options, "all weights are 0");
}

TEST(RebalancePlanTest, RefusesBadTopologies) {
  ExpectRefused(Topology(), {}, {}, "no shards");
  std::vector<ShardInfo> shards(1);
  shards[0].id = ShardId(1);
  shards[0].slots = {{0, 16}, {18, 16383}};
  ExpectRefused(Topology(Epoch(1), shards), {}, {}, "slot 17 has no owner");
}

TEST(RebalancePlanTest, RefusesBadLoads) {
  ExpectRefused(EvenTopology(3), {}, By(RebalanceBy::kKeys), "loads of 0 slots");
  ExpectRefused(EvenTopology(3), Loads(16383), By(RebalanceBy::kBytes), "loads of 16383 slots");
  Loads loads(kSlotCount);
  loads[0] = loads[9] = uint64_t{1} << 52;
  EXPECT_THAT(PlanRebalance(EvenTopology(3), loads, By(RebalanceBy::kBytes)), IsOk());
  loads[16383] = 1;
  ExpectRefused(EvenTopology(3), loads, By(RebalanceBy::kBytes), "more than 9007199254740992");
  loads.assign(kSlotCount, std::numeric_limits<uint64_t>::max());
  ExpectRefused(EvenTopology(3), loads, By(RebalanceBy::kBytes), "more than 9007199254740992");
}

}  // namespace
}  // namespace slotkv
