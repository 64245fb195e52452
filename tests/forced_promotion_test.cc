// Every copy in sync is gone, and one that had fallen behind goes on by force.
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

namespace fs = std::filesystem;

using testing::HasSubstr;

constexpr absl::StatusCode kUnavailable = absl::StatusCode::kUnavailable;
constexpr absl::StatusCode kRefused = absl::StatusCode::kFailedPrecondition;
constexpr ShardId kShard(1);

class Recorder final : public EventListener {
 public:
  void OnPromotion(ShardId, NodeId node) override { Add("primary " + node.ToString()); }
  void OnNodeInSync(NodeId node, bool rebuilt) override {
    Add(node.ToString() + (rebuilt ? " rebuilt" : " caught up"));
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

class LogRecorder final : public Logger {
 public:
  void Log(LogLevel, std::string_view line) override {
    absl::MutexLock lock(&mu_);
    lines_ += std::string(line) + "\n";
  }
  std::string lines() {
    absl::MutexLock lock(&mu_);
    return lines_;
  }

 private:
  absl::Mutex mu_;
  std::string lines_;
};

bool Eventually(const std::function<bool()>& condition) {
  const absl::Time give_up = absl::Now() + absl::Minutes(2);
  while (!condition()) {
    if (absl::Now() > give_up) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

PromoteOptions By(bool force, std::optional<NodeId> node = std::nullopt) {
  PromoteOptions options;
  options.force = force;
  options.node = node;
  return options;
}

bool EverythingInSync(const Cluster& cluster) {
  for (const ShardInfo& shard : cluster.GetTopology().shards()) {
    for (const NodeInfo& node : shard.nodes) {
      if (!node.in_sync || !node.up) return false;
    }
  }
  return true;
}

class ForcedPromotionTest : public ClusterFixture {
 protected:
  ForcedPromotionTest() {
    options_.shards = 1;
    options_.replicas_per_shard = 1;
    // Nothing fails here because the machine is slow.
    options_.node_timeout = options_.operation_timeout = absl::Minutes(1);
    options_.listener = events_;
    options_.logger = log_;
  }

  void OpenHooked() {
    Close();
    hook_->Heal();
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options_, path_, hook_);
    ASSERT_THAT(cluster, IsOk());
    cluster_ = *std::move(cluster);
  }
  void Fill(int from, int count, const std::string& value) {
    for (int i = from; i < from + count; ++i) {
      ASSERT_THAT(cluster_->Set(absl::StrCat(i), value), IsOk()) << i;
    }
  }
  void ExpectFilled(int from, int count, const std::string& value) {
    for (int i = from; i < from + count; ++i) {
      ASSERT_THAT(cluster_->Get(absl::StrCat(i)), HoldsValue(value)) << i;
    }
  }
  // Keys from 0 on hold "old" in both copies; `writes` of them are "new" in the primary's alone.
  void LeaveReplicaBehind(int keys, int writes) {
    Fill(0, keys, "old");
    const Topology topology = cluster_->GetTopology();
    for (const NodeInfo& node : topology.FindShard(kShard)->nodes) {
      (node.role == Role::kPrimary ? primary_ : replica_) = node;
    }
    ASSERT_THAT(cluster_->StopNode(replica_.id), IsOk());
    Fill(0, writes, "new");
  }
  // While the cluster is open.
  void StopPrimary() {
    ASSERT_THAT(cluster_->StopNode(primary_.id), IsOk());
    ASSERT_THAT(cluster_->StartNode(replica_.id), IsOk());
  }
  NodeInfo PrimaryNow() {
    const Topology topology = cluster_->GetTopology();
    return topology.FindShard(kShard)->primary();
  }
  std::string ZoneOf(const NodeInfo& node) const { return absl::StrCat(path_, "/", node.zone); }
  std::string DirectoryOf(const NodeInfo& node, int incarnation = 1) const {
    return absl::StrCat(ZoneOf(node), "/node-", node.id.value(), ".", incarnation);
  }
  bool Told(const std::string& event) {
    for (const std::string& told : events_->events()) {
      if (told == event) return true;
    }
    return false;
  }
  void ExpectRebuilt(const NodeInfo& node) {
    ASSERT_TRUE(Eventually([&] { return EverythingInSync(*cluster_); }));
    EXPECT_TRUE(Eventually([&] { return Told(node.id.ToString() + " rebuilt"); }));
    EXPECT_FALSE(Told(node.id.ToString() + " caught up"));
    EXPECT_TRUE(fs::exists(DirectoryOf(node, 2)));
    EXPECT_THAT(cluster_->Verify(), IsOk());
  }

  const std::shared_ptr<TestHook> hook_ = std::make_shared<TestHook>();
  const std::shared_ptr<Recorder> events_ = std::make_shared<Recorder>();
  const std::shared_ptr<LogRecorder> log_ = std::make_shared<LogRecorder>();
  NodeInfo primary_, replica_;
};

// ---- What is lost, and that it is said ----

TEST_F(ForcedPromotionTest, TheZoneOfTheOnlyCopyInSyncIsLost) {
  Open();
  LeaveReplicaBehind(200, 150);
  Close();
  const std::string away = directory_.Path("away");
  fs::rename(ZoneOf(primary_), away);
  Open();
  // Nobody promotes it but by force.
  EXPECT_THAT(cluster_->Get("7"), HasError(kUnavailable, primary_.zone));
  EXPECT_THAT(cluster_->Get("7"), HasError(kUnavailable, "PromoteOptions.force"));
  for (const auto& node : {std::optional<NodeId>(), std::optional<NodeId>(replica_.id)}) {
    const absl::Status refused = cluster_->Promote(kShard, By(/*force=*/false, node));
    EXPECT_EQ(refused.code(), kRefused);
    EXPECT_THAT(
        std::string(refused.message()),
        testing::AllOf(HasSubstr(replica_.id.ToString() + " is not in sync"),
                       HasSubstr("has the records of shard-1 up to 20"), HasSubstr("(epoch 1)"),
                       HasSubstr(primary_.zone + " is down"), HasSubstr("would be lost is unknown"),
                       HasSubstr("PromoteOptions.force")));
  }
  EXPECT_THAT(cluster_->Promote(kShard, By(true, primary_.id)),
              HasError(kUnavailable, primary_.zone));
  EXPECT_THAT(cluster_->Promote(kShard, By(true, NodeId(99))), HasError(kRefused, "node-99"));
  EXPECT_THAT(cluster_->Get("7"), HasCode(kUnavailable));
  EXPECT_FALSE(Told("primary " + replica_.id.ToString()));
  EXPECT_TRUE(Eventually([&] { return absl::StrContains(log_->lines(), "PromoteOptions.force"); }))
      << "the log does not say how to go on";

  const uint64_t epoch = cluster_->GetTopology().epoch().value();
  ASSERT_THAT(cluster_->Promote(kShard, By(/*force=*/true)), IsOk());
  EXPECT_GT(cluster_->GetTopology().epoch().value(), epoch);
  EXPECT_EQ(PrimaryNow().id, replica_.id);
  EXPECT_TRUE(Eventually([&] { return Told("primary " + replica_.id.ToString()); }));
  EXPECT_THAT(log_->lines(), HasSubstr("forced: records after 20"));
  EXPECT_THAT(cluster_->GetStats().shards[0].write_status, IsOk());
  ExpectFilled(0, 200, "old");
  Fill(100, 100, "after");
  // It is so for good.
  Open();
  EXPECT_EQ(PrimaryNow().id, replica_.id);
  ExpectFilled(0, 100, "old");
  ExpectFilled(100, 100, "after");
  Close();
  fs::rename(away, ZoneOf(primary_));
  Open();
  ExpectRebuilt(primary_);
  EXPECT_EQ(PrimaryNow().id, replica_.id);
  ASSERT_THAT(cluster_->Promote(kShard), IsOk());
  ExpectFilled(0, 100, "old");
  ExpectFilled(100, 100, "after");
}

TEST_F(ForcedPromotionTest, TheDirectoryOfTheOnlyCopyInSyncIsLost) {
  options_.shards = 3;
  Open();
  LeaveReplicaBehind(300, 100);
  Close();
  fs::remove_all(DirectoryOf(primary_));
  Open();
  int served = 0, refused = 0;
  for (int i = 0; i < 300; ++i) {
    const absl::StatusOr<std::string> value = cluster_->Get(absl::StrCat(i));
    (value.ok() ? served : refused)++;
    if (!value.ok()) {
      EXPECT_THAT(value, HasError(kUnavailable, DirectoryOf(primary_)));
    }
  }
  EXPECT_GT(served, 0) << "other shards go on";
  EXPECT_GT(refused, 0);
  EXPECT_THAT(cluster_->Promote(kShard), HasError(kRefused, DirectoryOf(primary_)));
  ASSERT_THAT(cluster_->Promote(kShard, By(true, replica_.id)), IsOk());
  for (int i = 0; i < 300; ++i) {
    const bool lost = cluster_->GetTopology().OwnerOf(SlotForKey(absl::StrCat(i))) == kShard;
    ASSERT_THAT(cluster_->Get(absl::StrCat(i)), HoldsValue(i < 100 && !lost ? "new" : "old"));
  }
  ExpectRebuilt(primary_);
}

// The only copies there are: damage that nobody may pass over.
TEST_F(ForcedPromotionTest, OpenRefusesWhereNothingIsLeft) {
  Open();
  LeaveReplicaBehind(10, 10);
  Close();
  fs::remove_all(DirectoryOf(primary_));
  fs::remove_all(DirectoryOf(replica_));
  EXPECT_THAT(Cluster::Open(options_, path_), HasCode(absl::StatusCode::kDataLoss));
  // Half built is not built.
  fs::create_directories(DirectoryOf(replica_) + "/store");
  EXPECT_THAT(Cluster::Open(options_, path_), HasCode(absl::StatusCode::kDataLoss));
}

TEST_F(ForcedPromotionTest, SaysHowManyWritesAreLost) {
  Open();
  LeaveReplicaBehind(100, 37);
  StopPrimary();
  const std::string replica = replica_.id.ToString();
  // The stopped copy's log can be read once it is closed, and is known before.
  EXPECT_TRUE(Eventually([&] {
    const absl::Status status = cluster_->Promote(kShard);
    EXPECT_THAT(status, HasError(kRefused, "up to 37 acknowledged writes would be lost"));
    return absl::StrContains(status.message(), "in the log of " + primary_.id.ToString());
  }));
  ASSERT_THAT(cluster_->Promote(kShard, By(true, replica_.id)), IsOk());
  ExpectFilled(0, 100, "old");
}

TEST_F(ForcedPromotionTest, OfSeveralTheOneWithMost) {
  options_.replicas_per_shard = 2;
  Open();
  Fill(0, 100, "first");
  ASSERT_THAT(cluster_->StopNode(NodeId(3)), IsOk());
  Fill(0, 100, "second");
  ASSERT_THAT(cluster_->StopNode(NodeId(2)), IsOk());
  Fill(0, 100, "third");
  ASSERT_THAT(cluster_->StopNode(NodeId(1)), IsOk());
  // Whoever is stopped is not asked.
  EXPECT_THAT(cluster_->Promote(kShard, By(true, NodeId(2))), HasError(kUnavailable, "stopped"));
  EXPECT_THAT(cluster_->Promote(kShard, By(true)), HasError(kUnavailable, "stopped"));
  for (const int node : {2, 3}) ASSERT_THAT(cluster_->StartNode(NodeId(node)), IsOk());
  EXPECT_THAT(cluster_->Promote(kShard),
              HasError(kRefused, "up to 100 acknowledged writes would be lost"));
  EXPECT_THAT(cluster_->Promote(kShard, By(false, NodeId(3))),
              HasError(kRefused, "up to 200 acknowledged writes would be lost"));
  ASSERT_THAT(cluster_->Promote(kShard, By(true)), IsOk());
  EXPECT_EQ(PrimaryNow().id, NodeId(2));
  ExpectFilled(0, 100, "second");
  // What the third one has is the beginning of it.
  ASSERT_THAT(cluster_->StartNode(NodeId(1)), IsOk());
  ASSERT_TRUE(Eventually([&] { return EverythingInSync(*cluster_); }));
  EXPECT_TRUE(Eventually([&] { return Told("node-1 rebuilt") && Told("node-3 caught up"); }));
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

// ---- Those that have more ----

// However far the shard has come since, records of its own are no beginning of the shard's.
TEST_F(ForcedPromotionTest, TheFormerPrimaryIsBuiltAnew) {
  for (const int writes : {0, 4, 50}) {
    SCOPED_TRACE(writes);
    Open();
    LeaveReplicaBehind(100, 5);
    StopPrimary();
    ASSERT_THAT(cluster_->Promote(kShard, By(true)), IsOk());
    // With the epoch's first record, 4 of them end where the former primary's 5 did.
    Fill(50, writes, "after");
    ASSERT_THAT(cluster_->StartNode(primary_.id), IsOk());
    ExpectRebuilt(primary_);
    ASSERT_THAT(cluster_->Promote(kShard, By(false, primary_.id)), IsOk());
    ExpectFilled(0, 50, "old");
    ExpectFilled(50, writes, "after");
    ExpectFilled(50 + writes, 50 - writes, "old");
    Close();
    ASSERT_THAT(Cluster::Destroy(path_), IsOk());
  }
}

// ---- What is refused ----

TEST_F(ForcedPromotionTest, RefusedWhileACopyInSyncServes) {
  options_.replicas_per_shard = 2;
  Open();
  LeaveReplicaBehind(100, 50);
  for (const bool force : {false, true}) {
    EXPECT_THAT(cluster_->Promote(kShard, By(force, replica_.id)),
                HasError(kRefused, "lose writes for nothing"));
    EXPECT_THAT(cluster_->Promote(kShard, By(force, NodeId(99))), HasError(kRefused, "node-99"));
  }
  // One in sync is promoted as ever.
  const Topology topology = cluster_->GetTopology();
  for (const NodeInfo& node : topology.FindShard(kShard)->nodes) {
    if (!node.in_sync) continue;
    EXPECT_THAT(cluster_->Promote(kShard, By(true, node.id)), IsOk());
  }
  EXPECT_NE(PrimaryNow().id, replica_.id);
  ExpectFilled(0, 50, "new");
  EXPECT_THAT(cluster_->Promote(ShardId(9), By(true)),
              HasError(absl::StatusCode::kNotFound, "shard-9"));
  ASSERT_THAT(cluster_->StartNode(replica_.id), IsOk());
  ASSERT_TRUE(Eventually([&] { return EverythingInSync(*cluster_); }));
  EXPECT_TRUE(Told(replica_.id.ToString() + " caught up"));
}

TEST_F(ForcedPromotionTest, ACopyWithoutDataIsRefused) {
  Open();
  LeaveReplicaBehind(100, 50);
  Close();
  const std::string away = directory_.Path("away"), saved = directory_.Path("saved");
  fs::rename(ZoneOf(primary_), away);
  Open();  // while there is something
  fs::rename(DirectoryOf(replica_), saved);
  const auto refused = HasError(absl::StatusCode::kDataLoss, DirectoryOf(replica_));
  for (const std::string part : {"", "/log", "/store"}) {
    if (!part.empty()) fs::create_directories(DirectoryOf(replica_) + part);
    EXPECT_THAT(cluster_->Promote(kShard, By(true, replica_.id)), refused);
    EXPECT_THAT(cluster_->Promote(kShard, By(true)), HasError(kUnavailable, DirectoryOf(replica_)));
  }
  EXPECT_THAT(cluster_->Get("7"), HasCode(kUnavailable));
  fs::remove_all(DirectoryOf(replica_));
  fs::rename(saved, DirectoryOf(replica_));
  ASSERT_THAT(cluster_->Promote(kShard, By(true)), IsOk());
  ExpectFilled(0, 100, "old");
}

// A replica that was asked for and not built yet.
TEST_F(ForcedPromotionTest, ACopyThatWasNeverBuiltIsRefused) {
  options_.replicas_per_shard = 0;
  OpenHooked();
  Fill(0, 100, "value");
  const std::string zone = PrimaryNow().zone == "zone-a" ? "zone-b" : "zone-a";
  hook_->Fail(FileOp::kCreate, absl::UnavailableError("broken"), "/" + zone + "/node-");
  ASSERT_THAT(cluster_->AddReplica(kShard, zone), IsOk());
  const NodeId only = PrimaryNow().id;
  ASSERT_THAT(cluster_->StopNode(only), IsOk());
  EXPECT_THAT(cluster_->Promote(kShard, By(true, NodeId(2))),
              HasError(absl::StatusCode::kDataLoss, zone + "/node-2.1"));
  hook_->Heal();
  ASSERT_THAT(cluster_->StartNode(only), IsOk());
  ASSERT_TRUE(Eventually([&] { return EverythingInSync(*cluster_); }));
  ExpectFilled(0, 100, "value");
}

// ---- While the cluster is used ----

TEST_F(ForcedPromotionTest, ADiskThatFailsUnderAnOpenCluster) {
  OpenHooked();
  LeaveReplicaBehind(100, 50);
  const std::string root = "/" + primary_.zone + "/node-";
  hook_->SetBefore([=](FileOp op, const std::string& path) {
    const bool hit = (op == FileOp::kWrite || op == FileOp::kSync || op == FileOp::kOpen) &&
                     absl::StrContains(path, root);
    return hit ? absl::UnavailableError("broken") : absl::OkStatus();
  });
  ASSERT_THAT(cluster_->StartNode(replica_.id), IsOk());
  ASSERT_TRUE(Eventually([&] { return !cluster_->Set("7", "doubtful").ok(); }));
  ASSERT_TRUE(Eventually([&] { return absl::IsUnavailable(cluster_->Set("7", "refused")); }));
  EXPECT_THAT(cluster_->Promote(kShard), HasError(kRefused, "broken"));
  ASSERT_THAT(cluster_->Promote(kShard, By(true)), IsOk());
  EXPECT_EQ(PrimaryNow().id, replica_.id);
  ExpectFilled(0, 100, "old");
  Fill(0, 100, "after");
  hook_->Heal();
  ExpectRebuilt(primary_);
  ExpectFilled(0, 100, "after");
}

TEST_F(ForcedPromotionTest, AWriterIsRefusedAndThenGoesOn) {
  Open();
  LeaveReplicaBehind(100, 50);
  std::atomic<bool> stop{false};
  std::atomic<int> written{0}, refused{0};
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      const absl::Status status = cluster_->Set(absl::StrCat("w", i % 50), absl::StrCat(i));
      if (status.ok()) {
        ASSERT_THAT(cluster_->Get(absl::StrCat("w", i % 50)),
                    testing::AnyOf(HoldsValue(absl::StrCat(i)), HasCode(kUnavailable),
                                   HasCode(absl::StatusCode::kNotFound)));
        ++written;
      } else {
        // Or the last one at the moment of the stop.
        EXPECT_THAT(status, testing::AnyOf(HasCode(kUnavailable),
                                           HasCode(absl::StatusCode::kDeadlineExceeded)));
        ++refused;
      }
    }
  });
  ASSERT_TRUE(Eventually([&] { return written > 50; }));
  StopPrimary();
  ASSERT_TRUE(Eventually([&] { return refused > 50; }));
  ASSERT_THAT(cluster_->Promote(kShard, By(true)), IsOk());
  const int before = written;
  ASSERT_TRUE(Eventually([&] { return written > before + 50; }));
  ASSERT_THAT(cluster_->StartNode(primary_.id), IsOk());
  EXPECT_TRUE(Eventually([&] { return EverythingInSync(*cluster_); }));
  stop = true;
  writer.join();
  EXPECT_THAT(cluster_->Verify(), IsOk());
  ExpectFilled(0, 100, "old");
}

// Several ask at once, while the copy that has all comes back: it wins, or one of them does.
TEST_F(ForcedPromotionTest, WhoeverIsFirstWins) {
  int forced = 0, revived = 0;
  for (int round = 0; round < 12; ++round) {
    SCOPED_TRACE(round);
    Open();
    LeaveReplicaBehind(100, 50);
    StopPrimary();
    std::vector<std::thread> threads;
    std::atomic<int> ok{0};
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        absl::SleepFor(absl::Milliseconds(10 * (round % 6) * t));
        const absl::Status status = cluster_->Promote(kShard, By(true, replica_.id));
        // Ok also for those that find it the primary, or in sync again.
        EXPECT_TRUE(status.ok() || absl::IsFailedPrecondition(status)) << status;
        if (status.ok()) ++ok;
      });
    }
    if (round % 2 == 0) absl::SleepFor(absl::Milliseconds(40 * (round % 6)));
    EXPECT_THAT(cluster_->StartNode(primary_.id), IsOk());
    for (std::thread& thread : threads) thread.join();
    ASSERT_TRUE(Eventually([&] { return EverythingInSync(*cluster_); }));
    const absl::StatusOr<std::string> value = cluster_->Get("0");
    ASSERT_THAT(value, IsOk());
    ++(*value == "old" ? forced : revived);
    ExpectFilled(0, 50, *value);
    ExpectFilled(50, 50, "old");
    EXPECT_THAT(cluster_->Verify(), IsOk());
    EXPECT_TRUE(ok > 0 || *value == "new");
    Close();
    ASSERT_THAT(Cluster::Destroy(path_), IsOk());
  }
  std::cout << forced << " forced, " << revived << " revived" << std::endl;
}

// ---- The topology does not answer ----

TEST_F(ForcedPromotionTest, WhoeverDoesNotKnowSaysSo) {
  for (const bool asks_again : {true, false}) {
    SCOPED_TRACE(asks_again);
    options_.operation_timeout = absl::Minutes(1);
    Open();
    LeaveReplicaBehind(100, 50);
    Close();
    const std::string away = directory_.Path("away");
    fs::rename(ZoneOf(primary_), away);
    options_.operation_timeout = absl::Seconds(2);
    OpenHooked();
    // The zones that are left are a majority, as long as both can be written.
    hook_->Fail(FileOp::kSync, absl::UnavailableError("broken"), "/TOPOLOGY");
    hook_->Fail(FileOp::kWrite, absl::UnavailableError("broken"), "/TOPOLOGY");
    EXPECT_THAT(cluster_->Promote(kShard, By(true)),
                HasError(absl::StatusCode::kDeadlineExceeded, "may be the primary now"));
    EXPECT_THAT(cluster_->Get("0"), HasCode(kUnavailable));
    hook_->Heal();
    if (asks_again) {
      EXPECT_THAT(cluster_->Promote(kShard, By(true)), IsOk());
      ExpectFilled(0, 100, "old");
      EXPECT_TRUE(Eventually([&] { return Told("primary " + replica_.id.ToString()); }));
      Fill(0, 10, "after");
    }
    Open();
    if (asks_again) {
      ExpectFilled(0, 10, "after");
    } else if (!cluster_->Get("0").ok()) {
      ASSERT_THAT(cluster_->Promote(kShard, By(true)), IsOk());
    }
    ExpectFilled(10, 90, "old");
    Close();
    fs::rename(away, ZoneOf(primary_));
    Open();
    ASSERT_TRUE(Eventually([&] { return EverythingInSync(*cluster_); }));
    ExpectFilled(10, 90, "old");
    EXPECT_THAT(cluster_->Verify(), IsOk());
    Close();
    ASSERT_THAT(Cluster::Destroy(path_), IsOk());
  }
}

}  // namespace
}  // namespace slotkv
