// Closing, and what goes on around it.
#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

class ClusterCloseTest : public ClusterFixture {};

// Each call of the public API on `cluster`, its outcome as a Status.
std::vector<std::function<absl::Status(Cluster*)>> EveryCall() {
  return {
      [](Cluster* c) { return c->Set("k", "1"); },
      [](Cluster* c) { return c->Get("k").status(); },
      [](Cluster* c) {
        std::string value;
        return c->Get("k", &value);
      },
      [](Cluster* c) { return c->Delete("k").status(); },
      [](Cluster* c) { return c->Exists("k").status(); },
      [](Cluster* c) { return c->Increment("n", 1).status(); },
      [](Cluster* c) { return c->Append("k", "v").status(); },
      [](Cluster* c) { return c->CompareAndSet("k", "1", "2"); },
      [](Cluster* c) { return c->Expire("k", absl::Seconds(1)).status(); },
      [](Cluster* c) { return c->Persist("k").status(); },
      [](Cluster* c) { return c->TimeToLive("k").status(); },
      [](Cluster* c) { return c->GetAndTouch("k", absl::Seconds(1)).status(); },
      [](Cluster* c) { return c->SetRange("k", 0, "1").status(); },
      [](Cluster* c) {
        return c->MultiGet({"k", "n"})[1].status();
      },
      [](Cluster* c) {
        return c->MultiSet({{"k", "1"}, {"m", "2"}})[1];
      },
      [](Cluster* c) {
        WriteBatch batch;
        batch.Set("k", "1");
        return c->Write(batch);
      },
      [](Cluster* c) { return c->DeletePrefix("prefix"); },
      [](Cluster* c) {
        return c
            ->GetOrLoad("l",
                        [](std::string_view) -> absl::StatusOr<std::string> { return "loaded"; })
            .status();
      },
      [](Cluster* c) {
        return c->HashSet("h", {{"f", "v"}}).status();
      },
      [](Cluster* c) { return c->HashGet("h", "f").status(); },
      [](Cluster* c) { return c->HashGetAll("h").status(); },
      [](Cluster* c) { return c->HashDelete("h", {"f"}).status(); },
      [](Cluster* c) { return c->Scan().status(); },
      [](Cluster* c) { return c->shard(ShardId(1)).status(); },
      [](Cluster* c) { return c->CountKeysInSlot(0).status(); },
      [](Cluster* c) { return c->KeysInSlot(0, 1).status(); },
      [](Cluster* c) { return c->Verify(); },
  };
}

TEST_F(ClusterCloseTest, EveryCallIsCancelledAfterwards) {
  Open();
  EXPECT_THAT(cluster_->Close(), IsOk());
  for (const auto& call : EveryCall()) {
    EXPECT_THAT(call(cluster_.get()), HasError(absl::StatusCode::kCancelled, "closed"));
  }
  EXPECT_THAT(cluster_->DeleteAll(), HasCode(absl::StatusCode::kCancelled));
  EXPECT_TRUE(cluster_->GetTopology().shards().empty());
  EXPECT_TRUE(cluster_->GetStats().shards.empty());
  EXPECT_THAT(cluster_->Close(), IsOk());
  // The directory is free while the object still stands.
  EXPECT_THAT(Cluster::Open(options_, path_), IsOk());
}

TEST_F(ClusterCloseTest, TheDestructorCloses) {
  Open();
  ASSERT_THAT(cluster_->Set("k", "v"), IsOk());
  cluster_.reset();
  Open();
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("v"));
}

TEST_F(ClusterCloseTest, CallsAtTheSameTimeSucceedOrAreCancelled) {
  for (int round = 0; round < 4; ++round) {
    Open();
    std::atomic<int> acknowledged{0};
    std::atomic<int> started{0};
    std::vector<std::thread> threads;
    threads.emplace_back([&] {
      ++started;
      for (int i = 0;; ++i) {
        const absl::Status status = cluster_->Set("written", absl::StrCat(i));
        if (absl::IsCancelled(status)) return;
        ASSERT_THAT(status, IsOk());
        acknowledged = i;
      }
    });
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        ++started;
        while (true) {
          for (const auto& call : EveryCall()) {
            const absl::Status status = call(cluster_.get());
            if (absl::IsCancelled(status)) return;
            // What a single one would get with the keys as the others leave them.
            ASSERT_TRUE(status.ok() || absl::IsNotFound(status) ||
                        absl::IsFailedPrecondition(status))
                << status;
          }
        }
      });
    }
    while (started < 3 || acknowledged < 100) std::this_thread::yield();
    std::thread second([&] { EXPECT_THAT(cluster_->Close(), IsOk()); });
    EXPECT_THAT(cluster_->Close(), IsOk());
    second.join();
    for (std::thread& thread : threads) thread.join();
    Open();
    EXPECT_THAT(cluster_->Get("written"), HoldsValue(absl::StrCat(acknowledged.load())));
    EXPECT_THAT(cluster_->Verify(), IsOk());
  }
}

TEST_F(ClusterCloseTest, WaitsForACallThatIsInTheDisk) {
  const auto hook = std::make_shared<TestHook>();
  options_.fsync = Fsync::kAlways;
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options_, path_, hook);
  ASSERT_THAT(cluster, IsOk());
  absl::Notification in_sync, go_on;
  std::atomic<bool> first{true};
  hook->SetBefore([&](FileOp op, const std::string&) {
    if (op == FileOp::kSync && first.exchange(false)) {
      in_sync.Notify();
      go_on.WaitForNotification();
    }
    return absl::OkStatus();
  });
  std::thread writer([&] { EXPECT_THAT((*cluster)->Set("k", "v"), IsOk()); });
  in_sync.WaitForNotification();
  std::atomic<bool> closed{false};
  std::thread closer([&] {
    EXPECT_THAT((*cluster)->Close(), IsOk());
    closed = true;
  });
  while (!absl::IsCancelled((*cluster)->Get("k").status())) std::this_thread::yield();
  EXPECT_FALSE(closed);
  go_on.Notify();
  writer.join();
  closer.join();
  Open();
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("v"));
}

TEST_F(ClusterCloseTest, ReportsASyncThatFailedAndClosesAllTheSame) {
  const auto hook = std::make_shared<TestHook>();
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options_, path_, hook);
  ASSERT_THAT(cluster, IsOk());
  ASSERT_THAT((*cluster)->Set("k", "v"), IsOk());
  hook->Fail(FileOp::kSync, absl::UnavailableError("the disk is gone"));
  EXPECT_THAT((*cluster)->Close(), HasError(absl::StatusCode::kUnavailable, "the disk is gone"));
  EXPECT_THAT((*cluster)->Close(), IsOk());
  EXPECT_THAT((*cluster)->Get("k"), HasCode(absl::StatusCode::kCancelled));
  Open();
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("v"));
}

}  // namespace
}  // namespace slotkv
