// Slot hashing, beside the loop over one table that Redis uses.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "benchmark/benchmark.h"
#include "benchmarks/metric.h"
#include "benchmarks/peers/table_crc16.h"
#include "benchmarks/workload.h"
#include "slotkv/slot.h"

namespace slotkv {
namespace {

template <uint16_t (*kHash)(std::string_view)>
Side HashKeys(size_t length) {
  const auto keys = std::make_shared<std::vector<std::string>>(SessionKeys(1024, length));
  const auto views = std::make_shared<std::vector<std::string_view>>(keys->begin(), keys->end());
  return [keys, views] {
    constexpr int kRounds = 400;
    const Stopwatch watch;
    for (int round = 0; round < kRounds; ++round) {
      for (const std::string_view key : *views) benchmark::DoNotOptimize(kHash(key));
    }
    return watch.Seconds() * 1e9 / kRounds / static_cast<double>(views->size());
  };
}

Metric SlotHash(size_t length, double times_as_fast) {
  Metric metric;
  metric.name = "slot_hash_" + std::to_string(length);
  metric.unit = "ns/key";
  metric.repetitions = 21;
  metric.bar = {Bar::kRatioAtMost, 1 / times_as_fast};
  metric.slotkv = [length] { return HashKeys<SlotForKey>(length); };
  metric.peer = [length] { return HashKeys<peers::TableSlotForKey>(length); };
  return metric;
}

}  // namespace

std::vector<Metric> SlotMetrics() {
  return {SlotHash(16, 6), SlotHash(36, 9), SlotHash(64, 14), SlotHash(256, 20)};
}

}  // namespace slotkv
