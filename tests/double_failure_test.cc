// One failure while another is being dealt with: three copies, two of which fail.
#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/background_writes.h"
#include "tests/directory_tree.h"
#include "tests/replicated_cluster.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

class DoubleFailureTest : public ReplicatedCluster {
 protected:
  DoubleFailureTest() {
    options_.shards = 1;
    options_.replicas_per_shard = 2;
  }
  ~DoubleFailureTest() override { hook_->Heal(); }

  // The primary fails, comes back `anew` or by catching up, and while it is at that the next one
  // fails, too.
  void FailTwice(bool anew) {
    OpenHooked();
    Fill(200, "value");
    const NodeInfo first = NodeOf("7", Role::kPrimary);
    const std::string first_path = absl::StrCat(ZonePath(first.zone), "/node-", first.id.value());
    absl::Notification is_coming_back, go_on;
    std::atomic<bool> notified{false};
    std::atomic<bool> first_is_broken{true};
    absl::Mutex mu;
    std::string second_path;  // guarded by mu; broken, if not empty
    absl::Cleanup let_go = [&] {
      hook_->Heal();
      if (!go_on.HasBeenNotified()) go_on.Notify();
      Close();
    };
    hook_->SetBefore([&](FileOp op, const std::string& path) -> absl::Status {
      const bool writes = op == FileOp::kWrite || op == FileOp::kSync;
      if (absl::StrContains(path, first_path)) {
        if (first_is_broken && writes) return absl::UnavailableError("the first is broken");
        // As a log does that is damaged.
        const bool lists_log = op == FileOp::kList && path == first_path + ".1/log";
        if (anew && lists_log) return absl::DataLossError("the first is damaged");
        const bool comes_back =
            anew ? op == FileOp::kCreate && absl::StrContains(path, first_path + ".2/store/")
                 : lists_log;
        if (comes_back && !first_is_broken && !notified.exchange(true)) {
          is_coming_back.Notify();
          go_on.WaitForNotification();
        }
        return absl::OkStatus();
      }
      absl::MutexLock lock(&mu);
      const bool is_second = !second_path.empty() && absl::StrContains(path, second_path);
      return is_second && writes ? absl::UnavailableError("the second is broken")
                                 : absl::OkStatus();
    });
    BackgroundWrites load(cluster_.get(), "load");
    ASSERT_TRUE(Eventually([&] { return !Find(first.id).in_sync; }));
    const NodeInfo second = NodeOf("7", Role::kPrimary);
    ASSERT_NE(second.id, first.id);
    first_is_broken = false;
    is_coming_back.WaitForNotification();
    {
      absl::MutexLock lock(&mu);
      second_path = absl::StrCat(ZonePath(second.zone), "/node-", second.id.value(), ".");
    }
    ASSERT_TRUE(Eventually([&] { return !Find(second.id).in_sync; }));
    const NodeInfo third = NodeOf("7", Role::kPrimary);
    EXPECT_NE(third.id, first.id);
    EXPECT_NE(third.id, second.id);
    EXPECT_FALSE(Find(first.id).in_sync);
    const int before = load.count();
    EXPECT_TRUE(Eventually([&] { return load.count() > before + 100; }));
    go_on.Notify();
    ASSERT_TRUE(Eventually([&] { return Find(first.id).in_sync; }));
    {
      absl::MutexLock lock(&mu);
      second_path.clear();
    }
    ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
    load.Stop();
    ExpectFilled(200, "value");
    load.ExpectAllThere(cluster_.get());
    // What the first was given meanwhile is all there is.
    ASSERT_THAT(cluster_->StopNode(second.id), IsOk());
    ASSERT_THAT(cluster_->StopNode(third.id), IsOk());
    EXPECT_EQ(NodeOf("7", Role::kPrimary).id, first.id);
    for (int i = 0; i < 200; ++i) ASSERT_THAT(cluster_->Get(absl::StrCat(i)), HoldsValue("value"));
    load.ExpectAllThere(cluster_.get());
    hook_->Heal();
    Open();
    ExpectFilled(200, "value");
    load.ExpectAllThere(cluster_.get());
  }
};

TEST_F(DoubleFailureTest, TheNewPrimaryFailsWhileTheOldOneCatchesUp) { FailTwice(/*anew=*/false); }
TEST_F(DoubleFailureTest, TheNewPrimaryFailsWhileTheOldOneIsBuiltAnew) { FailTwice(/*anew=*/true); }

// Both are dropped within one write.
TEST_F(DoubleFailureTest, TwoZonesFailAtOnce) {
  for (const std::string sound : {"zone-a", "zone-b", "zone-c"}) {
    OpenHooked();
    Fill(200, "before " + sound);
    hook_->SetBefore([sound](FileOp op, const std::string& path) {
      const bool hit = op == FileOp::kWrite && absl::StrContains(path, "/log/") &&
                       !absl::StrContains(path, "/" + sound + "/");
      return hit ? absl::UnavailableError("broken") : absl::OkStatus();
    });
    Fill(200, "after " + sound);
    EXPECT_EQ(NodeOf("7", Role::kPrimary).zone, sound);
    for (const NodeInfo& node : Nodes()) EXPECT_EQ(node.in_sync, node.zone == sound);
    hook_->Heal();
    ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
    ExpectFilled(200, "after " + sound);
  }
}

// The copy with the last record cannot be read when the others are to get what they miss: one of
// those goes on. Each read of its log fails in turn, and all that follow.
TEST_F(DoubleFailureTest, TheWinnerFailsWhileTheOthersAreGivenItsTail) {
  options_.fsync = Fsync::kNever;
  Open();
  Fill(200, "before");
  // What a power failure may leave if nothing is synced: zones that come to different ends.
  const std::string image = directory_.Path("image");
  CopyTree(path_, image);
  const NodeInfo winner = NodeOf("7", Role::kReplica);
  for (int i = 0; i < 200; ++i) {
    ASSERT_THAT(cluster_->Set(absl::StrCat("tail", i), "tail"), IsOk());
  }
  CopyTree(ZonePath(winner.zone), image + "/" + winner.zone);
  Close();
  bool all_read = false;
  int lost = 0;
  for (int healthy = 0; !all_read; ++healthy) {
    SCOPED_TRACE(healthy);
    CopyTree(image, path_);
    std::atomic<int> reads{0};
    hook_->SetBefore([&](FileOp op, const std::string& path) {
      const bool hit = op == FileOp::kRead && absl::StrContains(path, "/log/") &&
                       absl::StrContains(path, "/" + winner.zone + "/");
      return hit && reads++ >= healthy ? absl::UnavailableError("broken") : absl::OkStatus();
    });
    auto cluster = OpenClusterWithHook(options_, path_, hook_);
    ASSERT_THAT(cluster, IsOk());
    cluster_ = *std::move(cluster);
    all_read = reads <= healthy;
    hook_->Heal();
    // All of the tail or nothing: it is in one piece, and was not acknowledged for good.
    const bool has_tail = cluster_->Get("tail0").ok();
    lost += has_tail ? 0 : 1;
    for (int i = 0; i < 200; ++i) {
      EXPECT_EQ(cluster_->Get(absl::StrCat("tail", i)).ok(), has_tail) << i;
    }
    EXPECT_TRUE(has_tail || !all_read);
    Fill(200, "after");
    ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
    ExpectFilled(200, "after");
    EXPECT_EQ(cluster_->Get("tail199").ok(), has_tail) << "what was given up is back";
    Close();
  }
  EXPECT_GT(lost, 0);
}

}  // namespace
}  // namespace slotkv
