// The scorecard: slotkv beside its peers, metric by metric, against the bars that it has set
// itself.
//
//   ./bazelw run -c opt //benchmarks:scorecard [-- METRIC...]
//
// Prints one tab-separated line a metric on stdout:
//   metric  unit  slotkv  peer  ratio  bar  verdict
// slotkv and peer are medians over the repetitions, ratio is slotkv/peer, "-" stands where there is
// no peer or no bar. What was measured with is on stderr. Both sides of a metric run in this
// process, repetition by repetition in random order, so that a machine that changes its speed
// changes both. Exit status 1 if a bar is missed.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "benchmark/benchmark.h"
#include "benchmarks/peers/table_crc16.h"
#include "benchmarks/subjects.h"
#include "benchmarks/workload.h"
#include "rocksdb/version.h"
#include "slotkv/slot.h"

namespace slotkv {
namespace {

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
  enum Kind { kNone, kRatioAtMost, kValueAtLeast } kind = kNone;
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

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// True unless the metric's bar is missed.
bool Report(const Metric& metric, double slotkv, std::optional<double> peer) {
  char peer_text[32] = "-", ratio_text[32] = "-", bar_text[32] = "-";
  const double ratio = peer.has_value() ? slotkv / *peer : 0;
  if (peer.has_value()) {
    std::snprintf(peer_text, sizeof(peer_text), "%.4g", *peer);
    std::snprintf(ratio_text, sizeof(ratio_text), "%.3f", ratio);
  }
  bool met = true;
  if (metric.bar.kind == Bar::kRatioAtMost) {
    std::snprintf(bar_text, sizeof(bar_text), "ratio<=%.3f", metric.bar.value);
    met = ratio <= metric.bar.value;
  } else if (metric.bar.kind == Bar::kValueAtLeast) {
    std::snprintf(bar_text, sizeof(bar_text), ">=%.4g", metric.bar.value);
    met = slotkv >= metric.bar.value;
  }
  const char* const verdict = metric.bar.kind == Bar::kNone ? "-" : met ? "pass" : "miss";
  std::printf("%s\t%s\t%.4g\t%s\t%s\t%s\t%s\n", metric.name.c_str(), metric.unit.c_str(), slotkv,
              peer_text, ratio_text, bar_text, verdict);
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

// ---- Slot hashing ----

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

// ---- Writes ----

constexpr size_t kWrites = 200000;

// Each run writes into an empty store.
template <typename MakeSubject>
Side WriteKeys(MakeSubject make_subject) {
  const auto keys = std::make_shared<std::vector<std::string>>(SessionKeys(kWrites));
  return [keys, make_subject] {
    const auto subject = make_subject();
    const std::string value = SessionValue(1);
    const Stopwatch watch;
    for (const std::string& key : *keys) subject->Set(key, value);
    return watch.Seconds() * 1e6 / kWrites;
  };
}

Metric Set(const std::string& name, LogIo log_io, Bar bar) {
  Metric metric;
  metric.name = name;
  metric.unit = "us/set";
  metric.bar = bar;
  metric.slotkv = [log_io] {
    return WriteKeys([log_io] { return std::make_unique<SlotkvSubject>(log_io); });
  };
  metric.peer = [] { return WriteKeys([] { return std::make_unique<RocksDbSubject>(); }); };
  return metric;
}

// ---- Reads ----

constexpr size_t kStoredKeys = 1000000;

template <typename Subject>
Side ReadKeys() {
  const auto keys = std::make_shared<std::vector<std::string>>(SessionKeys(kStoredKeys));
  const auto subject = std::make_shared<Subject>();
  for (size_t i = 0; i < keys->size(); ++i) subject->Set((*keys)[i], SessionValue(i));
  subject->Flush();
  std::string value;
  for (const std::string& key : *keys) subject->Get(key, &value);  // warms the block cache
  const auto random = std::make_shared<std::mt19937_64>(1);
  return [keys, subject, random] {
    constexpr int kReads = 200000;
    std::string value;
    const Stopwatch watch;
    for (int i = 0; i < kReads; ++i) {
      subject->Get((*keys)[(*random)() % keys->size()], &value);
    }
    return watch.Seconds() * 1e6 / kReads;
  };
}

Metric GetCold() {
  Metric metric;
  metric.name = "get_cold";
  metric.unit = "us/get";
  metric.repetitions = 9;
  metric.bar = {Bar::kRatioAtMost, 1.15};
  metric.slotkv = ReadKeys<SlotkvSubject>;
  metric.peer = ReadKeys<RocksDbSubject>;
  return metric;
}

// ---- Recovery ----

constexpr size_t kLoggedRecords = 300000;

// Each run writes a log and opens the store again, with nothing but the log to go by.
template <typename Subject>
Side Recover() {
  const auto keys = std::make_shared<std::vector<std::string>>(SessionKeys(kLoggedRecords));
  return [keys] {
    Subject subject;
    const std::string value = SessionValue(1);
    for (const std::string& key : *keys) subject.Set(key, value);
    const Stopwatch watch;
    subject.Reopen();
    return kLoggedRecords / watch.Seconds();
  };
}

Metric Recovery() {
  Metric metric;
  metric.name = "recovery";
  metric.unit = "records/s";
  metric.bar = {Bar::kValueAtLeast, 300000};
  metric.slotkv = Recover<SlotkvSubject>;
  metric.peer = Recover<RocksDbSubject>;
  return metric;
}

std::vector<Metric> Metrics() {
  return {
      SlotHash(16, 6),
      SlotHash(36, 9),
      SlotHash(64, 14),
      SlotHash(256, 20),
      Set("set_1thread", LogIo::kMapped, {Bar::kRatioAtMost, 0.9}),
      Set("set_1thread_write", LogIo::kWrite, {}),
      GetCold(),
      Recovery(),
  };
}

int Main(int argc, char** argv) {
  const std::vector<std::string> wanted(argv + 1, argv + argc);
  std::cerr << "RocksDB " << ROCKSDB_MAJOR << "." << ROCKSDB_MINOR << "." << ROCKSDB_PATCH
            << ", the system's shared library" << std::endl;
#ifndef NDEBUG
  std::cerr << "slotkv itself is built without -c opt: these figures mean nothing" << std::endl;
#endif
  std::mt19937_64 random(std::random_device{}());
  bool all_met = true;
  for (const Metric& metric : Metrics()) {
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
