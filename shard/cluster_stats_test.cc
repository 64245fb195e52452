// GetStats: what was done and what is held, by shard, node and slot.
#include <numeric>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

// {06S} is slot 0, the first shard's; {6ZJ} is slot 16383, the last's.
class ClusterStatsTest : public ClusterFixture {
 protected:
  void SetUp() override { Open(); }

  ShardStats First() { return cluster_->GetStats().shards.front(); }
  ShardStats Last() { return cluster_->GetStats().shards.back(); }
};

TEST_F(ClusterStatsTest, BeginsWithNothingDone) {
  const ClusterStats stats = cluster_->GetStats();
  EXPECT_EQ(stats.epoch, cluster_->GetTopology().epoch());
  ASSERT_EQ(stats.shards.size(), 3u);
  ASSERT_EQ(stats.slots.size(), static_cast<size_t>(kSlotCount));
  int slots = 0;
  for (const ShardStats& shard : stats.shards) {
    slots += shard.slots;
    EXPECT_EQ(shard.reads + shard.hits + shard.writes + shard.bytes_read + shard.bytes_written, 0u);
    EXPECT_EQ(shard.read_latency.count() + shard.write_latency.count(), 0u);
    EXPECT_THAT(shard.write_status, IsOk());
    ASSERT_EQ(shard.nodes.size(), 2u);
    for (const NodeStats& node : shard.nodes) {
      EXPECT_EQ(node.info.shard, shard.id);
      EXPECT_EQ(node.last, LogIndex(1)) << "the epoch's start";
      EXPECT_EQ(node.lag_bytes, 0u) << "which has no effects";
    }
    EXPECT_EQ(shard.nodes[0].applied, LogIndex(1));
  }
  EXPECT_EQ(slots, kSlotCount);
  EXPECT_LT(stats.shards[0].id, stats.shards[1].id);
  EXPECT_LT(stats.shards[1].id, stats.shards[2].id);
  const Topology topology = cluster_->GetTopology();
  for (int slot = 0; slot < kSlotCount; ++slot) {
    EXPECT_EQ(stats.slots[slot].shard, topology.OwnerOf(static_cast<Slot>(slot)));
    EXPECT_FALSE(stats.slots[slot].keys.has_value());
    EXPECT_FALSE(stats.slots[slot].bytes.has_value());
  }
  EXPECT_EQ(stats.memory_bytes, options_.memory_bytes);
  EXPECT_EQ(stats.loads + stats.load_waits + stats.loads_not_stored, 0u);
}

TEST_F(ClusterStatsTest, CountsReads) {
  ASSERT_THAT(cluster_->Set("{06S}a", "12345"), IsOk());
  ASSERT_THAT(cluster_->HashSet("{06S}h", {{"f", "v"}}), IsOk());
  EXPECT_THAT(cluster_->Get("{06S}a"), IsOk());
  EXPECT_THAT(cluster_->Get("{06S}b"), IsMissing());
  EXPECT_THAT(cluster_->Exists("{06S}a"), HoldsValue(true));
  EXPECT_THAT(cluster_->TimeToLive("{06S}b"), IsMissing());
  cluster_->MultiGet({"{06S}a", "{06S}b", "{06S}a", "{6ZJ}a"});
  EXPECT_THAT(cluster_->HashGet("{06S}h", "f"), IsOk());
  const ClusterStats stats = cluster_->GetStats();
  EXPECT_EQ(stats.shards[0].reads, 8u);
  EXPECT_EQ(stats.shards[0].hits, 5u);
  EXPECT_EQ(stats.shards[0].read_latency.count(), 6u) << "one for the MultiGet";
  EXPECT_GT(stats.shards[0].read_latency.sum(), absl::ZeroDuration());
  EXPECT_GT(stats.shards[0].read_latency.Percentile(50), absl::ZeroDuration());
  // Three times the value, and what the hash takes.
  EXPECT_GE(stats.shards[0].bytes_read, 3u * 5 + 2);
  EXPECT_LE(stats.shards[0].bytes_read, 3u * 5 + 20);
  EXPECT_EQ(stats.slots[0].reads, 8u);
  EXPECT_EQ(stats.shards[1].reads, 0u);
  EXPECT_EQ(stats.shards[2].reads, 1u);
  EXPECT_EQ(stats.shards[2].hits, 0u);
  EXPECT_EQ(stats.slots[16383].reads, 1u);
  EXPECT_EQ(stats.slots[1].reads, 0u);
}

TEST_F(ClusterStatsTest, CountsWrites) {
  ASSERT_THAT(cluster_->Set("{06S}a", std::string(1000, 'v')), IsOk());
  EXPECT_EQ(First().writes, 1u);
  EXPECT_GE(First().bytes_written, 1006u);
  EXPECT_LE(First().bytes_written, 1050u);
  EXPECT_EQ(First().write_latency.count(), 1u);
  WriteBatch batch;
  for (int i = 0; i < 5; ++i) batch.Set(absl::StrCat("{06S}", i), "v");
  ASSERT_THAT(cluster_->Write(batch), IsOk());
  EXPECT_EQ(First().writes, 6u);
  EXPECT_EQ(First().write_latency.count(), 2u);
  cluster_->MultiSet({{"{06S}a", "1"}, {"{06S}b", "2"}, {"{6ZJ}a", "3"}});
  EXPECT_EQ(First().writes, 8u);
  EXPECT_EQ(First().write_latency.count(), 3u);
  EXPECT_EQ(Last().writes, 1u);
  // What finds nothing to do, or is refused, writes nothing.
  EXPECT_THAT(cluster_->Delete("{06S}none"), HoldsValue(false));
  EXPECT_THAT(cluster_->Expire("{06S}none", absl::Seconds(1)), HoldsValue(false));
  EXPECT_THAT(cluster_->CompareAndSet("{06S}a", "x", "y"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(First().writes, 8u);
  EXPECT_THAT(cluster_->Delete("{06S}a"), HoldsValue(true));
  EXPECT_EQ(First().writes, 9u);
  const ClusterStats stats = cluster_->GetStats();
  EXPECT_EQ(stats.slots[0].writes, 9u);
  EXPECT_EQ(stats.slots[16383].writes, 1u);
  // Of this process.
  Open();
  EXPECT_EQ(First().writes, 0u);
  EXPECT_EQ(First().nodes[0].replayed, 9u + 1 - 4) << "records: the batch is one, a start is one";
}

TEST_F(ClusterStatsTest, CountsKeysIfAsked) {
  for (int i = 0; i < 300; ++i) ASSERT_THAT(cluster_->Set(absl::StrCat(i), "v"), IsOk());
  for (int i = 0; i < 5; ++i) ASSERT_THAT(cluster_->Set(absl::StrCat("{06S}", i), "v"), IsOk());
  ASSERT_THAT(cluster_->HashSet("{06S}h", {{"f", "v"}, {"g", "w"}}), IsOk());
  SetOptions brief;
  brief.ttl = absl::Seconds(1);
  ASSERT_THAT(cluster_->Set("{06S}brief", "v", brief), IsOk());
  StatsOptions options;
  options.count_keys = true;
  EXPECT_EQ(cluster_->GetStats(options).slots[0].keys, 7u);
  clock_->Advance(absl::Seconds(1));
  const ClusterStats stats = cluster_->GetStats(options);
  EXPECT_EQ(stats.slots[0].keys, 6u);
  EXPECT_EQ(stats.slots[16383].keys, 0u);
  uint64_t keys = 0;
  for (const SlotStats& slot : stats.slots) keys += *slot.keys;
  EXPECT_EQ(keys, 306u);
  EXPECT_FALSE(stats.slots[0].bytes.has_value());
}

TEST_F(ClusterStatsTest, SlotBytesIfAsked) {
  StatsOptions options;
  options.slot_bytes = true;
  const std::string value(10000, 'v');
  // Each key on its own, or tables would be smaller than what they hold.
  for (int i = 0; i < 200; ++i) {
    std::string random_value = value;
    for (size_t b = 0; b < value.size(); ++b)
      random_value[b] = static_cast<char>((b * b + i) % 251);
    ASSERT_THAT(cluster_->Set(absl::StrCat("{06S}", i), random_value), IsOk());
  }
  EXPECT_EQ(cluster_->GetStats(options).slots[0].bytes, 0u) << "what is in memory does not count";
  ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
  const ClusterStats stats = cluster_->GetStats(options);
  ASSERT_TRUE(stats.slots[0].bytes.has_value());
  EXPECT_GT(*stats.slots[0].bytes, 100'000u);
  EXPECT_LT(*stats.slots[0].bytes, 4'000'000u);
  EXPECT_LT(*stats.slots[16383].bytes, 100'000u);
  EXPECT_FALSE(stats.slots[0].keys.has_value());
}

TEST_F(ClusterStatsTest, OfNodes) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_THAT(cluster_->Set(absl::StrCat("{06S}", i), std::string(1000, 'v')), IsOk());
  }
  NodeStats node = First().nodes[0];
  EXPECT_EQ(node.last, LogIndex(101));
  EXPECT_EQ(node.applied, LogIndex(101));
  EXPECT_GT(node.memtable_bytes, 100'000u);
  EXPECT_EQ(node.table_bytes, 0u);
  EXPECT_GE(node.log_segments, 1u);
  EXPECT_EQ(First().estimated_keys, 100u);
  ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
  node = First().nodes[0];
  EXPECT_GT(node.table_bytes, 0u);
  EXPECT_LT(node.memtable_bytes, 100'000u);
  EXPECT_EQ(node.synced, LogIndex(101)) << "no table is ahead of its log";
  EXPECT_GT(cluster_->GetStats().memory_bytes_used, 0u);
  EXPECT_EQ(node.info.role, Role::kPrimary);
  EXPECT_TRUE(node.info.up);
}

TEST_F(ClusterStatsTest, CountsLoads) {
  const auto loader = [](std::string_view) -> absl::StatusOr<std::string> { return "v"; };
  EXPECT_THAT(cluster_->GetOrLoad("k", loader), IsOk());
  EXPECT_THAT(cluster_->GetOrLoad("k", loader), IsOk());
  EXPECT_THAT(cluster_->GetOrLoad("j",
                                  [](std::string_view) -> absl::StatusOr<std::string> {
                                    return absl::UnavailableError("down");
                                  }),
              HasCode(absl::StatusCode::kUnavailable));
  const ClusterStats stats = cluster_->GetStats();
  EXPECT_EQ(stats.loads, 2u);
  EXPECT_EQ(stats.load_waits, 0u);
  EXPECT_EQ(stats.loads_not_stored, 0u);
}

// Threads count in different places; what they counted adds up.
TEST_F(ClusterStatsTest, OfManyThreads) {
  constexpr int kThreads = 6, kEach = 500;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const std::string key = absl::StrCat("{06S}", t, " ", i);
        ASSERT_THAT(cluster_->Set(key, "v"), IsOk());
        ASSERT_THAT(cluster_->Get(key), IsOk());
        if (i % 50 == 0) cluster_->GetStats();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const ClusterStats stats = cluster_->GetStats();
  EXPECT_EQ(stats.shards[0].reads, uint64_t{kThreads * kEach});
  EXPECT_EQ(stats.shards[0].hits, uint64_t{kThreads * kEach});
  EXPECT_EQ(stats.shards[0].writes, uint64_t{kThreads * kEach});
  EXPECT_EQ(stats.shards[0].read_latency.count(), uint64_t{kThreads * kEach});
  EXPECT_EQ(stats.shards[0].write_latency.count(), uint64_t{kThreads * kEach});
  EXPECT_EQ(stats.slots[0].reads, uint64_t{kThreads * kEach});
  EXPECT_EQ(stats.slots[0].writes, uint64_t{kThreads * kEach});
  EXPECT_LE(stats.shards[0].read_latency.Percentile(50),
            stats.shards[0].read_latency.Percentile(99));
}

TEST_F(ClusterStatsTest, OfAClosedCluster) {
  ASSERT_THAT(cluster_->Close(), IsOk());
  StatsOptions options;
  options.count_keys = options.slot_bytes = true;
  const ClusterStats stats = cluster_->GetStats(options);
  EXPECT_TRUE(stats.shards.empty());
  EXPECT_TRUE(stats.slots.empty());
}

}  // namespace
}  // namespace slotkv
