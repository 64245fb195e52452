// What `slotkv bench` does to a cluster: it writes keys, then reads and writes them at random.
#ifndef SLOTKV_TOOLS_BENCH_WORKLOAD_H_
#define SLOTKV_TOOLS_BENCH_WORKLOAD_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "slotkv/cluster.h"
#include "slotkv/histogram.h"
#include "tools/interrupt.h"

namespace slotkv::tools {

struct BenchOptions {
  uint64_t keys = 100'000;
  absl::Duration duration = absl::Seconds(4);  // of the mixed phase
  int threads = 4;
  size_t value_bytes = 200;
  int read_percent = 90;
  // Keys in a call; above 1, calls are MultiSet and MultiGet.
  size_t batch = 1;
};

// Calls of one kind.
struct CallFigures {
  Histogram latency;  // of calls
  absl::Duration max;
  uint64_t keys = 0;
  uint64_t hits = 0;

  CallFigures& operator+=(const CallFigures& other);
};

// A phase, be it complete or not.
struct PhaseFigures {
  CallFigures reads;
  CallFigures writes;
  absl::Duration elapsed;
  // The first error; Cancelled after an interrupt.
  absl::Status status;
};

// Sets each key once.
PhaseFigures RunLoadPhase(Cluster* cluster, const BenchOptions& options,
                          const Interrupt& interrupt);
// Reads and sets keys at random.
PhaseFigures RunMixedPhase(Cluster* cluster, const BenchOptions& options,
                           const Interrupt& interrupt);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_BENCH_WORKLOAD_H_
