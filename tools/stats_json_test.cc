#include "tools/stats_json.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace slotkv::tools {
namespace {

using Json = nlohmann::json;

class StatsJsonTest : public testing::Test {
 protected:
  StatsJsonTest() {
    stats_.epoch = Epoch(7);
    stats_.slots.resize(kSlotCount);
    std::vector<ShardInfo> shards;
    for (const uint32_t number : {1, 2}) {
      NodeInfo node;
      node.id = NodeId(number);
      node.shard = ShardId(number);
      node.zone = "zone-a";
      const SlotRange range = number == 1 ? SlotRange{0, 99} : SlotRange{100, kSlotCount - 1};
      shards.push_back({ShardId(number), {range}, {node}});
      ShardStats& shard = stats_.shards.emplace_back();
      shard.id = ShardId(number);
      shard.slots = range.last - range.first + 1;
      shard.nodes.emplace_back().info = node;
      for (int slot = range.first; slot <= range.last; ++slot) {
        stats_.slots[slot].shard = ShardId(number);
        stats_.slots[slot].keys = number;
        stats_.slots[slot].bytes = 10;
      }
    }
    topology_ = Topology(Epoch(7), std::move(shards));
  }

  Json Parsed() {
    const std::string text = StatsJson(stats_, topology_);
    EXPECT_EQ(text.find('\n'), std::string::npos);
    return Json::parse(text);
  }

  ClusterStats stats_;
  Topology topology_;
};

TEST_F(StatsJsonTest, SumsUp) {
  const Json json = Parsed();
  EXPECT_EQ(json["epoch"], 7);
  EXPECT_EQ(json["keys"], 100 + 2 * (kSlotCount - 100));
  EXPECT_EQ(json["bytes"], 10 * kSlotCount);
  ASSERT_EQ(json["shards"].size(), 2);
  const Json& shard = json["shards"][0];
  EXPECT_EQ(shard["id"], "shard-1");
  EXPECT_EQ(shard["slots"], 100);
  EXPECT_EQ(shard["slot_ranges"], Json::parse("[[0,99]]"));
  EXPECT_EQ(shard["keys"], 100);
  EXPECT_EQ(shard["bytes"], 1000);
  EXPECT_EQ(shard["write_status"], "ok");
  EXPECT_EQ(shard["repairs"], 0);
  EXPECT_EQ(shard["nodes"][0]["zone"], "zone-a");
  EXPECT_EQ(shard["nodes"][0]["role"], "primary");
  for (const char* const name : {"shard", "keys", "bytes", "reads", "writes"}) {
    EXPECT_EQ(json["slots"][name].size(), kSlotCount) << name;
  }
  EXPECT_EQ(json["slots"]["shard"][100], "shard-2");
  EXPECT_EQ(json["slots"]["keys"][100], 2);
}

TEST_F(StatsJsonTest, SaysWhatIsNotKnown) {
  stats_.slots[5].keys.reset();
  stats_.slots[200].bytes.reset();
  const Json json = Parsed();
  EXPECT_TRUE(json["keys"].is_null());
  EXPECT_TRUE(json["bytes"].is_null());
  EXPECT_TRUE(json["shards"][0]["keys"].is_null());
  EXPECT_EQ(json["shards"][0]["bytes"], 1000);
  EXPECT_TRUE(json["shards"][1]["bytes"].is_null());
  EXPECT_TRUE(json["slots"]["keys"][5].is_null());
  EXPECT_EQ(json["slots"]["keys"][6], 1);
}

TEST_F(StatsJsonTest, LatenciesAreInMicroseconds) {
  Histogram& latency = stats_.shards[0].read_latency;
  latency.Add(Histogram::BucketOf(5'000), 990);
  latency.Add(Histogram::BucketOf(2'000'000), 10);
  latency.AddSum(990 * 5'000 + 10 * 2'000'000);
  const Json json = Parsed()["shards"][0]["read_latency_us"];
  EXPECT_EQ(json["count"], 1000);
  EXPECT_NEAR(json["mean"].get<double>(), 24.95, 0.01);
  EXPECT_GE(json["p50"].get<double>(), 5);
  EXPECT_LE(json["p50"].get<double>(), 5 * 1.25);
  EXPECT_GE(json["p999"].get<double>(), 2000);
  EXPECT_LE(json["p999"].get<double>(), 2000 * 1.25);
}

TEST_F(StatsJsonTest, TakesErrorsInAnyBytes) {
  stats_.shards[1].write_status = absl::DataLossError("/disk/\xff\"\n");
  const std::string status = Parsed()["shards"][1]["write_status"];
  EXPECT_EQ(status.find("DATA_LOSS: /disk/"), 0);
}

TEST_F(StatsJsonTest, ShowsNodes) {
  NodeStats& node = stats_.shards[0].nodes[0];
  node.info.role = Role::kReplica;
  node.last = LogIndex(9);
  node.synced = LogIndex(8);
  node.applied = LogIndex(7);
  node.lag_bytes = 123;
  node.log_bytes = 4;
  node.table_bytes = 5;
  node.memtable_bytes = 6;
  node.failure = absl::UnavailableError("slow");
  const Json json = Parsed()["shards"][0]["nodes"][0];
  EXPECT_EQ(json["id"], "node-1");
  EXPECT_EQ(json["role"], "replica");
  EXPECT_EQ(json["zone"], "zone-a");
  EXPECT_EQ(json["up"], true);
  EXPECT_EQ(json["in_sync"], true);
  EXPECT_EQ(json["log_last"], 9);
  EXPECT_EQ(json["log_synced"], 8);
  EXPECT_EQ(json["applied"], 7);
  EXPECT_EQ(json["lag_bytes"], 123);
  EXPECT_EQ(json["log_bytes"], 4);
  EXPECT_EQ(json["table_bytes"], 5);
  EXPECT_EQ(json["memtable_bytes"], 6);
  EXPECT_EQ(json["failure"], "UNAVAILABLE: slow");
  EXPECT_TRUE(Parsed()["shards"][1]["nodes"][0]["failure"].is_null());
}

TEST_F(StatsJsonTest, KnowsNoNumbersOfNodesThatAreNotInUse) {
  stats_.shards[0].nodes[0].info.up = false;
  stats_.shards[1].nodes[0].info.in_sync = false;
  const Json json = Parsed();
  for (const Json& shard : json["shards"]) {
    const Json& node = shard["nodes"][0];
    for (const char* const name : {"log_last", "log_synced", "applied", "lag_bytes", "log_bytes",
                                   "table_bytes", "memtable_bytes"}) {
      EXPECT_TRUE(node[name].is_null()) << name;
    }
  }
}

TEST_F(StatsJsonTest, ShowsReplicasAlone) {
  stats_.shards[1].write_status = absl::UnavailableError("stopped");
  stats_.shards[1].repairs = 3;
  const std::string text = ReplicasJson(stats_);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  const Json json = Json::parse(text), whole = Parsed();
  EXPECT_EQ(json["epoch"], 7);
  ASSERT_EQ(json["shards"].size(), 2);
  EXPECT_EQ(json["shards"][0]["id"], "shard-1");
  EXPECT_EQ(json["shards"][0]["write_status"], "ok");
  EXPECT_EQ(json["shards"][1]["write_status"], "UNAVAILABLE: stopped");
  EXPECT_EQ(json["shards"][1]["repairs"], 3);
  EXPECT_EQ(whole["shards"][1]["repairs"], 3);
  EXPECT_EQ(json["shards"][1]["nodes"], whole["shards"][1]["nodes"]);
  EXPECT_FALSE(json.contains("slots"));
}

TEST_F(StatsJsonTest, ShowsTheSlotMapAlone) {
  const std::string text = SlotMapJson(topology_);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_EQ(Json::parse(text), Json::parse(R"({"epoch": 7, "shards": [
      {"id": "shard-1", "slots": 100, "slot_ranges": [[0, 99]],
       "primary": {"id": "node-1", "zone": "zone-a"}},
      {"id": "shard-2", "slots": 16284, "slot_ranges": [[100, 16383]],
       "primary": {"id": "node-2", "zone": "zone-a"}}]})"));
}

TEST_F(StatsJsonTest, TakesAClosedCluster) {
  const Json json = Json::parse(StatsJson(ClusterStats(), Topology()));
  EXPECT_EQ(json["shards"].size(), 0);
  EXPECT_EQ(json["keys"], 0);
}

}  // namespace
}  // namespace slotkv::tools
