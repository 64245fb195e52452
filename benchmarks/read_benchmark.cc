// One reader of 1,000,000 keys, the block cache warm: gets, gets of 32 keys at a time, and whole
// scans of slotkv beside those of RocksDB.
//
//   ./bazelw run --config=rocksdb_src //benchmarks:read_benchmark
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "benchmark/benchmark.h"
#include "benchmarks/subjects.h"
#include "benchmarks/workload.h"

namespace slotkv {
namespace {

constexpr size_t kKeys = 1000000;

const std::vector<std::string>& Keys() {
  static const std::vector<std::string>* const keys =
      new std::vector<std::string>(SessionKeys(kKeys));
  return *keys;
}

// One for all benchmarks: loading takes far longer than reading.
template <typename Subject>
Subject& Filled() {
  static Subject* const filled = [] {
    auto* const subject = new Subject;
    for (size_t i = 0; i < kKeys; ++i) subject->Set(Keys()[i], SessionValue(i));
    subject->Flush();
    std::string value;
    for (const std::string& key : Keys()) subject->Get(key, &value);  // warms the block cache
    return subject;
  }();
  return *filled;
}

template <typename Subject>
void BM_Get(benchmark::State& state) {
  Subject& subject = Filled<Subject>();
  std::string value;
  std::mt19937_64 random(1);
  for (auto _ : state) subject.Get(Keys()[random() % kKeys], &value);
  state.SetItemsProcessed(state.iterations());
}

template <typename Subject>
void BM_MultiGet(benchmark::State& state) {
  Subject& subject = Filled<Subject>();
  std::vector<std::string_view> wanted(static_cast<size_t>(state.range(0)));
  std::vector<std::string> values(wanted.size());
  std::mt19937_64 random(1);
  for (auto _ : state) {
    for (std::string_view& key : wanted) key = Keys()[random() % kKeys];
    subject.MultiGet(wanted, &values);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

template <typename Subject>
void BM_Scan(benchmark::State& state) {
  Subject& subject = Filled<Subject>();
  for (auto _ : state) benchmark::DoNotOptimize(subject.Scan(/*page=*/1000));
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kKeys));
}

BENCHMARK_TEMPLATE(BM_Get, SlotkvSubject);
BENCHMARK_TEMPLATE(BM_Get, RocksDbSubject);
BENCHMARK_TEMPLATE(BM_MultiGet, SlotkvSubject)->Arg(8)->Arg(32)->Arg(128);
BENCHMARK_TEMPLATE(BM_MultiGet, RocksDbSubject)->Arg(8)->Arg(32)->Arg(128);
BENCHMARK_TEMPLATE(BM_Scan, SlotkvSubject);
BENCHMARK_TEMPLATE(BM_Scan, RocksDbSubject);

}  // namespace
}  // namespace slotkv
