// Zones that are stopped, come back, and are replaced by another disk.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/replicated_cluster.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

namespace fs = std::filesystem;

class ZoneReplacementTest : public ReplicatedCluster {
 protected:
  // Whether this process has something open below that path.
  static bool HasOpenFiles(const std::string& path) {
    for (const auto& file : fs::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (absl::StartsWith(fs::read_symlink(file, gone).string(), path)) return true;
    }
    return false;
  }
  int NotInSync() {
    int nodes = 0;
    for (const NodeInfo& node : Nodes()) nodes += node.in_sync && node.up ? 0 : 1;
    return nodes;
  }
  void AwaitAllInSync() {
    ASSERT_TRUE(Eventually([&] { return NotInSync() == 0; }));
  }
  ZoneStats StatsOf(const std::string& zone) {
    for (ZoneStats& stats : cluster_->GetStats().zones) {
      if (stats.name == zone) return stats;
    }
    ADD_FAILURE() << "no such zone";
    return {};
  }
};

TEST_F(ZoneReplacementTest, OfAZoneWhoseDirectoryWasDeletedWhileClosed) {
  for (const std::string zone : {"zone-a", "zone-b", "zone-c"}) {
    SCOPED_TRACE(zone);
    Open();
    Fill(300, zone);
    Close();
    const std::string place = zone == "zone-a" ? ZonePath(zone) : directory_.Path("new-" + zone);
    fs::remove_all(ZonePath(zone));
    Open();
    EXPECT_FALSE(StatsOf(zone).status.ok());
    ExpectFilled(300, zone);
    EXPECT_FALSE(fs::exists(ZonePath(zone))) << "refilled by itself";
    ASSERT_THAT(cluster_->ReplaceZone(zone, place), IsOk());
    EXPECT_THAT(StatsOf(zone).status, IsOk());
    EXPECT_THAT(StatsOf(zone).topology, IsOk());
    EXPECT_EQ(StatsOf(zone).path, place);
    AwaitAllInSync();
    ExpectFilled(300, zone);
    // It is a zone like any other.
    Open();
    EXPECT_EQ(NotInSync(), 0);
    EXPECT_EQ(StatsOf(zone).path, place);
    ExpectFilled(300, zone);
  }
}

TEST_F(ZoneReplacementTest, OfEachZoneUnderLoad) {
  Open();
  std::atomic<bool> stop{false};
  std::atomic<int> writes{0};
  std::vector<std::thread> writers;
  for (int t = 0; t < 2; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; !stop; ++i) {
        const std::string key = absl::StrCat(t, ".", i % 40), value = absl::StrCat(i);
        ASSERT_THAT(cluster_->Set(key, value), IsOk());
        ASSERT_THAT(cluster_->Get(key), HoldsValue(value));
        ++writes;
      }
    });
  }
  for (const std::string zone : {"zone-a", "zone-b", "zone-c"}) {
    EXPECT_THAT(cluster_->ReplaceZone(zone, directory_.Path("new-" + zone)), IsOk());
    AwaitAllInSync();
    const int until = writes + 300;
    EXPECT_TRUE(Eventually([&] { return writes >= until; }));
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
  EXPECT_THAT(cluster_->Verify(), IsOk());
  // The old disks are not used any more.
  for (const std::string zone : {"zone-a", "zone-b", "zone-c"}) fs::remove_all(ZonePath(zone));
  Open();
  EXPECT_EQ(NotInSync(), 0);
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

TEST_F(ZoneReplacementTest, TheOldDiskIsNotTakenForTheZone) {
  Open();
  Fill(50, "before");
  ASSERT_THAT(cluster_->ReplaceZone("zone-b", directory_.Path("new")), IsOk());
  AwaitAllInSync();
  Fill(50, "after");
  Close();
  options_.zones = {{"zone-b", ZonePath("zone-b")}};
  Open();
  EXPECT_THAT(StatsOf("zone-b").status,
              HasError(absl::StatusCode::kFailedPrecondition, "should be zone zone-b"));
  ExpectFilled(50, "after");
  Close();
  options_.zones = {{"zone-b", directory_.Path("new")}};
  Open();
  AwaitAllInSync();
  ExpectFilled(50, "after");
}

TEST_F(ZoneReplacementTest, RefusalsLoseNothing) {
  Open();
  Fill(50, "value");
  const auto expect_refusal = [&](const std::string& zone, const std::string& path,
                                  absl::StatusCode code, const std::string& text) {
    EXPECT_THAT(cluster_->ReplaceZone(zone, path), HasError(code, text));
    EXPECT_EQ(NotInSync(), 0);
  };
  expect_refusal("zone-x", directory_.Path("new"), absl::StatusCode::kNotFound, "zone-x");
  EXPECT_FALSE(fs::exists(directory_.Path("new")));
  expect_refusal("zone-b", "", absl::StatusCode::kInvalidArgument, "path is empty");
  expect_refusal("zone-b", ZonePath("zone-b"), absl::StatusCode::kAlreadyExists, "the zone itself");
  expect_refusal("zone-b", ZonePath("zone-a"), absl::StatusCode::kAlreadyExists, "zone-a");
  fs::create_directories(directory_.Path("data/node-1.1"));
  expect_refusal("zone-b", directory_.Path("data"), absl::StatusCode::kFailedPrecondition,
                 "node-1.1");
  fs::create_directories(directory_.Path("parent"));
  std::ofstream(directory_.Path("parent/file")) << "no directory";
  EXPECT_FALSE(cluster_->ReplaceZone("zone-b", directory_.Path("parent/file")).ok());
  EXPECT_EQ(NotInSync(), 0);
  ExpectFilled(50, "value");
}

TEST_F(ZoneReplacementTest, OfTheOnlyCopyIsRefused) {
  options_.replicas_per_shard = 0;
  Open();
  Fill(50, "value");
  EXPECT_THAT(cluster_->ReplaceZone("zone-b", directory_.Path("new")),
              HasError(absl::StatusCode::kFailedPrecondition, "shard-2"));
  ExpectFilled(50, "value");
  EXPECT_FALSE(fs::exists(directory_.Path("new")));
}

// Whatever step it is cut short at: the cluster opens, and it can be done again.
TEST_F(ZoneReplacementTest, FailsAtAnyStep) {
  Open();
  Fill(30, "value");
  Close();
  // What fails here is not tried again for long.
  options_.operation_timeout = absl::Milliseconds(300);
  const fs::path saved = directory_.Path("saved");
  fs::copy(path_, saved, fs::copy_options::recursive);
  const auto is_step = [](FileOp op) {
    return op == FileOp::kWrite || op == FileOp::kSync || op == FileOp::kRename;
  };
  int failed = 0;
  for (int step = 1;; ++step) {
    SCOPED_TRACE(step);
    fs::remove_all(path_);
    fs::remove_all(directory_.Path("new"));
    fs::copy(saved, path_, fs::copy_options::recursive);
    OpenHooked();
    // The topology, the identity and the cluster's file; nodes have tests of their own.
    std::atomic<int> steps{0};
    hook_->SetBefore([&](FileOp op, const std::string& path) {
      if (!is_step(op) || absl::StrContains(path, "node-")) return absl::OkStatus();
      return ++steps >= step ? absl::UnavailableError("injected") : absl::OkStatus();
    });
    const absl::Status replaced = cluster_->ReplaceZone("zone-b", directory_.Path("new"));
    hook_->Heal();
    if (steps < step) {
      EXPECT_THAT(replaced, IsOk());
      break;
    }
    ++failed;
    // Killed here, or going on: both must do.
    if (step % 2 == 0) {
      absl::Status closed = cluster_->Close();
      cluster_.reset();
      Open();
    } else {
      cluster_->StartZone("zone-b").IgnoreError();
    }
    for (int i = 0; i < 30; ++i) EXPECT_THAT(cluster_->Get(absl::StrCat(i)), HoldsValue("value"));
    const absl::Status again = cluster_->ReplaceZone("zone-b", directory_.Path("new"));
    // It had come through, as far as anybody will ever know.
    if (!again.ok()) {
      EXPECT_THAT(again, HasError(absl::StatusCode::kAlreadyExists, "zone itself"));
    }
    AwaitAllInSync();
    ExpectFilled(30, "value");
    EXPECT_EQ(StatsOf("zone-b").path, directory_.Path("new"));
    cluster_->Close().IgnoreError();
    cluster_.reset();
  }
  EXPECT_GE(failed, 5);
}

// Its copy of the topology is written, but not known to be durable. It can be asked for again.
TEST_F(ZoneReplacementTest, GoesOnWhereItWasCutShort) {
  options_.operation_timeout = absl::Milliseconds(300);
  OpenHooked();
  Fill(30, "value");
  const std::string path = directory_.Path("new");
  hook_->SetBefore([&](FileOp op, const std::string& file) {
    const bool fails = op == FileOp::kSyncDirectory && absl::StartsWith(file, path) &&
                       fs::exists(path + "/TOPOLOGY");
    return fails ? absl::UnavailableError("injected") : absl::OkStatus();
  });
  EXPECT_THAT(cluster_->ReplaceZone("zone-b", path),
              HasError(absl::StatusCode::kUnavailable, "injected"));
  ASSERT_TRUE(fs::exists(path + "/TOPOLOGY"));
  hook_->Heal();
  // What is left of the first attempt has the directory locked until it is closed.
  ASSERT_TRUE(Eventually([&] {
    const absl::Status again = cluster_->ReplaceZone("zone-b", path);
    EXPECT_FALSE(absl::IsAlreadyExists(again)) << again;
    return again.ok() || absl::IsAlreadyExists(again);
  }));
  EXPECT_EQ(StatsOf("zone-b").path, path);
  AwaitAllInSync();
  ExpectFilled(30, "value");
  EXPECT_THAT(cluster_->ReplaceZone("zone-b", path),
              HasError(absl::StatusCode::kAlreadyExists, "zone itself"));
}

TEST_F(ZoneReplacementTest, ANewDiskThatHangsHoldsUpNobody) {
  options_.operation_timeout = absl::Milliseconds(200);
  OpenHooked();
  Fill(30, "before");
  absl::Notification resume;
  const std::string path = directory_.Path("new");
  hook_->SetBefore([&](FileOp, const std::string& file) {
    if (absl::StartsWith(file, path)) resume.WaitForNotification();
    return absl::OkStatus();
  });
  EXPECT_THAT(cluster_->ReplaceZone("zone-b", path),
              HasError(absl::StatusCode::kDeadlineExceeded, path));
  EXPECT_EQ(NotInSync(), 0);
  Fill(30, "after");
  // Nor does it hold up the zone as it is.
  ASSERT_THAT(cluster_->StopZone("zone-b"), IsOk());
  EXPECT_TRUE(Eventually([&] { return cluster_->StartZone("zone-b").ok(); }));
  AwaitAllInSync();
  resume.Notify();
  hook_->Heal();
  ExpectFilled(30, "after");
  cluster_->Close().IgnoreError();
  cluster_.reset();
}

// A disk that hangs for good: in what its copies were doing when they were dropped, or in bringing
// them back. They are built on the new one all the same, and other zones' copies come back, too.
class HangingDiskTest : public ZoneReplacementTest {
 protected:
  HangingDiskTest() {
    options_.replicas_per_shard = 2;
    options_.node_timeout = absl::Milliseconds(300);
  }
  ~HangingDiskTest() override {
    hook_->Heal();
    resume_.Notify();
    Close();
  }

  // What a mapped log or a cached block needs is done on the callers' threads.
  void Hang(const std::string& zone) {
    hook_->SetBefore([this, disk = ZonePath(zone) + "/"](FileOp op, const std::string& path) {
      const bool is_inline =
          op == FileOp::kRead || (op == FileOp::kWrite && absl::StrContains(path, "/log/"));
      if (absl::StartsWith(path, disk) && !is_inline) {
        if (absl::StrContains(path, "/node-")) ++hanging_;
        resume_.WaitForNotification();
      }
      return absl::OkStatus();
    });
  }
  std::vector<NodeInfo> NodesIn(const std::string& zone) {
    std::vector<NodeInfo> nodes;
    for (const NodeInfo& node : Nodes()) {
      if (node.zone == zone) nodes.push_back(node);
    }
    return nodes;
  }
  // Until they are closed.
  void StopNodesIn(const std::string& zone) {
    for (const NodeInfo& node : NodesIn(zone)) ASSERT_THAT(cluster_->StopNode(node.id), IsOk());
    ASSERT_TRUE(Eventually([&] { return !HasOpenFiles(ZonePath(zone) + "/node-"); }));
  }
  // Drops the zone's copies and starts to bring them back, on a disk that hangs.
  void HangWhileComingBack(const std::string& zone) {
    StopNodesIn(zone);
    Fill(100, "without");
    Hang(zone);
    for (const NodeInfo& node : NodesIn(zone)) ASSERT_THAT(cluster_->StartNode(node.id), IsOk());
    ASSERT_TRUE(Eventually([this] { return hanging_ > 0; }));
  }

  absl::Notification resume_;
  std::atomic<int> hanging_{0};  // operations on its nodes' files
};

TEST_F(HangingDiskTest, CopiesThatHangAreBuiltOnTheNewDisk) {
  OpenHooked();
  Fill(100, "before");
  Hang("zone-b");
  ASSERT_TRUE(Eventually([&] {
    Fill(10, "while it hangs");
    for (const NodeInfo& node : NodesIn("zone-b")) {
      if (node.in_sync) return false;
    }
    return true;
  }));
  ASSERT_THAT(cluster_->ReplaceZone("zone-b", directory_.Path("new")), IsOk());
  AwaitAllInSync();
  Fill(100, "after");
  ExpectFilled(100, "after");
}

TEST_F(HangingDiskTest, CopiesThatHangWhileTheyComeBackAreBuiltOnTheNewDisk) {
  OpenHooked();
  Fill(100, "before");
  HangWhileComingBack("zone-b");
  ASSERT_THAT(cluster_->ReplaceZone("zone-b", directory_.Path("new")), IsOk());
  AwaitAllInSync();
  ExpectFilled(100, "without");
}

TEST_F(HangingDiskTest, OtherCopiesComeBackMeanwhile) {
  OpenHooked();
  Fill(100, "before");
  HangWhileComingBack("zone-b");
  for (const NodeInfo& node : NodesIn("zone-c")) {
    ASSERT_THAT(cluster_->StopNode(node.id), IsOk());
    ASSERT_THAT(cluster_->StartNode(node.id), IsOk());
  }
  EXPECT_TRUE(Eventually([&] {
    for (const NodeInfo& node : NodesIn("zone-c")) {
      if (!node.in_sync) return false;
    }
    return true;
  }));
  ExpectFilled(100, "without");
}

// The only copy in sync hangs when it is to be served again. The zone is stopped: another may go
// on.
TEST_F(HangingDiskTest, ACopyThatHangsDoesNotKeepAnotherFromBeingForced) {
  options_.shards = 1;
  OpenHooked();
  Fill(100, "before");
  StopNodesIn("zone-a");
  StopNodesIn("zone-c");
  Fill(10, "in zone-b alone");
  StopNodesIn("zone-b");
  Hang("zone-b");
  for (const NodeInfo& node : NodesIn("zone-b")) {
    ASSERT_THAT(cluster_->StartNode(node.id), IsOk());
  }
  ASSERT_TRUE(Eventually([this] { return hanging_ > 0; }));
  ASSERT_THAT(cluster_->StopZone("zone-b"), IsOk());
  const NodeInfo behind = NodesIn("zone-a").front();
  ASSERT_THAT(cluster_->StartNode(behind.id), IsOk());
  PromoteOptions promote;
  promote.node = behind.id;
  promote.force = true;
  EXPECT_THAT(cluster_->Promote(behind.shard, promote), IsOk());
  EXPECT_THAT(cluster_->Get("50"), HoldsValue("before"));
}

TEST_F(ZoneReplacementTest, AStoppedZoneIsLeftAloneAndOpenedAgain) {
  options_.replicas_per_shard = 2;
  Open();
  Fill(100, "before");
  ASSERT_THAT(cluster_->StopZone("zone-c"), IsOk());
  EXPECT_FALSE(StatsOf("zone-c").status.ok());
  // Its disk may be taken away as soon as it is closed.
  const std::string away = directory_.Path("away");
  ASSERT_TRUE(Eventually([&] { return !HasOpenFiles(ZonePath("zone-c")); }));
  fs::rename(ZonePath("zone-c"), away);
  Fill(100, "without");
  EXPECT_THAT(cluster_->StartZone("zone-c"), HasError(absl::StatusCode::kUnavailable, "mounted"));
  EXPECT_FALSE(fs::exists(ZonePath("zone-c")));
  Fill(100, "still without");
  fs::rename(away, ZonePath("zone-c"));
  ASSERT_THAT(cluster_->StartZone("zone-c"), IsOk());
  AwaitAllInSync();
  EXPECT_THAT(StatsOf("zone-c").topology, IsOk());
  ExpectFilled(100, "still without");
}

TEST_F(ZoneReplacementTest, AZoneThatWasDownAtOpenIsStarted) {
  Open();
  Fill(100, "before");
  Close();
  const std::string away = directory_.Path("away");
  fs::rename(ZonePath("zone-b"), away);
  Open();
  Fill(100, "without");
  EXPECT_THAT(cluster_->StartZone("zone-b"), HasError(absl::StatusCode::kUnavailable, "mounted"));
  fs::rename(away, ZonePath("zone-b"));
  ASSERT_THAT(cluster_->StartZone("zone-b"), IsOk());
  AwaitAllInSync();
  ExpectFilled(100, "without");
}

TEST_F(ZoneReplacementTest, TheLastMajorityOfTheTopologyIsNotStopped) {
  options_.replicas_per_shard = 2;
  Open();
  Fill(50, "value");
  ASSERT_THAT(cluster_->StopZone("zone-a"), IsOk());
  EXPECT_THAT(cluster_->StopZone("zone-b"),
              HasError(absl::StatusCode::kUnavailable, "majority without it"));
  EXPECT_THAT(StatsOf("zone-b").status, IsOk());
  Fill(50, "after");
  ASSERT_THAT(cluster_->StartZone("zone-a"), IsOk());
  AwaitAllInSync();
  ExpectFilled(50, "after");
}

class ZoneListener : public EventListener {
 public:
  void OnZoneDown(const std::string& zone, const absl::Status& why) override {
    absl::MutexLock lock(&mu_);
    absl::StrAppend(&told_, "down ", zone, ": ", why.message(), "\n");
  }
  void OnZoneUp(const std::string& zone, const std::string& path) override {
    absl::MutexLock lock(&mu_);
    absl::StrAppend(&told_, "up ", zone, ": ", path, "\n");
  }
  std::string told() {
    absl::MutexLock lock(&mu_);
    return told_;
  }

 private:
  absl::Mutex mu_;
  std::string told_ ABSL_GUARDED_BY(mu_);
};

TEST_F(ZoneReplacementTest, IsTold) {
  const auto listener = std::make_shared<ZoneListener>();
  options_.listener = listener;
  Open();
  ASSERT_THAT(cluster_->StopZone("zone-a"), IsOk());
  ASSERT_THAT(cluster_->StartZone("zone-a"), IsOk());
  ASSERT_THAT(cluster_->ReplaceZone("zone-a", directory_.Path("new")), IsOk());
  AwaitAllInSync();
  Close();
  EXPECT_EQ(listener->told(),
            absl::StrCat("down zone-a: it was stopped\nup zone-a: ", ZonePath("zone-a"),
                         "\ndown zone-a: it is replaced by ", directory_.Path("new"),
                         "\nup zone-a: ", directory_.Path("new"), "\n"));
}

}  // namespace
}  // namespace slotkv
