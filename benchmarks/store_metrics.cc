// What one thread does to one shard, beside RocksDB with a write-ahead log of its own.
#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "benchmarks/metric.h"
#include "benchmarks/subjects.h"
#include "benchmarks/workload.h"

namespace slotkv {
namespace {

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

Metric Set(const std::string& name, LogIo log_io, int replicas, Bar bar) {
  Metric metric;
  metric.name = name;
  metric.unit = "us/set";
  metric.bar = bar;
  metric.slotkv = [log_io, replicas] {
    return WriteKeys(
        [log_io, replicas] { return std::make_unique<SlotkvSubject>(log_io, replicas); });
  };
  metric.peer = [] { return WriteKeys([] { return std::make_unique<RocksDbSubject>(); }); };
  return metric;
}

// ---- Reads ----

constexpr size_t kStoredKeys = 1000000;

// A store of kStoredKeys in tables, its block cache warm.
template <typename Subject>
std::shared_ptr<Subject> FilledSubject(const std::vector<std::string>& keys) {
  const auto subject = std::make_shared<Subject>();
  for (size_t i = 0; i < keys.size(); ++i) subject->Set(keys[i], SessionValue(i));
  subject->Flush();
  std::string value;
  for (const std::string& key : keys) subject->Get(key, &value);
  return subject;
}

template <typename Subject>
Side ReadKeys() {
  const auto keys = std::make_shared<std::vector<std::string>>(SessionKeys(kStoredKeys));
  const auto subject = FilledSubject<Subject>(*keys);
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

template <typename Subject>
Side ReadManyKeys() {
  const auto keys = std::make_shared<std::vector<std::string>>(SessionKeys(kStoredKeys));
  const auto subject = FilledSubject<Subject>(*keys);
  const auto random = std::make_shared<std::mt19937_64>(1);
  return [keys, subject, random] {
    constexpr size_t kTogether = 32;
    constexpr int kReads = 8000;
    std::vector<std::string_view> wanted(kTogether);
    std::vector<std::string> values(kTogether);
    const Stopwatch watch;
    for (int i = 0; i < kReads; ++i) {
      for (std::string_view& key : wanted) key = (*keys)[(*random)() % keys->size()];
      subject->MultiGet(wanted, &values);
    }
    return kReads * kTogether / watch.Seconds();
  };
}

// ---- Batches ----

// Each run writes into an empty store; the keys of one batch have one hash tag.
template <typename Subject>
Side WriteBatches() {
  constexpr size_t kTogether = 1000;
  constexpr size_t kBatches = 200;
  const auto keys = std::make_shared<std::vector<std::string>>(SessionKeys(kTogether * kBatches));
  for (size_t i = 0; i < keys->size(); ++i) {
    (*keys)[i] = "{" + std::to_string(i / kTogether) + "}" + (*keys)[i];
  }
  return [keys] {
    Subject subject;
    const std::string value = SessionValue(1);
    std::vector<std::string_view> together(kTogether);
    const Stopwatch watch;
    for (size_t i = 0; i < keys->size(); i += kTogether) {
      std::copy_n(keys->begin() + static_cast<ptrdiff_t>(i), kTogether, together.begin());
      subject.WriteBatch(together, value);
    }
    return kTogether * kBatches / watch.Seconds();
  };
}

// ---- Scans ----

template <typename Subject>
Side ScanKeys() {
  const auto keys = std::make_shared<std::vector<std::string>>(SessionKeys(kStoredKeys));
  const auto subject = FilledSubject<Subject>(*keys);
  return [subject] {
    const Stopwatch watch;
    const size_t count = subject->Scan(/*page=*/1000);
    return static_cast<double>(count) / watch.Seconds();
  };
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

}  // namespace

std::vector<Metric> StoreMetrics() {
  return {
      Set("set_1thread", LogIo::kMapped, 0, {Bar::kRatioAtMost, 0.9}),
      Set("set_1thread_write", LogIo::kWrite, 0, {}),
      // With one synchronous replica, beside a plain put.
      Set("set_replicated_1thread", LogIo::kMapped, 1, {Bar::kRatioAtMost, 1.0}),
      Set("set_replicated_1thread_write", LogIo::kWrite, 1, {}),
      {"get_cold",
       "us/get",
       9,
       {Bar::kRatioAtMost, 1.15},
       ReadKeys<SlotkvSubject>,
       ReadKeys<RocksDbSubject>},
      // 32 keys at a time.
      {"multiget_cold_32",
       "keys/s",
       9,
       {Bar::kRatioAtLeast, 0.8},
       ReadManyKeys<SlotkvSubject>,
       ReadManyKeys<RocksDbSubject>},
      {"batch_1000",
       "keys/s",
       9,
       {Bar::kRatioAtLeast, 0.9},
       WriteBatches<SlotkvSubject>,
       WriteBatches<RocksDbSubject>},
      {"scan",
       "keys/s",
       9,
       {Bar::kRatioAtLeast, 0.8},
       ScanKeys<SlotkvSubject>,
       ScanKeys<RocksDbSubject>},
      {"recovery",
       "records/s",
       5,
       {Bar::kValueAtLeast, 300000},
       Recover<SlotkvSubject>,
       Recover<RocksDbSubject>},
  };
}

}  // namespace slotkv
