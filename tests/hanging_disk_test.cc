// A disk that hangs: reads go on, other shards go on, and callers who wait behind the one that is
// in the disk give up after Options::operation_timeout, certainly without effect.
#include <atomic>
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
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

class HangingDiskTest : public ClusterFixture {
 protected:
  HangingDiskTest() {
    options_.replicas_per_shard = 0;
    options_.operation_timeout = absl::Milliseconds(200);
  }

  void OpenHooked() {
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options_, path_, hook_);
    ASSERT_THAT(cluster, IsOk());
    cluster_ = *std::move(cluster);
    ASSERT_THAT(cluster_->Set(kHanging, "old"), IsOk());
    ASSERT_THAT(cluster_->Set(kHealthy, "old"), IsOk());
  }
  // From now on this operation hangs on the logs of the first shard.
  void Hang(FileOp hanging) {
    hook_->SetBefore([this, hanging](FileOp op, const std::string& path) {
      if (op == hanging && absl::StrContains(path, "/zone-a/") &&
          absl::StrContains(path, "/log/")) {
        if (!hangs_.exchange(true)) is_hanging_.Notify();
        go_on_.WaitForNotification();
      }
      return absl::OkStatus();
    });
  }
  void ExpectReadsAndOtherShards() {
    EXPECT_THAT(cluster_->Get(kHanging), HoldsValue("old"));
    EXPECT_THAT(cluster_->CountKeysInSlot(SlotForKey(kHanging)), HoldsValue(1u));
    for (int i = 0; i < 10; ++i) {
      EXPECT_THAT(cluster_->Set(kHealthy, absl::StrCat(i)), IsOk());
      EXPECT_THAT(cluster_->Get(kHealthy), HoldsValue(absl::StrCat(i)));
    }
  }

  const std::string kHanging = "{06S}";  // in slot 0
  const std::string kHealthy = "{6ZJ}";  // in slot 16383
  const std::shared_ptr<TestHook> hook_ = std::make_shared<TestHook>();
  std::atomic<bool> hangs_{false};
  absl::Notification is_hanging_, go_on_;
};

TEST_F(HangingDiskTest, ASync) {
  options_.fsync = Fsync::kAlways;
  OpenHooked();
  Hang(FileOp::kSync);
  std::thread first([&] {
    // Its record is in the log: it may be told ok, or that nobody knows.
    const absl::Status status = cluster_->Set(kHanging, "first");
    EXPECT_TRUE(status.ok() || absl::IsDeadlineExceeded(status)) << status;
  });
  is_hanging_.WaitForNotification();
  ExpectReadsAndOtherShards();
  std::vector<std::thread> behind;
  for (int i = 0; i < 4; ++i) {
    behind.emplace_back([&] {
      const absl::Time start = absl::Now();
      EXPECT_THAT(cluster_->Set(kHanging, "behind"), HasCode(absl::StatusCode::kUnavailable));
      EXPECT_GE(absl::Now() - start, options_.operation_timeout);
    });
  }
  for (std::thread& thread : behind) thread.join();
  go_on_.Notify();
  first.join();
  // It is finished by housekeeping, if nobody writes.
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  while (*cluster_->Get(kHanging) != "first" && absl::Now() < give_up) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_THAT(cluster_->Get(kHanging), HoldsValue("first"));
  EXPECT_THAT(cluster_->Set(kHanging, "last"), IsOk());
  Close();
  Open();
  EXPECT_THAT(cluster_->Get(kHanging), HoldsValue("last"));
}

TEST_F(HangingDiskTest, AReservation) {
  options_.fsync = Fsync::kNever;
  OpenHooked();
  Hang(FileOp::kReserve);
  // The log has room for a while.
  const std::string value(100'000, 'v');
  absl::Status status;
  int written = 0;
  while ((status = cluster_->Set(absl::StrCat(kHanging, written), value)).ok()) {
    ASSERT_LT(++written, 1000);
  }
  EXPECT_THAT(status, HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(cluster_->Get(absl::StrCat(kHanging, written)), IsMissing());
  EXPECT_THAT(cluster_->Get(kHanging), HoldsValue("old"));
  EXPECT_THAT(cluster_->Set(kHealthy, value), IsOk());
  go_on_.Notify();
  // As soon as the disk has caught up.
  do {
    status = cluster_->Set(kHanging, "new");
  } while (absl::IsUnavailable(status));
  EXPECT_THAT(status, IsOk());
  Close();
  Open();
  EXPECT_THAT(cluster_->Get(kHanging), HoldsValue("new"));
  EXPECT_THAT(cluster_->Get(absl::StrCat(kHanging, written)), IsMissing());
  EXPECT_THAT(cluster_->CountKeysInSlot(SlotForKey(kHanging)),
              HoldsValue(static_cast<uint64_t>(written) + 1));
}

}  // namespace
}  // namespace slotkv
