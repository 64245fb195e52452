// Planning how slots move between many shards that are far from balanced.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "benchmarks/metric.h"
#include "shard/rebalance_plan.h"
#include "slotkv/slot.h"
#include "slotkv/topology.h"

namespace slotkv {
namespace {

constexpr uint32_t kShards = 256;

struct UnevenCluster {
  Topology topology;
  std::vector<uint64_t> loads;
  RebalanceOptions options;
};

// Shards in runs of up to 200 slots, a tenth of them without any; slots from light to a hundred
// times as heavy; weights from 0 to 3.
UnevenCluster MakeUnevenCluster() {
  std::mt19937_64 random(256);
  UnevenCluster cluster;
  std::vector<ShardInfo> shards(kShards);
  for (uint32_t i = 0; i < kShards; ++i) shards[i].id = ShardId(i + 1);
  size_t before = kShards;
  for (uint64_t first = 0; first < kSlotCount;) {
    const uint64_t last = std::min<uint64_t>(first + random() % 200, kSlotCount - 1);
    size_t shard = before;
    while (shard == before) shard = random() % (kShards - kShards / 10);
    shards[shard].slots.push_back({static_cast<Slot>(first), static_cast<Slot>(last)});
    before = shard;
    first = last + 1;
  }
  cluster.topology = Topology(Epoch(1), std::move(shards));
  for (int slot = 0; slot < kSlotCount; ++slot) {
    cluster.loads.push_back(1000 * (1 + random() % 10) * (1 + random() % 10));
  }
  for (uint32_t i = 0; i < kShards; ++i) {
    cluster.options.weights[ShardId(i + 1)] = static_cast<double>(random() % 4);
  }
  return cluster;
}

double PlanMs(const UnevenCluster& cluster, RebalanceBy by) {
  RebalanceOptions options = cluster.options;
  options.by = by;
  const Stopwatch watch;
  const absl::StatusOr<RebalancePlan> plan =
      PlanRebalance(cluster.topology, cluster.loads, options);
  const double took_ms = watch.Seconds() * 1e3;
  if (!plan.ok() || plan->moves.empty()) {
    std::cerr << "no plan: " << plan.status() << std::endl;
    std::abort();
  }
  return took_ms;
}

}  // namespace

std::vector<Metric> RebalanceMetrics() {
  Metric metric;
  metric.name = "rebalance_plan";
  metric.unit = "ms";
  metric.repetitions = 21;
  metric.bar = {Bar::kValueAtMost, 50};
  metric.slotkv = [] {
    const auto cluster = std::make_shared<const UnevenCluster>(MakeUnevenCluster());
    // The slower of the two.
    return [cluster] {
      return std::max(PlanMs(*cluster, RebalanceBy::kSlots), PlanMs(*cluster, RebalanceBy::kBytes));
    };
  };
  return {std::move(metric)};
}

}  // namespace slotkv
