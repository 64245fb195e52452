// One reader of 1,000,000 keys, the block cache warm: a get of slotkv beside one of RocksDB.
//
//   ./bazelw run -c opt //benchmarks:read_benchmark
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "benchmarks/subjects.h"
#include "benchmarks/workload.h"

namespace slotkv {
namespace {

constexpr size_t kKeys = 1000000;

template <typename Subject>
void Read(benchmark::State& state) {
  static const std::vector<std::string>* const keys =
      new std::vector<std::string>(SessionKeys(kKeys));
  Subject subject;
  for (size_t i = 0; i < keys->size(); ++i) subject.Set((*keys)[i], SessionValue(i));
  subject.Flush();
  std::string value;
  for (const std::string& key : *keys) subject.Get(key, &value);  // warms the block cache
  std::mt19937_64 random(1);
  for (auto _ : state) subject.Get((*keys)[random() % keys->size()], &value);
  state.SetItemsProcessed(state.iterations());
}

void BM_SlotkvGet(benchmark::State& state) { Read<SlotkvSubject>(state); }
void BM_RocksDbGet(benchmark::State& state) { Read<RocksDbSubject>(state); }

// Loading takes far longer than reading: once, not once for each guess at the iterations.
BENCHMARK(BM_SlotkvGet)->Iterations(300000);
BENCHMARK(BM_RocksDbGet)->Iterations(300000);

}  // namespace
}  // namespace slotkv
