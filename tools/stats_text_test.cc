#include "tools/stats_text.h"

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/test_support.h"

namespace slotkv::tools {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class StatsTextTest : public testing::Test {
 protected:
  StatsTextTest() {
    Options options;
    options.shards = 1;
    options.replicas_per_shard = 1;
    absl::StatusOr<std::unique_ptr<Cluster>> cluster =
        Cluster::Open(options, directory_.Path("cluster"));
    EXPECT_THAT(cluster, IsOk());
    cluster_ = *std::move(cluster);
    EXPECT_THAT(cluster_->Set("key", "value"), IsOk());
  }

  std::string TextOf(const ClusterStats& stats) { return StatsText(stats, cluster_.get(), {}); }

  TemporaryDirectory directory_;
  std::unique_ptr<Cluster> cluster_;
};

TEST_F(StatsTextTest, ShowsEachNode) {
  ClusterStats stats = cluster_->GetStats();
  ASSERT_EQ(stats.shards[0].nodes.size(), 2);
  stats.shards[0].nodes[1].lag_bytes = 3 * 1024;
  EXPECT_THAT(
      TextOf(stats),
      AllOf(
          ContainsRegex("\nnode +shard +role +zone +up +in sync +log: last +synced +in store +lag "
                        "+log +tables +memtables\n"),
          ContainsRegex("\nnode-1 +shard-1 +primary +zone-[abc] +yes +yes +[1-9]"),
          ContainsRegex("\nnode-2 +shard-1 +replica +zone-[abc] +yes +yes +[1-9].* 3.0 KiB "),
          Not(HasSubstr("failing"))));
}

TEST_F(StatsTextTest, ShowsNodesThatAreNotInUse) {
  ASSERT_THAT(cluster_->StopNode(cluster_->GetTopology().shards()[0].primary().id), IsOk());
  EXPECT_THAT(TextOf(cluster_->GetStats()),
              AllOf(ContainsRegex("\nnode-1 +shard-1 +replica +zone-[abc] +no +no +- +- +- +- +-"),
                    ContainsRegex("\nnode-2 +shard-1 +primary +zone-[abc] +yes +yes +[1-9]")));
}

TEST_F(StatsTextTest, SaysWhatFails) {
  ClusterStats stats = cluster_->GetStats();
  stats.shards[0].nodes[1].failure = absl::UnavailableError("/disk/\xff is slow");
  stats.shards[0].write_status = absl::ResourceExhaustedError("full");
  stats.shards[0].repairs = 2;
  EXPECT_THAT(TextOf(stats),
              HasSubstr("\nnode-2 is failing: /disk/\\xff is slow\n"
                        "shard-1 takes no writes: full\n"
                        "shard-1 has repaired damage: 2 times a copy was built anew\n"));
}

}  // namespace
}  // namespace slotkv::tools
