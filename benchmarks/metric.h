// A metric of the scorecard: two sides that are measured alike, and the bar it has to pass.
#ifndef SLOTKV_BENCHMARKS_METRIC_H_
#define SLOTKV_BENCHMARKS_METRIC_H_

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace slotkv {

class Stopwatch {
 public:
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// One run of one side, in the metric's unit.
using Side = std::function<double()>;

struct Bar {
  // kRatio: of slotkv to its peer. kValue: of slotkv alone.
  enum Kind { kNone, kRatioAtMost, kRatioAtLeast, kValueAtMost, kValueAtLeast } kind = kNone;
  double value = 0;
};

struct Metric {
  std::string name;
  std::string unit;
  int repetitions = 5;
  Bar bar;
  // Called when the metric's turn comes; what they hold is freed when it is over.
  std::function<Side()> slotkv;
  std::function<Side()> peer;  // may be empty
};

std::vector<Metric> SlotMetrics();
std::vector<Metric> StoreMetrics();
std::vector<Metric> ClientMetrics();
// In a process of their own: see OpenInThisProcess.
std::vector<Metric> OpenMetrics();
std::vector<Metric> ReplicationMetrics();
std::vector<Metric> RebalanceMetrics();

// What the child that OpenMetrics starts is to do: create and open a cluster of 64 shards below
// `directory` and print what that took. The process's exit code.
int OpenInThisProcess(const std::string& directory);
inline constexpr const char* kOpenArgument = "--open-in-this-process";

// The children of ReplicationMetrics. Each says in a line when it has done what it is to do.
// Fills a cluster of three shards with replicas below `directory`, and then goes on writing.
int FillUntilKilled(const std::string& directory);
inline constexpr const char* kFillArgument = "--fill-until-killed";
// Opens that cluster and sets one key.
int WriteOnce(const std::string& directory);
inline constexpr const char* kFirstWriteArgument = "--write-once";

}  // namespace slotkv

#endif  // SLOTKV_BENCHMARKS_METRIC_H_
