// A cluster whose shards have two copies each: nothing acknowledged is lost when one of them is.
#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
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

class ReplicationTest : public ReplicatedCluster {
 protected:
  // What the nodes of a zone do to their logs fails.
  void Break(FileOp op, const std::string& zone) {
    hook_->SetBefore([=](FileOp done, const std::string& path) {
      const bool hit = done == op && path.find("/" + zone + "/node-") != std::string::npos &&
                       path.find("/log/") != std::string::npos;
      return hit ? absl::UnavailableError("broken") : absl::OkStatus();
    });
  }

  // By zone: copies in sync, primaries.
  struct Count {
    int in_sync = 0, primaries = 0;
  };
  std::map<std::string, Count> CountCopies() {
    std::map<std::string, Count> counts;
    for (const ShardInfo& shard : cluster_->GetTopology().shards()) {
      for (const NodeInfo& node : shard.nodes) {
        Count& count = counts[node.zone];
        if (node.in_sync) ++count.in_sync;
        if (node.role == Role::kPrimary) ++count.primaries;
        EXPECT_TRUE(node.in_sync || !node.up) << node.id;
      }
    }
    return counts;
  }
};

TEST_F(ReplicationTest, PrimariesAndReplicasAreSpread) {
  options_.shards = 6;
  Open();
  for (const auto& [zone, count] : CountCopies()) {
    EXPECT_EQ(count.in_sync, 4) << zone;
    EXPECT_EQ(count.primaries, 2) << zone;
  }
  for (const ShardInfo& shard : cluster_->GetTopology().shards()) {
    ASSERT_EQ(shard.nodes.size(), 2u);
    EXPECT_NE(shard.nodes[0].zone, shard.nodes[1].zone);
  }
}

TEST_F(ReplicationTest, AZoneThatFailsLosesNoWrite) {
  for (const Fsync fsync : {Fsync::kNever, Fsync::kAlways}) {
    for (const std::string zone : {"zone-a", "zone-b", "zone-c"}) {
      options_.fsync = fsync;
      OpenHooked();
      Fill(300, "before " + zone);
      Break(fsync == Fsync::kAlways ? FileOp::kSync : FileOp::kWrite, zone);
      Fill(300, "after " + zone);
      ExpectFilled(300, "after " + zone);
      const Count count = CountCopies()[zone];
      EXPECT_EQ(count.in_sync, 0) << zone;
      EXPECT_EQ(count.primaries, 0) << zone;
      Close();
      // The next Open gives the copies what they missed.
      Open();
      EXPECT_EQ(CountCopies()[zone].in_sync, 2) << zone;
      ExpectFilled(300, "after " + zone);
    }
  }
}

TEST_F(ReplicationTest, AReaderNeverSeesAnOlderValue) {
  OpenHooked();
  constexpr int kKeys = 30;
  std::vector<std::atomic<int>> written(kKeys);
  std::atomic<bool> stop{false};
  for (int key = 0; key < kKeys; ++key) {
    ASSERT_THAT(cluster_->Set(absl::StrCat(key), "0"), IsOk());
  }
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      for (int key = 0; !stop; key = (key + 1) % kKeys) {
        const int least = written[key];
        const absl::StatusOr<std::string> value = cluster_->Get(absl::StrCat(key));
        ASSERT_THAT(value, IsOk());
        ASSERT_GE(std::stoi(*value), least) << key;
      }
    });
  }
  for (int round = 1; round <= 200; ++round) {
    if (round == 100) Break(FileOp::kWrite, "zone-b");
    for (int key = 0; key < kKeys; ++key) {
      ASSERT_THAT(cluster_->Set(absl::StrCat(key), absl::StrCat(round)), IsOk());
      written[key] = round;
    }
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(CountCopies()["zone-b"].in_sync, 0);
}

TEST_F(ReplicationTest, AnIdleShardIsCaredFor) {
  OpenHooked();
  Break(FileOp::kSync, "zone-a");
  Fill(100, "value");
  const absl::Time give_up = absl::Now() + absl::Minutes(1);
  while (CountCopies()["zone-a"].in_sync != 0 && absl::Now() < give_up) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_EQ(CountCopies()["zone-a"].in_sync, 0);
  EXPECT_EQ(CountCopies()["zone-a"].primaries, 0);
  ExpectFilled(100, "value");
}

TEST_F(ReplicationTest, AHungSyncHoldsUpWritersForNodeTimeoutOnly) {
  options_.fsync = Fsync::kAlways;
  options_.node_timeout = absl::Milliseconds(100);
  OpenHooked();
  Fill(10, "before");
  absl::Notification go_on;
  hook_->SetBefore([&](FileOp op, const std::string& path) {
    if (op == FileOp::kSync && path.find("/zone-c/node-") != std::string::npos) {
      go_on.WaitForNotification();
    }
    return absl::OkStatus();
  });
  Fill(10, "after");
  EXPECT_EQ(CountCopies()["zone-c"].in_sync, 0);
  ExpectFilled(10, "after");
  go_on.Notify();
  Close();  // before the notification is gone
}

TEST_F(ReplicationTest, EachZoneMayBeGoneAtOpen) {
  Open();
  Fill(300, "value");
  for (const std::string zone : {"zone-a", "zone-b", "zone-c"}) {
    Close();
    const std::filesystem::path root = path_ + "/" + zone, away = path_ + "/" + zone + ".away";
    std::filesystem::rename(root, away);
    Open();
    EXPECT_EQ(CountCopies()[zone].in_sync, 0);
    EXPECT_EQ(CountCopies()[zone].primaries, 0);
    ExpectFilled(300, "value");
    Fill(300, "without " + zone);
    Close();
    std::filesystem::rename(away, root);
    Open();
    EXPECT_EQ(CountCopies()[zone].in_sync, 2);
    ExpectFilled(300, "without " + zone);
    Fill(300, "value");
  }
}

// Zones fail in any way, are away at Open, come back: one at a time, for two would be too many.
TEST_F(ReplicationTest, RandomFailuresAgreeWithAModel) {
  std::mt19937_64 random(TestSeed());
  std::map<std::string, std::string> model;
  const std::vector<std::string> zones = {"zone-a", "zone-b", "zone-c"};
  const std::vector<Fsync> policies = {Fsync::kNever, Fsync::kEverySecond, Fsync::kAlways};
  std::string away;
  for (int round = 0; round < 25; ++round) {
    options_.fsync = policies[random() % policies.size()];
    OpenHooked();
    if (HasFatalFailure()) return;
    if (random() % 3 == 0) {
      ASSERT_THAT(cluster_->Verify(), IsOk()) << "round " << round;
    }
    const int breaks_at = away.empty() ? static_cast<int>(random() % 600) : -1;
    for (int i = 0; i < 400; ++i) {
      if (i == breaks_at) {
        Break(random() % 2 == 0 ? FileOp::kWrite : FileOp::kSync, zones[random() % zones.size()]);
      }
      const std::string key = absl::StrCat("key", random() % 60);
      switch (random() % 4) {
        case 0:
          ASSERT_THAT(cluster_->Delete(key), IsOk()) << "round " << round;
          model.erase(key);
          break;
        case 1: {
          const absl::StatusOr<std::string> value = cluster_->Get(key);
          const auto it = model.find(key);
          if (it == model.end()) {
            ASSERT_TRUE(absl::IsNotFound(value.status())) << "round " << round << value.status();
          } else {
            ASSERT_THAT(value, HoldsValue(it->second)) << "round " << round;
          }
          break;
        }
        default:
          model[key] = absl::StrCat(round, ".", i);
          ASSERT_THAT(cluster_->Set(key, model[key]), IsOk()) << "round " << round;
      }
    }
    // Neither need work in a zone that is broken; it may not have been noticed before.
    if (random() % 4 == 0) FlushStores(cluster_.get()).IgnoreError();
    cluster_->Close().IgnoreError();
    cluster_.reset();
    // A zone that is back must be open once before another may go.
    if (!away.empty()) {
      std::filesystem::rename(path_ + "/away", path_ + "/" + away);
      away.clear();
    } else if (breaks_at >= 400 && random() % 2 == 0) {
      away = zones[random() % zones.size()];
      std::filesystem::rename(path_ + "/" + away, path_ + "/away");
    }
  }
}

// A copy that has missed writes does not stand in for the one that has them.
TEST_F(ReplicationTest, AStaleCopyIsNeverServed) {
  OpenHooked();
  Fill(100, "old");
  Break(FileOp::kWrite, "zone-a");
  Fill(100, "new");
  Close();
  // Only zone-a's copies are left of two of the shards.
  std::filesystem::rename(path_ + "/zone-b", path_ + "/away");
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options_, path_);
  ASSERT_THAT(cluster, IsOk());
  cluster_ = *std::move(cluster);
  int served = 0, refused = 0;
  for (int i = 0; i < 100; ++i) {
    const absl::StatusOr<std::string> value = cluster_->Get(absl::StrCat(i));
    if (value.ok()) {
      EXPECT_EQ(*value, "new");
      ++served;
    } else {
      EXPECT_THAT(value, HasCode(absl::StatusCode::kUnavailable));
      ++refused;
    }
  }
  EXPECT_GT(served, 0);
  EXPECT_GT(refused, 0);
  Close();
  std::filesystem::rename(path_ + "/away", path_ + "/zone-b");
  Open();
  ExpectFilled(100, "new");
}

}  // namespace
}  // namespace slotkv
