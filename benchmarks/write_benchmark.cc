// One writer: a set of slotkv beside one put of RocksDB with its write-ahead log.
//
//   ./bazelw run -c opt //benchmarks:write_benchmark
#include <memory>
#include <string>
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

BENCHMARK(BM_SlotkvSetMapped);
BENCHMARK(BM_SlotkvSetWritten);
BENCHMARK(BM_RocksDbPutWithWal);

}  // namespace
}  // namespace slotkv
