// Nodes and zones that are stopped, fail and come back while the cluster is open.
#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/replicated_cluster.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

constexpr absl::StatusCode kUnavailable = absl::StatusCode::kUnavailable;

class FailoverTest : public ReplicatedCluster {};

TEST_F(FailoverTest, AStoppedPrimaryIsReplacedAndComesBack) {
  Open();
  Fill(200, "before");
  const NodeInfo primary = NodeOf("7", Role::kPrimary);
  const NodeInfo replica = NodeOf("7", Role::kReplica);
  ASSERT_THAT(cluster_->StopNode(primary.id), IsOk());
  EXPECT_EQ(NodeOf("7", Role::kPrimary).id, replica.id);
  EXPECT_FALSE(Find(primary.id).in_sync);
  EXPECT_FALSE(Find(primary.id).up);
  ExpectFilled(200, "before");
  Fill(200, "without");
  absl::SleepFor(absl::Milliseconds(300));
  EXPECT_FALSE(Find(primary.id).in_sync) << "it came back though it is stopped";
  ASSERT_THAT(cluster_->StartNode(primary.id), IsOk());
  ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
  // What it missed is there.
  ASSERT_THAT(cluster_->StopNode(replica.id), IsOk());
  EXPECT_EQ(NodeOf("7", Role::kPrimary).id, primary.id);
  ExpectFilled(200, "without");
  ASSERT_THAT(cluster_->StartNode(replica.id), IsOk());
  ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
  ExpectFilled(200, "without");
}

TEST_F(FailoverTest, ListenersAreTold) {
  class Recorder final : public EventListener {
   public:
    void OnPromotion(ShardId shard, NodeId node) override {
      Add(absl::StrCat(shard.ToString(), " primary ", node.ToString()));
    }
    void OnNodeOutOfSync(NodeId node, const absl::Status& why) override {
      Add(absl::StrCat(node.ToString(), " out: ", why.message()));
    }
    void OnNodeInSync(NodeId node, bool rebuilt) override {
      Add(absl::StrCat(node.ToString(), " in", rebuilt ? ", rebuilt" : ""));
    }
    std::vector<std::string> events() {
      absl::MutexLock lock(&mu_);
      return events_;
    }

   private:
    void Add(std::string event) {
      absl::MutexLock lock(&mu_);
      events_.push_back(std::move(event));
    }
    absl::Mutex mu_;
    std::vector<std::string> events_;
  };
  const auto recorder = std::make_shared<Recorder>();
  options_.listener = recorder;
  Open();
  const NodeInfo primary = NodeOf("7", Role::kPrimary), replica = NodeOf("7", Role::kReplica);
  ASSERT_THAT(cluster_->StopNode(primary.id), IsOk());
  ASSERT_THAT(cluster_->StartNode(primary.id), IsOk());
  ASSERT_TRUE(Eventually([&] { return recorder->events().size() >= 3; }));
  const std::string node = primary.id.ToString();
  EXPECT_THAT(recorder->events(),
              testing::ElementsAre(
                  absl::StrCat(primary.shard.ToString(), " primary ", replica.id.ToString()),
                  absl::StrCat(node, " out: ", node, " was stopped"), absl::StrCat(node, " in")));
}

TEST_F(FailoverTest, APromotionIsPlanned) {
  Open();
  Fill(100, "value");
  const NodeInfo replica = NodeOf("7", Role::kReplica);
  const uint64_t epoch = cluster_->GetTopology().epoch().value();
  ASSERT_THAT(cluster_->Promote(ShardOf("7").id), IsOk());
  EXPECT_EQ(NodeOf("7", Role::kPrimary).id, replica.id);
  EXPECT_GT(cluster_->GetTopology().epoch().value(), epoch);
  EXPECT_TRUE(EverythingInSync());
  PromoteOptions options;
  options.node = replica.id;
  EXPECT_THAT(cluster_->Promote(ShardOf("7").id, options), IsOk()) << "it is already";
  options.node = NodeOf("7", Role::kReplica).id;
  EXPECT_THAT(cluster_->Promote(ShardOf("7").id, options), IsOk());
  EXPECT_EQ(NodeOf("7", Role::kPrimary).id, *options.node);
  options.node = NodeId(999);
  EXPECT_THAT(cluster_->Promote(ShardOf("7").id, options),
              HasError(absl::StatusCode::kFailedPrecondition, "node-999"));
  EXPECT_THAT(cluster_->Promote(ShardId(99)), HasError(absl::StatusCode::kNotFound, "shard-99"));
  EXPECT_THAT(cluster_->StopNode(NodeId(99)), HasError(absl::StatusCode::kNotFound, "node-99"));
  EXPECT_THAT(cluster_->StartNode(NodeId(99)), HasError(absl::StatusCode::kNotFound, "node-99"));
  EXPECT_THAT(cluster_->StopZone("zone-x"), HasError(absl::StatusCode::kNotFound, "zone-x"));
  EXPECT_THAT(cluster_->StartZone("zone-x"), HasError(absl::StatusCode::kNotFound, "zone-x"));
  ExpectFilled(100, "value");
}

TEST_F(FailoverTest, ANodeWhoseFilesAreGoneIsBuiltAnew) {
  options_.shards = 1;
  Open();
  Fill(2000, "before");
  ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
  Fill(1000, "again");
  const NodeInfo replica = NodeOf("7", Role::kReplica);
  ASSERT_THAT(cluster_->StopNode(replica.id), IsOk());
  const std::string zone = absl::StrCat(path_, "/", replica.zone);
  // Its files may be open for a moment yet.
  ASSERT_TRUE(Eventually([&] {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(zone)) {
      if (entry.is_directory()) std::filesystem::remove_all(entry.path(), error);
    }
    return !std::filesystem::exists(absl::StrCat(zone, "/node-", replica.id.value(), ".1"));
  }));
  Fill(500, "without");
  ASSERT_THAT(cluster_->StartNode(replica.id), IsOk());
  ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
  EXPECT_TRUE(std::filesystem::exists(absl::StrCat(zone, "/node-", replica.id.value(), ".2")));
  Fill(100, "after");
  ASSERT_THAT(cluster_->StopNode(NodeOf("7", Role::kPrimary).id), IsOk());
  for (int i = 0; i < 2000; ++i) {
    ASSERT_THAT(cluster_->Get(absl::StrCat(i)), HoldsValue(i < 100    ? "after"
                                                           : i < 500  ? "without"
                                                           : i < 1000 ? "again"
                                                                      : "before"));
  }
  // The new one is what the next Open finds; what is left of others it deletes.
  Close();
  const std::string name = absl::StrCat(zone, "/node-", replica.id.value());
  std::filesystem::create_directories(absl::StrCat(name, ".1/log"));
  Open();
  EXPECT_FALSE(std::filesystem::exists(absl::StrCat(name, ".1")));
  EXPECT_TRUE(EverythingInSync());
  ExpectFilled(100, "after");
}

TEST_F(FailoverTest, ReplicasAreAddedAndRemoved) {
  options_.replicas_per_shard = 0;
  Open();
  Fill(300, "value");
  const Topology before = cluster_->GetTopology();
  for (const ShardInfo& shard : before.shards()) {
    const std::string zone = shard.primary().zone == "zone-a" ? "zone-b" : "zone-a";
    ASSERT_THAT(cluster_->AddReplica(shard.id, zone), IsOk());
    EXPECT_THAT(cluster_->AddReplica(shard.id, zone),
                HasError(absl::StatusCode::kFailedPrecondition, zone));
  }
  EXPECT_THAT(cluster_->AddReplica(ShardId(1), "zone-x"),
              HasError(absl::StatusCode::kNotFound, "zone-x"));
  EXPECT_THAT(cluster_->AddReplica(ShardId(99), "zone-a"),
              HasError(absl::StatusCode::kNotFound, "shard-99"));
  ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
  ExpectFilled(300, "value");
  Close();
  Open();
  // They stand in for those that were there before.
  for (const ShardInfo& shard : before.shards()) {
    EXPECT_THAT(cluster_->RemoveReplica(shard.primary().id),
                HasError(absl::StatusCode::kFailedPrecondition, "primary"));
    ASSERT_THAT(cluster_->Promote(shard.id), IsOk());
    ASSERT_THAT(cluster_->RemoveReplica(shard.primary().id), IsOk());
    EXPECT_THAT(cluster_->RemoveReplica(shard.primary().id), HasCode(absl::StatusCode::kNotFound));
  }
  EXPECT_TRUE(Eventually([&] {
    for (const ShardInfo& shard : before.shards()) {
      const NodeInfo& node = shard.primary();
      if (std::filesystem::exists(
              absl::StrCat(path_, "/", node.zone, "/node-", node.id.value(), ".1"))) {
        return false;
      }
    }
    return true;
  }));
  ExpectFilled(300, "value");
  Close();
  Open();
  for (const ShardInfo& shard : cluster_->GetTopology().shards()) {
    EXPECT_EQ(shard.nodes.size(), 1u);
  }
  ExpectFilled(300, "value");
}

TEST_F(FailoverTest, WhenAllCopiesAreStoppedTheSlotsAreNotServed) {
  Open();
  Fill(100, "value");
  const ShardInfo shard = ShardOf("7");
  for (const NodeInfo& node : shard.nodes) ASSERT_THAT(cluster_->StopNode(node.id), IsOk());
  EXPECT_THAT(cluster_->Get("7"), HasError(kUnavailable, "stopped"));
  EXPECT_THAT(cluster_->Set("7", "x"), HasError(kUnavailable, "stopped"));
  EXPECT_THAT(cluster_->MultiGet({"7"})[0], HasError(kUnavailable, "stopped"));
  EXPECT_THAT(cluster_->Verify(), HasCode(kUnavailable));
  EXPECT_THAT(cluster_->Promote(shard.id), HasCode(kUnavailable));
  int served = 0;
  for (int i = 0; i < 100; ++i) served += cluster_->Get(absl::StrCat(i)).ok() ? 1 : 0;
  EXPECT_GT(served, 0) << "other shards go on";
  // The one that was stopped first may have missed writes; the other has not.
  ASSERT_THAT(cluster_->StartNode(shard.nodes[0].id), IsOk());
  absl::SleepFor(absl::Milliseconds(300));
  EXPECT_THAT(cluster_->Get("7"), HasCode(kUnavailable)) << "a copy that is not in sync is served";
  ASSERT_THAT(cluster_->StartNode(shard.nodes[1].id), IsOk());
  ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
  ExpectFilled(100, "value");
  Fill(100, "after");
  ExpectFilled(100, "after");
}

TEST_F(FailoverTest, TooFewReplicasRefuseWrites) {
  class Recorder final : public EventListener {
   public:
    void OnWritesRefused(ShardId shard, const absl::Status& why) override {
      absl::MutexLock lock(&mu_);
      events_.push_back(absl::StrCat(shard.ToString(), " refused: ", why.ToString()));
    }
    void OnWritesResumed(ShardId shard) override {
      absl::MutexLock lock(&mu_);
      events_.push_back(absl::StrCat(shard.ToString(), " resumed"));
    }
    std::vector<std::string> events() {
      absl::MutexLock lock(&mu_);
      return events_;
    }

   private:
    absl::Mutex mu_;
    std::vector<std::string> events_;
  };
  const auto recorder = std::make_shared<Recorder>();
  options_.listener = recorder;
  options_.min_in_sync_replicas = 1;
  Open();
  Fill(100, "value");
  const NodeInfo replica = NodeOf("7", Role::kReplica);
  const auto refused = HasError(kUnavailable, "min_in_sync_replicas");
  ASSERT_THAT(cluster_->StopNode(replica.id), IsOk());
  EXPECT_THAT(cluster_->Set("7", "x"), refused);
  EXPECT_THAT(cluster_->Delete("7"), refused);
  EXPECT_THAT(cluster_->Increment("{7}number", 1), refused);
  EXPECT_THAT(cluster_->Get("7"), HoldsValue("value"));
  for (const ShardStats& shard : cluster_->GetStats().shards) {
    EXPECT_EQ(absl::IsUnavailable(shard.write_status), shard.id == replica.shard) << shard.id;
  }
  ASSERT_TRUE(Eventually([&] { return recorder->events().size() == 1; }));
  ASSERT_THAT(cluster_->StartNode(replica.id), IsOk());
  ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
  ASSERT_TRUE(Eventually([&] { return recorder->events().size() == 2; }));
  const std::string shard = replica.shard.ToString();
  EXPECT_THAT(recorder->events(),
              testing::ElementsAre(testing::StartsWith(shard + " refused: UNAVAILABLE"),
                                   shard + " resumed"));
  for (const ShardStats& stats : cluster_->GetStats().shards) {
    EXPECT_THAT(stats.write_status, IsOk());
  }
  // What was refused was not applied, and does not come later.
  EXPECT_THAT(cluster_->Get("{7}number"), IsMissing());
  ExpectFilled(100, "value");
  // With the primary gone it is the other way round.
  ASSERT_THAT(cluster_->StopNode(NodeOf("7", Role::kPrimary).id), IsOk());
  EXPECT_EQ(NodeOf("7", Role::kPrimary).id, replica.id);
  EXPECT_THAT(cluster_->Set("7", "x"), refused);
  EXPECT_THAT(cluster_->Get("7"), HoldsValue("value"));
  ASSERT_THAT(cluster_->StartNode(NodeOf("7", Role::kReplica).id), IsOk());
  ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
  Fill(100, "after");
  ExpectFilled(100, "after");
}

TEST_F(FailoverTest, WithoutAutomaticFailoverSomebodyPromotes) {
  options_.auto_failover = false;
  Open();
  Fill(100, "value");
  const NodeInfo primary = NodeOf("7", Role::kPrimary);
  cluster_->StopNode(primary.id).IgnoreError();
  EXPECT_THAT(cluster_->Set("7", "x"), HasError(kUnavailable, "auto_failover"));
  EXPECT_EQ(NodeOf("7", Role::kPrimary).id, primary.id);
  ASSERT_THAT(cluster_->Promote(ShardOf("7").id), IsOk());
  EXPECT_NE(NodeOf("7", Role::kPrimary).id, primary.id);
  Fill(100, "after");
  ExpectFilled(100, "after");
}

// Each thread owns some keys: what it was told is written is what it reads, whatever happens.
TEST_F(FailoverTest, EachZoneInTurnUnderLoad) {
  OpenHooked();
  std::atomic<bool> stop{false};
  std::atomic<int> writes{0};
  std::vector<std::thread> writers;
  for (int t = 0; t < 3; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; !stop; ++i) {
        const std::string key = absl::StrCat(t, ".", i % 40), value = absl::StrCat(i);
        ASSERT_THAT(cluster_->Set(key, value), IsOk());
        ASSERT_THAT(cluster_->Get(key), HoldsValue(value));
        ++writes;
      }
    });
  }
  const auto some_writes = [&](int n) {
    const int until = writes + n;
    return Eventually([&, until] { return writes >= until; });
  };
  for (const std::string zone : {"zone-a", "zone-b", "zone-c"}) {
    ASSERT_THAT(cluster_->StopZone(zone), IsOk());
    EXPECT_TRUE(some_writes(300));
    for (const ShardInfo& shard : cluster_->GetTopology().shards()) {
      for (const NodeInfo& node : shard.nodes) {
        if (node.zone != zone) continue;
        EXPECT_FALSE(node.in_sync) << node.id;
        EXPECT_EQ(node.role, Role::kReplica) << node.id;
      }
    }
    ASSERT_THAT(cluster_->StartZone(zone), IsOk());
    ASSERT_TRUE(Eventually([&] { return EverythingInSync(); })) << zone;
    EXPECT_TRUE(some_writes(300));
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

// No write and no read fails, and no reader goes back in time.
TEST_F(FailoverTest, PromotionsUnderLoad) {
  options_.shards = 1;
  Open();
  constexpr int kKeys = 20;
  std::vector<std::atomic<int>> written(kKeys);
  for (int key = 0; key < kKeys; ++key) {
    ASSERT_THAT(cluster_->Set(absl::StrCat(key), "0"), IsOk());
  }
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 1; !stop; ++i) {
        for (int key = t; key < kKeys; key += 2) {
          ASSERT_THAT(cluster_->Set(absl::StrCat(key), absl::StrCat(i)), IsOk());
          written[key] = i;
        }
      }
    });
    threads.emplace_back([&] {
      for (int key = 0; !stop; key = (key + 1) % kKeys) {
        const int least = written[key];
        const absl::StatusOr<std::string> value = cluster_->Get(absl::StrCat(key));
        ASSERT_THAT(value, IsOk());
        ASSERT_GE(std::stoi(*value), least) << key;
      }
    });
  }
  for (int i = 0; i < 50; ++i) ASSERT_THAT(cluster_->Promote(ShardId(1)), IsOk());
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(EverythingInSync());
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

// A disk that fails takes its copies out; healed, they return by themselves.
TEST_F(FailoverTest, ADiskThatRecoversIsUsedAgain) {
  OpenHooked();
  Fill(200, "before");
  hook_->Fail(FileOp::kWrite, absl::UnavailableError("broken"), "/zone-b/node-");
  hook_->Fail(FileOp::kSync, absl::UnavailableError("broken"), "/zone-b/node-");
  Fill(200, "after");
  ASSERT_TRUE(Eventually([&] { return !EverythingInSync(); }));
  hook_->Heal();
  ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
  ExpectFilled(200, "after");
}

}  // namespace
}  // namespace slotkv
