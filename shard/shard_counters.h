// What ClusterStats counts of a shard, striped over threads.
#ifndef SLOTKV_SHARD_SHARD_COUNTERS_H_
#define SLOTKV_SHARD_SHARD_COUNTERS_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "engine/thread_stripe.h"
#include "slotkv/stats.h"

namespace slotkv {

// Thread-safe. All counters are relaxed: they order nothing.
class ShardCounters {
 public:
  void NoteRead(uint64_t keys, uint64_t hits, uint64_t bytes, uint64_t latency_ns) {
    Stripe* const stripe = &stripes_[ThreadStripe() % kStripes];
    Add(&stripe->reads, keys);
    Add(&stripe->hits, hits);
    Add(&stripe->bytes_read, bytes);
    stripe->read_latency.Note(latency_ns);
  }
  void NoteWrite(uint64_t keys, uint64_t bytes, uint64_t latency_ns) {
    Stripe* const stripe = &stripes_[ThreadStripe() % kStripes];
    Add(&stripe->writes, keys);
    Add(&stripe->bytes_written, bytes);
    stripe->write_latency.Note(latency_ns);
  }

  void AddTo(ShardStats* stats) const {
    for (const Stripe& stripe : stripes_) {
      stats->reads += stripe.reads.load(std::memory_order_relaxed);
      stats->hits += stripe.hits.load(std::memory_order_relaxed);
      stats->bytes_read += stripe.bytes_read.load(std::memory_order_relaxed);
      stats->writes += stripe.writes.load(std::memory_order_relaxed);
      stats->bytes_written += stripe.bytes_written.load(std::memory_order_relaxed);
      stripe.read_latency.AddTo(&stats->read_latency);
      stripe.write_latency.AddTo(&stats->write_latency);
    }
  }

 private:
  static constexpr size_t kStripes = 4;

  static void Add(std::atomic<uint64_t>* counter, uint64_t n) {
    if (n != 0) counter->fetch_add(n, std::memory_order_relaxed);
  }

  struct Latencies {
    void Note(uint64_t latency_ns) {
      counts[Histogram::BucketOf(latency_ns)].fetch_add(1, std::memory_order_relaxed);
      Add(&sum_ns, latency_ns);
    }
    void AddTo(Histogram* histogram) const {
      for (size_t i = 0; i < counts.size(); ++i) {
        histogram->Add(i, counts[i].load(std::memory_order_relaxed));
      }
      histogram->AddSum(sum_ns.load(std::memory_order_relaxed));
    }

    std::atomic<uint64_t> sum_ns{0};
    std::array<std::atomic<uint64_t>, Histogram::kBuckets> counts = {};
  };

  struct alignas(64) Stripe {
    std::atomic<uint64_t> reads{0}, hits{0}, bytes_read{0}, writes{0}, bytes_written{0};
    Latencies read_latency, write_latency;
  };
  std::array<Stripe, kStripes> stripes_;
};

// Time since it was made.
class LatencyTimer {
 public:
  uint64_t ElapsedNs() const {
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                     std::chrono::steady_clock::now() - start_)
                                     .count());
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_SHARD_COUNTERS_H_
