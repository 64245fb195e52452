#include "tools/bench_workload.h"

#include <signal.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/test_support.h"

namespace slotkv::tools {
namespace {

class BenchWorkloadTest : public testing::Test {
 protected:
  BenchWorkloadTest() {
    cluster_ = *Cluster::Open(Options(), directory_.Path("cluster"));
    options_.keys = 1003;
    options_.threads = 3;
    options_.value_bytes = 50;
    options_.duration = absl::Milliseconds(100);
  }

  void RunPhases(size_t batch) {
    options_.batch = batch;
    const PhaseFigures load = RunLoadPhase(cluster_.get(), options_, interrupt_);
    EXPECT_THAT(load.status, IsOk());
    EXPECT_EQ(load.writes.keys, 1003);
    EXPECT_EQ(load.reads.keys, 0);
    EXPECT_GE(load.writes.latency.count(), 1003 / batch);
    for (uint64_t key = 0; key < options_.keys; ++key) {
      EXPECT_EQ(cluster_->Get(absl::StrCat("bench:", key))->size(), 50);
    }
    const PhaseFigures mixed = RunMixedPhase(cluster_.get(), options_, interrupt_);
    EXPECT_THAT(mixed.status, IsOk());
    EXPECT_GE(mixed.elapsed, options_.duration);
    EXPECT_GT(mixed.reads.keys, 0);
    EXPECT_EQ(mixed.reads.hits, mixed.reads.keys);
    EXPECT_EQ(mixed.reads.keys, batch * mixed.reads.latency.count());
    EXPECT_EQ(mixed.writes.keys, batch * mixed.writes.latency.count());
    EXPECT_GT(mixed.reads.max, absl::ZeroDuration());
  }

  TemporaryDirectory directory_;
  const Interrupt interrupt_;
  std::unique_ptr<Cluster> cluster_;
  BenchOptions options_;
};

TEST_F(BenchWorkloadTest, OneKeyAtATime) { RunPhases(1); }
TEST_F(BenchWorkloadTest, ManyKeysAtATime) { RunPhases(10); }

TEST_F(BenchWorkloadTest, MoreThreadsAndLargerBatchesThanKeys) {
  options_.keys = 2;
  options_.threads = 5;
  options_.batch = 100;
  EXPECT_EQ(RunLoadPhase(cluster_.get(), options_, interrupt_).writes.keys, 2);
  EXPECT_THAT(RunMixedPhase(cluster_.get(), options_, interrupt_).status, IsOk());
}

TEST_F(BenchWorkloadTest, ReadsAndWritesInTheProportionAskedFor) {
  options_.read_percent = 0;
  EXPECT_EQ(RunMixedPhase(cluster_.get(), options_, interrupt_).reads.keys, 0);
  EXPECT_THAT(cluster_->DeleteAll(), IsOk());
  options_.read_percent = 100;
  const PhaseFigures reads = RunMixedPhase(cluster_.get(), options_, interrupt_);
  EXPECT_EQ(reads.writes.keys, 0);
  EXPECT_EQ(reads.reads.hits, 0);
  EXPECT_GT(reads.reads.keys, 0);
}

TEST_F(BenchWorkloadTest, StopsAtAnError) {
  EXPECT_THAT(cluster_->Close(), IsOk());
  const PhaseFigures load = RunLoadPhase(cluster_.get(), options_, interrupt_);
  EXPECT_TRUE(absl::IsCancelled(load.status));
  EXPECT_EQ(load.writes.keys, 0);
}

TEST_F(BenchWorkloadTest, StopsWhenInterrupted) {
  options_.duration = absl::Hours(1);
  raise(SIGINT);
  EXPECT_TRUE(absl::IsCancelled(RunMixedPhase(cluster_.get(), options_, interrupt_).status));
}

}  // namespace
}  // namespace slotkv::tools
