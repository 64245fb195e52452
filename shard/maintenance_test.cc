// Housekeeping, seen from outside: logs are synced without being asked, and do not grow for ever.
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

class MaintenanceTest : public ClusterFixture {
 protected:
  MaintenanceTest() { options_.replicas_per_shard = 0; }

  void OpenHooked() {
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options_, path_, hook_);
    ASSERT_THAT(cluster, IsOk());
    cluster_ = *std::move(cluster);
  }

  static bool Eventually(const std::function<bool()>& condition) {
    const absl::Time give_up = absl::Now() + absl::Seconds(60);
    while (!condition()) {
      if (absl::Now() > give_up) return false;
      absl::SleepFor(absl::Milliseconds(10));
    }
    return true;
  }

  // Files in the log of each shard.
  std::map<std::string, int> Segments(const std::string& root) const {
    std::map<std::string, int> segments;
    std::error_code gone;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root, gone)) {
      const std::filesystem::path directory = entry.path().parent_path();
      if (directory.filename() == "log") ++segments[directory.string()];
    }
    return segments;
  }

  const std::shared_ptr<TestHook> hook_ = std::make_shared<TestHook>();
};

TEST_F(MaintenanceTest, SyncsUnderEveryPolicy) {
  for (const Fsync fsync : {Fsync::kEverySecond, Fsync::kNever}) {
    options_.fsync = fsync;
    OpenHooked();
    absl::Notification synced;
    hook_->SetAfter([&](FileOp op, const std::string& path) {
      const bool log = absl::StrContains(path, "/zone-a/") && absl::StrContains(path, "/log/");
      if (op == FileOp::kSync && log && !synced.HasBeenNotified()) synced.Notify();
    });
    ASSERT_THAT(cluster_->Set("{06S}", "v"), IsOk());
    EXPECT_TRUE(synced.WaitForNotificationWithTimeout(absl::Seconds(60)));
    hook_->SetAfter(nullptr);
    Close();
  }
}

// The stores flush when their memory is full, and the logs go with it.
TEST_F(MaintenanceTest, LogsAreCutBehindTheStores) {
  OpenHooked();
  const std::string value(50'000, 'v');
  // 20 MB into stores that may hold 4 MB in memory: several segments for each.
  for (int i = 0; i < 400; ++i) {
    ASSERT_THAT(cluster_->Set(absl::StrCat(i % 30), value), IsOk());
  }
  ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
  // The newest with records, the active one and the one that is prepared.
  EXPECT_TRUE(Eventually([this] {
    for (const auto& [directory, segments] : Segments(path_)) {
      if (segments > 3) return false;
    }
    return true;
  }));
  EXPECT_GT(hook_->done(FileOp::kDelete), 3);
  EXPECT_THAT(cluster_->Verify(), IsOk());
  Close();
  Open();
  for (int i = 0; i < 30; ++i) EXPECT_THAT(cluster_->Get(absl::StrCat(i)), HoldsValue(value));
}

TEST_F(MaintenanceTest, ManyOpensLeaveFewFiles) {
  options_.shards = 1;
  options_.zones = {{"a", directory_.Path("a")}};
  for (int opens = 0; opens < 40; ++opens) {
    Open();
    ASSERT_THAT(cluster_->Increment("opens", 1), HoldsValue(opens + 1));
  }
  Close();
  for (const auto& [directory, segments] : Segments(directory_.Path("a"))) {
    EXPECT_LE(segments, 20) << directory;
  }
}

}  // namespace
}  // namespace slotkv
