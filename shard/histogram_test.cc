#include "slotkv/histogram.h"

#include <cstdint>
#include <limits>
#include <random>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

constexpr uint64_t kLongestNs = (uint64_t{1} << 37) - 1;  // of those with a bucket of their own

void Note(Histogram* histogram, uint64_t latency_ns, uint64_t times = 1) {
  histogram->Add(Histogram::BucketOf(latency_ns), times);
  histogram->AddSum(latency_ns * times);
}

TEST(HistogramTest, BucketsFollowEachOther) {
  EXPECT_EQ(Histogram::BucketOf(0), 0u);
  EXPECT_EQ(Histogram::BucketOf(63), 0u);
  EXPECT_EQ(Histogram::BucketOf(64), 0u);
  EXPECT_EQ(Histogram::UpperBoundNs(0), 80u);
  EXPECT_EQ(Histogram::UpperBoundNs(1), 96u);
  EXPECT_EQ(Histogram::UpperBoundNs(3), 128u);
  EXPECT_EQ(Histogram::UpperBoundNs(4), 160u);
  for (size_t bucket = 0; bucket < Histogram::kBuckets; ++bucket) {
    const uint64_t end = Histogram::UpperBoundNs(bucket);
    EXPECT_EQ(Histogram::BucketOf(end - 1), bucket);
    EXPECT_EQ(Histogram::BucketOf(end), std::min(bucket + 1, Histogram::kBuckets - 1));
    if (bucket > 0) {
      EXPECT_LT(Histogram::UpperBoundNs(bucket - 1), end);
    }
  }
  EXPECT_EQ(Histogram::UpperBoundNs(Histogram::kBuckets - 1), kLongestNs + 1);
  EXPECT_EQ(Histogram::BucketOf(std::numeric_limits<uint64_t>::max()), Histogram::kBuckets - 1);
}

TEST(HistogramTest, ABucketEndsAtMostAQuarterAboveItsLatencies) {
  std::mt19937_64 random(TestSeed());
  for (int i = 0; i < 100000; ++i) {
    const uint64_t latency = 64 + (random() % (kLongestNs - 63) >> random() % 31);
    const uint64_t bound = Histogram::UpperBoundNs(Histogram::BucketOf(latency));
    ASSERT_GT(bound, latency);
    ASSERT_LE(bound, latency + latency / 4 + 1) << latency;
  }
}

TEST(HistogramTest, OfNothing) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.sum(), absl::ZeroDuration());
  EXPECT_EQ(histogram.Mean(), absl::ZeroDuration());
  for (const double percent : {0.0, 50.0, 100.0}) {
    EXPECT_EQ(histogram.Percentile(percent), absl::ZeroDuration());
  }
}

TEST(HistogramTest, MeanAndPercentiles) {
  Histogram histogram;
  Note(&histogram, 1000, 90);
  Note(&histogram, 50'000, 9);
  Note(&histogram, 3'000'000, 1);
  EXPECT_EQ(histogram.count(), 100u);
  EXPECT_EQ(histogram.count(Histogram::BucketOf(1000)), 90u);
  EXPECT_EQ(histogram.sum(), absl::Nanoseconds(90'000 + 450'000 + 3'000'000));
  EXPECT_EQ(histogram.Mean(), absl::Nanoseconds(35'400));
  const auto bound = [](uint64_t latency_ns) {
    return absl::Nanoseconds(
        static_cast<int64_t>(Histogram::UpperBoundNs(Histogram::BucketOf(latency_ns))));
  };
  EXPECT_EQ(histogram.Percentile(0), bound(1000)) << "the least there is";
  EXPECT_EQ(histogram.Percentile(50), bound(1000));
  EXPECT_EQ(histogram.Percentile(90), bound(1000));
  EXPECT_EQ(histogram.Percentile(90.1), bound(50'000));
  EXPECT_EQ(histogram.Percentile(99), bound(50'000));
  EXPECT_EQ(histogram.Percentile(99.9), bound(3'000'000));
  EXPECT_EQ(histogram.Percentile(100), bound(3'000'000));
  EXPECT_EQ(histogram.Percentile(-5), histogram.Percentile(0));
  EXPECT_EQ(histogram.Percentile(500), histogram.Percentile(100));
}

TEST(HistogramTest, WhatIsTooShortOrTooLongStillCounts) {
  Histogram histogram;
  Note(&histogram, 1);
  Note(&histogram, 2 * kLongestNs);
  EXPECT_EQ(histogram.count(), 2u);
  EXPECT_EQ(histogram.count(0), 1u);
  EXPECT_EQ(histogram.count(Histogram::kBuckets - 1), 1u);
  EXPECT_EQ(histogram.Percentile(100), absl::Nanoseconds(kLongestNs + 1));
}

TEST(HistogramTest, TwoMakeOne) {
  Histogram a, b;
  Note(&a, 1000, 3);
  Note(&b, 1000, 1);
  Note(&b, 80'000, 4);
  const Histogram copy = a;
  a += b;
  EXPECT_EQ(a.count(), 8u);
  EXPECT_EQ(a.count(Histogram::BucketOf(1000)), 4u);
  EXPECT_EQ(a.sum(), absl::Nanoseconds(4000 + 320'000));
  EXPECT_GT(a.Percentile(51), absl::Microseconds(80));
  EXPECT_LT(a.Percentile(50), absl::Microseconds(2));
  EXPECT_EQ(copy.count(), 3u);
}

}  // namespace
}  // namespace slotkv
