#include "tools/tour_failover.h"

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/test_support.h"
#include "tools/tour_session.h"

namespace slotkv::tools {
namespace {

class TourFailoverTest : public testing::Test {
 protected:
  void Open(int replicas_per_shard) {
    Options options;
    options.replicas_per_shard = replicas_per_shard;
    absl::StatusOr<std::unique_ptr<Cluster>> cluster =
        Cluster::Open(options, directory_.Path("cluster"));
    ASSERT_THAT(cluster, IsOk());
    cluster_ = *std::move(cluster);
  }
  void Write(size_t writer, size_t write) {
    const std::string key = FailoverSessionKey(writer, write);
    EXPECT_THAT(cluster_->Set(key, SessionValue(key)), IsOk());
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Cluster> cluster_;
  Interrupt interrupt_;
};

TEST_F(TourFailoverTest, AZoneIsLostAndReturns) {
  Open(1);
  const absl::StatusOr<std::string> zone = ZoneToLose(cluster_->GetTopology());
  ASSERT_THAT(zone, IsOk());
  const absl::StatusOr<Failover> failover = LoseZone(cluster_.get(), *zone, 3, 20, interrupt_);
  ASSERT_THAT(failover, IsOk());
  ASSERT_FALSE(failover->takeovers.empty());
  for (const Takeover& takeover : failover->takeovers) {
    EXPECT_EQ(takeover.lost.zone, *zone);
    EXPECT_NE(takeover.primary.zone, *zone);
    EXPECT_EQ(takeover.primary.role, Role::kPrimary);
  }
  EXPECT_GT(failover->failover_time, absl::ZeroDuration());
  EXPECT_GT(failover->return_time, absl::ZeroDuration());
  EXPECT_EQ(failover->failed, 0);
  for (const ShardInfo& shard : cluster_->GetTopology().shards()) {
    EXPECT_NE(shard.primary().zone, *zone);
    for (const NodeInfo& node : shard.nodes) EXPECT_TRUE(node.up && node.in_sync) << node.id;
  }

  ASSERT_EQ(failover->outcomes.size(), 3);
  uint64_t writes = 0;
  for (const std::vector<bool>& outcomes : failover->outcomes) {
    EXPECT_GE(outcomes.size(), 3 * 20);
    writes += outcomes.size();
  }
  const absl::StatusOr<FailoverCheck> check =
      CheckOutcomes(cluster_.get(), failover->outcomes, interrupt_);
  ASSERT_THAT(check, IsOk());
  EXPECT_EQ(check->acknowledged, writes);
  EXPECT_EQ(check->lost, 0);
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

TEST_F(TourFailoverTest, MissesWhatIsLost) {
  Open(0);
  const WriteOutcomes outcomes = {{true, true, true}, {true, false}};
  for (const size_t write : {0, 1, 2}) Write(0, write);
  Write(1, 0);
  EXPECT_EQ(CheckOutcomes(cluster_.get(), outcomes, interrupt_)->acknowledged, 4);
  EXPECT_EQ(CheckOutcomes(cluster_.get(), outcomes, interrupt_)->lost, 0);
  EXPECT_THAT(cluster_->Delete(FailoverSessionKey(0, 1)), IsOk());
  EXPECT_EQ(CheckOutcomes(cluster_.get(), outcomes, interrupt_)->lost, 1);
  EXPECT_THAT(cluster_->Set(FailoverSessionKey(1, 0), "another value"), IsOk());
  EXPECT_EQ(CheckOutcomes(cluster_.get(), outcomes, interrupt_)->lost, 2);
  // What was not acknowledged may be there or not.
  Write(1, 1);
  EXPECT_EQ(CheckOutcomes(cluster_.get(), outcomes, interrupt_)->lost, 2);
}

TEST_F(TourFailoverTest, LosesNoZoneThatHasTheOnlyCopy) {
  Open(0);
  EXPECT_THAT(ZoneToLose(cluster_->GetTopology()),
              HasError(absl::StatusCode::kFailedPrecondition, "no copy outside"));
}

}  // namespace
}  // namespace slotkv::tools
