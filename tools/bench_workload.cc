#include "tools/bench_workload.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace slotkv::tools {
namespace {

using SteadyClock = std::chrono::steady_clock;

uint64_t NanosecondsSince(SteadyClock::time_point start) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(SteadyClock::now() - start).count());
}

void Note(SteadyClock::time_point start, uint64_t keys, uint64_t hits, CallFigures* figures) {
  const uint64_t latency_ns = NanosecondsSince(start);
  figures->latency.Add(Histogram::BucketOf(latency_ns), 1);
  figures->max = std::max(figures->max, absl::Nanoseconds(static_cast<int64_t>(latency_ns)));
  figures->keys += keys;
  figures->hits += hits;
}

// One thread's calls.
class Caller {
 public:
  Caller(Cluster* cluster, const BenchOptions& options, uint64_t seed)
      : cluster_(cluster),
        options_(options),
        random_(seed),
        // Each value is another part of it.
        noise_(options.value_bytes + kNoiseBytes, '\0'),
        keys_(options.batch),
        key_views_(options.batch),
        entries_(options.batch),
        values_(options.batch),
        statuses_(options.batch) {
    for (char& byte : noise_) byte = static_cast<char>(random_());
  }

  // Sets `count` keys, at most a batch, from number `first` on.
  absl::Status Set(uint64_t first, size_t count) {
    for (size_t i = 0; i < count; ++i) NameKey(i, first + i);
    return SetKeys(count);
  }

  // One call, on random keys.
  absl::Status ReadOrWrite() {
    for (size_t i = 0; i < options_.batch; ++i) NameKey(i, random_() % options_.keys);
    const bool read = random_() % 100 < static_cast<uint64_t>(options_.read_percent);
    return read ? Get() : SetKeys(options_.batch);
  }

  PhaseFigures& figures() { return figures_; }

 private:
  static constexpr size_t kNoiseBytes = 4096;

  void NameKey(size_t i, uint64_t number) {
    keys_[i].clear();
    absl::StrAppend(&keys_[i], "bench:", number);
    key_views_[i] = keys_[i];
  }

  std::string_view Value() {
    return std::string_view(noise_).substr(random_() % kNoiseBytes, options_.value_bytes);
  }

  absl::Status SetKeys(size_t count) {
    for (size_t i = 0; i < count; ++i) entries_[i] = {keys_[i], Value()};
    absl::Status status;
    const SteadyClock::time_point start = SteadyClock::now();
    if (options_.batch == 1) {
      status = cluster_->Set(entries_[0].key, entries_[0].value);
    } else {
      for (absl::Status& set : cluster_->MultiSet(absl::MakeSpan(entries_.data(), count))) {
        status.Update(std::move(set));
      }
    }
    if (status.ok()) Note(start, count, 0, &figures_.writes);
    return status;
  }

  absl::Status Get() {
    const SteadyClock::time_point start = SteadyClock::now();
    if (options_.batch == 1) {
      statuses_[0] = cluster_->Get(keys_[0], &values_[0]);
    } else {
      cluster_->MultiGet(key_views_, absl::MakeSpan(values_), absl::MakeSpan(statuses_));
    }
    uint64_t hits = 0;
    for (const absl::Status& status : statuses_) {
      if (!status.ok() && !absl::IsNotFound(status)) return status;
      hits += status.ok() ? 1 : 0;
    }
    Note(start, options_.batch, hits, &figures_.reads);
    return absl::OkStatus();
  }

  Cluster* const cluster_;
  const BenchOptions options_;
  std::mt19937_64 random_;
  std::string noise_;
  PhaseFigures figures_;

  std::vector<std::string> keys_;
  std::vector<std::string_view> key_views_;
  std::vector<KeyValue> entries_;
  std::vector<std::string> values_;
  std::vector<absl::Status> statuses_;
};

// One call; false after the last.
using Step = std::function<absl::StatusOr<bool>(Caller*)>;

// Each thread takes the steps of `steps_of(thread)` up to the last, or to an error.
PhaseFigures RunThreads(Cluster* cluster, const BenchOptions& options, const Interrupt& interrupt,
                        const std::function<Step(int thread)>& steps_of) {
  std::atomic<bool> stop{false};
  std::vector<PhaseFigures> figures(static_cast<size_t>(options.threads));
  std::vector<std::thread> threads;
  const SteadyClock::time_point start = SteadyClock::now();
  for (int thread = 0; thread < options.threads; ++thread) {
    threads.emplace_back([&, thread] {
      Caller caller(cluster, options, static_cast<uint64_t>(thread) + 1);
      const Step step = steps_of(thread);
      absl::StatusOr<bool> more = true;
      while (more.ok() && *more && !stop.load(std::memory_order_relaxed)) {
        more = interrupt.raised() ? absl::CancelledError("interrupted") : step(&caller);
      }
      if (!more.ok()) stop = true;
      figures[static_cast<size_t>(thread)] = std::move(caller.figures());
      figures[static_cast<size_t>(thread)].status = more.status();
    });
  }
  for (std::thread& thread : threads) thread.join();
  PhaseFigures total;
  for (const PhaseFigures& part : figures) {
    total.reads += part.reads;
    total.writes += part.writes;
    total.status.Update(part.status);
  }
  total.elapsed = absl::Nanoseconds(static_cast<int64_t>(NanosecondsSince(start)));
  return total;
}

}  // namespace

CallFigures& CallFigures::operator+=(const CallFigures& other) {
  latency += other.latency;
  max = std::max(max, other.max);
  keys += other.keys;
  hits += other.hits;
  return *this;
}

PhaseFigures RunLoadPhase(Cluster* cluster, const BenchOptions& options,
                          const Interrupt& interrupt) {
  const uint64_t threads = static_cast<uint64_t>(options.threads);
  return RunThreads(cluster, options, interrupt, [&options, threads](int thread) {
    const uint64_t part = static_cast<uint64_t>(thread);
    const uint64_t end = options.keys * (part + 1) / threads;
    return [&options, next = options.keys * part / threads,
            end](Caller* caller) mutable -> absl::StatusOr<bool> {
      if (next >= end) return false;
      const size_t count = static_cast<size_t>(std::min<uint64_t>(options.batch, end - next));
      absl::Status set = caller->Set(next, count);
      if (!set.ok()) return set;
      next += count;
      return next < end;
    };
  });
}

PhaseFigures RunMixedPhase(Cluster* cluster, const BenchOptions& options,
                           const Interrupt& interrupt) {
  const SteadyClock::time_point end =
      SteadyClock::now() + std::chrono::nanoseconds(absl::ToInt64Nanoseconds(options.duration));
  return RunThreads(cluster, options, interrupt, [end](int) {
    return [end](Caller* caller) -> absl::StatusOr<bool> {
      absl::Status called = caller->ReadOrWrite();
      if (!called.ok()) return called;
      return SteadyClock::now() < end;
    };
  });
}

}  // namespace slotkv::tools
