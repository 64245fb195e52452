#include "slotkv/histogram.h"

#include <algorithm>
#include <cmath>

namespace slotkv {
namespace {

constexpr int kFirstPower = 6;  // of two: 64 ns

}  // namespace

size_t Histogram::BucketOf(uint64_t latency_ns) {
  if (latency_ns < (uint64_t{1} << kFirstPower)) return 0;
  const int power = 63 - __builtin_clzll(latency_ns);
  const uint64_t quarter = latency_ns >> (power - 2) & 3;
  return std::min(kBuckets - 1, static_cast<size_t>(power - kFirstPower) * 4 + quarter);
}

uint64_t Histogram::UpperBoundNs(size_t bucket) {
  const uint64_t power = kFirstPower + bucket / 4;
  return (uint64_t{5} + bucket % 4) << (power - 2);
}

Histogram& Histogram::operator+=(const Histogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ns_ += other.sum_ns_;
  return *this;
}

absl::Duration Histogram::Mean() const {
  return count_ == 0 ? absl::ZeroDuration() : sum() / static_cast<int64_t>(count_);
}

absl::Duration Histogram::Percentile(double percent) const {
  if (count_ == 0) return absl::ZeroDuration();
  const double share = percent > 0 ? std::min(percent, 100.0) / 100 : 0;
  const auto rank =
      std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_))));
  uint64_t seen = 0;
  size_t bucket = 0;
  for (; bucket + 1 < kBuckets; ++bucket) {
    seen += counts_[bucket];
    if (seen >= rank) break;
  }
  return absl::Nanoseconds(static_cast<int64_t>(UpperBoundNs(bucket)));
}

}  // namespace slotkv
