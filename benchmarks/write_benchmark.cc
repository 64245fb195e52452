// One writer: sets and batches of slotkv beside those of RocksDB with its write-ahead log.
//
//   ./bazelw run --config=rocksdb_src //benchmarks:write_benchmark
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "benchmark/benchmark.h"
#include "benchmarks/subjects.h"
#include "benchmarks/workload.h"

namespace slotkv {
namespace {

template <typename Subject>
void Write(benchmark::State& state, Subject* subject) {
  const std::vector<std::string> keys = SessionKeys(size_t{1} << 20);
  const std::string value = SessionValue(1);
  size_t next = 0;
  for (auto _ : state) subject->Set(keys[next++ % keys.size()], value);
  state.SetItemsProcessed(state.iterations());
}

void BM_SlotkvSetMapped(benchmark::State& state) {
  SlotkvSubject subject(LogIo::kMapped);
  Write(state, &subject);
}
void BM_SlotkvSetWritten(benchmark::State& state) {
  SlotkvSubject subject(LogIo::kWrite);
  Write(state, &subject);
}
void BM_RocksDbPutWithWal(benchmark::State& state) {
  RocksDbSubject subject;
  Write(state, &subject);
}

// The keys of a batch have one hash tag.
template <typename Subject>
void BM_Batch(benchmark::State& state) {
  Subject subject;
  const std::vector<std::string> keys = SessionKeys(static_cast<size_t>(state.range(0)));
  const std::string value = SessionValue(1);
  size_t batches = 0;
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<std::string> tagged;
    const std::string tag = "{" + std::to_string(batches++) + "}";
    for (const std::string& key : keys) tagged.push_back(tag + key);
    const std::vector<std::string_view> together(tagged.begin(), tagged.end());
    state.ResumeTiming();
    subject.WriteBatch(together, value);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK_TEMPLATE(BM_Batch, SlotkvSubject)->Arg(10)->Arg(100)->Arg(1000);
BENCHMARK_TEMPLATE(BM_Batch, RocksDbSubject)->Arg(10)->Arg(100)->Arg(1000);

BENCHMARK(BM_SlotkvSetMapped);
BENCHMARK(BM_SlotkvSetWritten);
BENCHMARK(BM_RocksDbPutWithWal);

}  // namespace
}  // namespace slotkv
