// How often each latency occurred: what percentiles are taken from.
#ifndef SLOTKV_SHARD_HISTOGRAM_H_
#define SLOTKV_SHARD_HISTOGRAM_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace slotkv {

// A value: copied freely, not thread-safe. Latencies fall into buckets, four for each power of two
// from 64 ns to 137 s, so that a percentile is at most a quarter too high; what is longer or
// shorter counts in the last or the first.
class Histogram {
 public:
  // How many buckets there are.
  static constexpr size_t kBuckets = 4 * 31;

  // The bucket of a latency, and where a bucket ends, in ns.
  static size_t BucketOf(uint64_t latency_ns);
  static uint64_t UpperBoundNs(size_t bucket);

  // Records `count` latencies of a bucket, which is below kBuckets, and what they come to in ns.
  void Add(size_t bucket, uint64_t count) {
    counts_[bucket] += count;
    count_ += count;
  }
  void AddSum(uint64_t sum_ns) { sum_ns_ += sum_ns; }
  // Adds what `other` has recorded.
  Histogram& operator+=(const Histogram& other);

  // How many latencies were recorded, and how many in one bucket.
  uint64_t count() const { return count_; }
  uint64_t count(size_t bucket) const { return counts_[bucket]; }
  absl::Duration sum() const { return absl::Nanoseconds(static_cast<int64_t>(sum_ns_)); }
  // Zero if nothing was recorded; so is Percentile.
  absl::Duration Mean() const;
  // A latency that `percent` of all do not exceed; 0 to 100.
  absl::Duration Percentile(double percent) const;

 private:
  std::array<uint64_t, kBuckets> counts_ = {};
  uint64_t count_ = 0;
  uint64_t sum_ns_ = 0;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_HISTOGRAM_H_
