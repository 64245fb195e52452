// Slot hashing against the way Redis does it.
//
//   ./bazelw run --config=opt //benchmarks:slot_hash_benchmark
//
// Each iteration hashes 1024 random session keys of one length; "time_per_key" is the figure to
// compare. Both sides are plain calls into another translation unit. In "Dependent" the next key is
// chosen by the last slot, so that calls cannot overlap: what one call takes, not how many fit.

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "benchmark/benchmark.h"
#include "benchmarks/peers/table_crc16.h"
#include "slotkv/slot.h"

namespace slotkv {
namespace {

constexpr size_t kKeys = 1024;

// Keys such as "session:Yb0…", each exactly `length` bytes and in an allocation of its own. With
// `tagged` they start with a hash tag, "{u31337}:Yb0…".
class SessionKeys {
 public:
  explicit SessionKeys(size_t length, bool tagged = false) {
    static constexpr std::string_view kAlphabet =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    std::mt19937_64 random(length);
    for (size_t i = 0; i < kKeys; ++i) {
      std::string key = "session:";
      if (tagged) key = "{u" + std::to_string(10000 + random() % 90000) + "}:";
      while (key.size() < length) key += kAlphabet[random() % kAlphabet.size()];
      storage_.push_back(std::move(key));
    }
    views_.assign(storage_.begin(), storage_.end());
  }

  absl::Span<const std::string_view> views() const { return views_; }

 private:
  std::vector<std::string> storage_;
  std::vector<std::string_view> views_;
};

void ReportTimePerKey(benchmark::State& state) {
  state.counters["time_per_key"] = benchmark::Counter(
      kKeys, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

template <uint16_t (*kHash)(std::string_view)>
void Independent(benchmark::State& state, bool tagged) {
  const SessionKeys keys(state.range(0), tagged);
  for (auto _ : state) {
    for (const std::string_view key : keys.views()) benchmark::DoNotOptimize(kHash(key));
  }
  ReportTimePerKey(state);
}

template <uint16_t (*kHash)(std::string_view)>
void Dependent(benchmark::State& state) {
  const SessionKeys keys(state.range(0));
  size_t next = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < kKeys; ++i) next = (kHash(keys.views()[next]) + i) % kKeys;
    benchmark::DoNotOptimize(next);
  }
  ReportTimePerKey(state);
}

void KeyLengths(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("bytes")->Arg(16)->Arg(36)->Arg(64)->Arg(256);
}

void BM_SlotForKey(benchmark::State& state) { Independent<SlotForKey>(state, false); }
void BM_TableSlotForKey(benchmark::State& state) {
  Independent<peers::TableSlotForKey>(state, false);
}
BENCHMARK(BM_SlotForKey)->Apply(KeyLengths);
BENCHMARK(BM_TableSlotForKey)->Apply(KeyLengths);

void BM_SlotForTaggedKey(benchmark::State& state) { Independent<SlotForKey>(state, true); }
void BM_TableSlotForTaggedKey(benchmark::State& state) {
  Independent<peers::TableSlotForKey>(state, true);
}
BENCHMARK(BM_SlotForTaggedKey)->Apply(KeyLengths);
BENCHMARK(BM_TableSlotForTaggedKey)->Apply(KeyLengths);

void BM_DependentSlotForKey(benchmark::State& state) { Dependent<SlotForKey>(state); }
void BM_DependentTableSlotForKey(benchmark::State& state) {
  Dependent<peers::TableSlotForKey>(state);
}
BENCHMARK(BM_DependentSlotForKey)->Apply(KeyLengths);
BENCHMARK(BM_DependentTableSlotForKey)->Apply(KeyLengths);

void BM_SlotsForKeys(benchmark::State& state) {
  const SessionKeys keys(state.range(0));
  std::vector<Slot> slots(kKeys);
  for (auto _ : state) {
    SlotsForKeys(keys.views(), absl::MakeSpan(slots));
    benchmark::DoNotOptimize(slots.data());
    benchmark::ClobberMemory();
  }
  ReportTimePerKey(state);
}
BENCHMARK(BM_SlotsForKeys)->Apply(KeyLengths);

}  // namespace
}  // namespace slotkv
