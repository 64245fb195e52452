// The scorecard: slotkv beside its peers, metric by metric, against the bars that it has set
// itself.
//
//   ./bazelw run --config=rocksdb_src //benchmarks:scorecard [-- METRIC...]
//
// Prints one tab-separated line a metric on stdout:
//   metric  unit  slotkv  peer  ratio  bar  verdict
// slotkv and peer are medians over the repetitions, ratio is slotkv/peer, "-" stands where there is
// no peer or no bar. What was measured with is on stderr: the bars count with RocksDB in release
// mode. Both sides of a metric run in this process, repetition by repetition in random order, so
// that a machine that changes its speed changes both. Exit status 1 if a bar is missed.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "benchmarks/metric.h"
#include "rocksdb/version.h"

#ifndef SLOTKV_ROCKSDB_LIBRARY
#define SLOTKV_ROCKSDB_LIBRARY "the caller's own"
#endif

namespace slotkv {
namespace {

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string Number(const char* format, double value) {
  char text[32];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

// True unless the metric's bar is missed.
bool Report(const Metric& metric, double slotkv, std::optional<double> peer) {
  const double ratio = peer.has_value() ? slotkv / *peer : 0;
  const double bar = metric.bar.value;
  std::string bar_text = "-";
  bool met = true;
  switch (metric.bar.kind) {
    case Bar::kNone:
      break;
    case Bar::kRatioAtMost:
      bar_text = Number("ratio<=%.3f", bar);
      met = ratio <= bar;
      break;
    case Bar::kRatioAtLeast:
      bar_text = Number("ratio>=%.3f", bar);
      met = ratio >= bar;
      break;
    case Bar::kValueAtMost:
      bar_text = Number("<=%.4g", bar);
      met = slotkv <= bar;
      break;
    case Bar::kValueAtLeast:
      bar_text = Number(">=%.4g", bar);
      met = slotkv >= bar;
      break;
  }
  const char* const verdict = metric.bar.kind == Bar::kNone ? "-" : met ? "pass" : "miss";
  std::printf("%s\t%s\t%.4g\t%s\t%s\t%s\t%s\n", metric.name.c_str(), metric.unit.c_str(), slotkv,
              peer.has_value() ? Number("%.4g", *peer).c_str() : "-",
              peer.has_value() ? Number("%.3f", ratio).c_str() : "-", bar_text.c_str(), verdict);
  std::fflush(stdout);
  return met;
}

bool Measure(const Metric& metric, std::mt19937_64* random) {
  const Side slotkv = metric.slotkv();
  const Side peer = metric.peer ? metric.peer() : Side();
  std::vector<double> ours, theirs;
  for (int i = 0; i < metric.repetitions; ++i) {
    const bool peer_first = ((*random)() & 1) != 0;
    if (peer && peer_first) theirs.push_back(peer());
    ours.push_back(slotkv());
    if (peer && !peer_first) theirs.push_back(peer());
  }
  return Report(metric, Median(ours), peer ? std::optional<double>(Median(theirs)) : std::nullopt);
}

int Main(int argc, char** argv) {
  const std::string job = argc == 3 ? argv[1] : "";
  if (job == kOpenArgument) return OpenInThisProcess(argv[2]);
  if (job == kFillArgument) return FillUntilKilled(argv[2]);
  if (job == kFirstWriteArgument) return WriteOnce(argv[2]);
  const std::vector<std::string> wanted(argv + 1, argv + argc);
  std::cerr << "RocksDB " << ROCKSDB_MAJOR << "." << ROCKSDB_MINOR << "." << ROCKSDB_PATCH << ": "
            << SLOTKV_ROCKSDB_LIBRARY << std::endl;
#ifndef NDEBUG
  std::cerr << "slotkv itself is built without -c opt: these figures mean nothing" << std::endl;
#endif
  std::vector<Metric> metrics = SlotMetrics();
  for (const auto& more :
       {StoreMetrics(), ClientMetrics(), RebalanceMetrics(), ReplicationMetrics(), OpenMetrics()}) {
    metrics.insert(metrics.end(), more.begin(), more.end());
  }
  std::mt19937_64 random(std::random_device{}());
  bool all_met = true;
  for (const Metric& metric : metrics) {
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), metric.name) == wanted.end()) {
      continue;
    }
    all_met = Measure(metric, &random) && all_met;
  }
  return all_met ? 0 : 1;
}

}  // namespace
}  // namespace slotkv

int main(int argc, char** argv) { return slotkv::Main(argc, argv); }
