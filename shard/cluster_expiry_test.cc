// Expiry: what sets it, what keeps it, and that nothing which has expired comes back.
#include <atomic>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

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

class ClusterExpiryTest : public ClusterFixture {
 protected:
  void SetUp() override { Open(); }

  void Set(std::string_view key, std::string_view value,
           absl::Duration ttl = absl::InfiniteDuration()) {
    SetOptions options;
    options.ttl = ttl;
    ASSERT_THAT(cluster_->Set(key, value, options), IsOk());
  }
  void StepWall(absl::Duration by) {
    clock_->SetWallMs(static_cast<uint64_t>(absl::ToUnixMillis(clock_->Wall() + by)));
  }
};

// A finite time to live of `ttl`, to the millisecond.
MATCHER_P(Lives, ttl, "") {
  *result_listener << StatusOf(arg);
  return arg.ok() && *arg == ttl;
}

TEST_F(ClusterExpiryTest, ExpiresForEveryCallAtOnce) {
  const auto set = [this] { Set("k", "1", absl::Milliseconds(1500)); };
  set();
  clock_->Advance(absl::Milliseconds(1499));
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("1"));
  EXPECT_THAT(cluster_->TimeToLive("k"), Lives(absl::Milliseconds(1)));
  clock_->Advance(absl::Milliseconds(1));
  EXPECT_THAT(cluster_->Get("k"), IsMissing());
  EXPECT_THAT(cluster_->Exists("k"), HoldsValue(false));
  EXPECT_THAT(cluster_->TimeToLive("k"), IsMissing());
  EXPECT_THAT(cluster_->Delete("k"), HoldsValue(false));
  EXPECT_THAT(cluster_->Expire("k", absl::Seconds(1)), HoldsValue(false));
  EXPECT_THAT(cluster_->Persist("k"), HoldsValue(false));
  EXPECT_THAT(cluster_->GetAndTouch("k", absl::Seconds(1)), IsMissing());
  EXPECT_THAT(cluster_->CompareAndSet("k", "1", "2"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(cluster_->CountKeysInSlot(SlotForKey("k")), HoldsValue(0u));
  EXPECT_THAT(cluster_->Get("k"), IsMissing());
  // A key that has expired is made anew, without its old expiry.
  EXPECT_THAT(cluster_->Increment("k", 1), HoldsValue(1));
  EXPECT_THAT(cluster_->TimeToLive("k"), Lives(absl::InfiniteDuration()));
  set();
  clock_->Advance(absl::Milliseconds(1500));
  EXPECT_THAT(cluster_->Append("k", "x"), HoldsValue(1u));
  EXPECT_THAT(cluster_->TimeToLive("k"), Lives(absl::InfiniteDuration()));
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

TEST_F(ClusterExpiryTest, WhatKeepsAndWhatDropsIt) {
  Set("k", "1", absl::Seconds(10));
  EXPECT_THAT(cluster_->Increment("k", 1), HoldsValue(2));
  EXPECT_THAT(cluster_->TimeToLive("k"), Lives(absl::Seconds(10)));
  EXPECT_THAT(cluster_->Append("k", "0"), HoldsValue(2u));
  EXPECT_THAT(cluster_->TimeToLive("k"), Lives(absl::Seconds(10)));
  EXPECT_THAT(cluster_->CompareAndSet("k", "20", "x"), IsOk());
  EXPECT_THAT(cluster_->TimeToLive("k"), Lives(absl::Seconds(10)));
  Set("k", "y");
  EXPECT_THAT(cluster_->TimeToLive("k"), Lives(absl::InfiniteDuration()));
  clock_->Advance(absl::Hours(1));
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("y"));
}

TEST_F(ClusterExpiryTest, Expire) {
  EXPECT_THAT(cluster_->Expire("k", absl::Seconds(1)), HoldsValue(false));
  Set("k", "v");
  EXPECT_THAT(cluster_->Expire("k", absl::Seconds(5)), HoldsValue(true));
  EXPECT_THAT(cluster_->TimeToLive("k"), Lives(absl::Seconds(5)));
  EXPECT_THAT(cluster_->Expire("k", absl::Hours(5)), HoldsValue(true));
  EXPECT_THAT(cluster_->TimeToLive("k"), Lives(absl::Hours(5)));
  EXPECT_THAT(cluster_->Expire("k", absl::InfiniteDuration()), HoldsValue(true));
  EXPECT_THAT(cluster_->TimeToLive("k"), Lives(absl::InfiniteDuration()));
  for (const absl::Duration gone :
       {absl::ZeroDuration(), absl::Milliseconds(-1), -absl::InfiniteDuration()}) {
    Set("k", "v", absl::Seconds(10));
    EXPECT_THAT(cluster_->Expire("k", gone), HoldsValue(true));
    EXPECT_THAT(cluster_->Get("k"), IsMissing());
    EXPECT_THAT(cluster_->Expire("k", gone), HoldsValue(false));
  }
  Open();
  EXPECT_THAT(cluster_->Get("k"), IsMissing());
}

TEST_F(ClusterExpiryTest, Persist) {
  EXPECT_THAT(cluster_->Persist("k"), HoldsValue(false));
  Set("k", "v");
  EXPECT_THAT(cluster_->Persist("k"), HoldsValue(false));
  Set("k", "v", absl::Seconds(1));
  EXPECT_THAT(cluster_->Persist("k"), HoldsValue(true));
  EXPECT_THAT(cluster_->Persist("k"), HoldsValue(false));
  clock_->Advance(absl::Hours(1));
  Open();
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("v"));
}

TEST_F(ClusterExpiryTest, GetAndTouchSlides) {
  EXPECT_THAT(cluster_->GetAndTouch("k", absl::Seconds(1)), IsMissing());
  Set("k", "v", absl::Seconds(2));
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(cluster_->GetAndTouch("k", absl::Seconds(2)), HoldsValue("v"));
    clock_->Advance(absl::Milliseconds(1999));
  }
  // Shorter, too.
  EXPECT_THAT(cluster_->GetAndTouch("k", absl::Milliseconds(1)), HoldsValue("v"));
  EXPECT_THAT(cluster_->TimeToLive("k"), Lives(absl::Milliseconds(1)));
  EXPECT_THAT(cluster_->GetAndTouch("k", absl::InfiniteDuration()), HoldsValue("v"));
  EXPECT_THAT(cluster_->TimeToLive("k"), Lives(absl::InfiniteDuration()));
  for (const absl::Duration wrong : {absl::ZeroDuration(), absl::Seconds(-1)}) {
    EXPECT_THAT(cluster_->GetAndTouch("k", wrong),
                HasError(absl::StatusCode::kInvalidArgument, "ttl"));
  }
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("v"));
}

TEST_F(ClusterExpiryTest, ShortAndLongTimes) {
  Set("short", "v", absl::Nanoseconds(1));
  EXPECT_THAT(cluster_->Get("short"), HoldsValue("v"));
  clock_->Advance(absl::Milliseconds(1));
  EXPECT_THAT(cluster_->Get("short"), IsMissing());
  // Longer than milliseconds can count: it lives, and goes on living.
  Set("long", "v", absl::Hours(24) * 366 * 1e12);
  EXPECT_THAT(cluster_->Get("long"), HoldsValue("v"));
  const absl::StatusOr<absl::Duration> left = cluster_->TimeToLive("long");
  ASSERT_THAT(left, IsOk());
  EXPECT_GT(*left, absl::Hours(24) * 366 * 1000);
  clock_->Advance(absl::Hours(24) * 366 * 1000);
  Open();
  EXPECT_THAT(cluster_->Get("long"), HoldsValue("v"));
}

TEST_F(ClusterExpiryTest, DefaultTtl) {
  options_.default_ttl = absl::Seconds(7);
  Open();
  Set("set", "v");
  EXPECT_THAT(cluster_->TimeToLive("set"), Lives(absl::Seconds(7)));
  Set("own", "v", absl::Seconds(3));
  EXPECT_THAT(cluster_->TimeToLive("own"), Lives(absl::Seconds(3)));
  EXPECT_THAT(cluster_->Increment("n", 1), IsOk());
  EXPECT_THAT(cluster_->TimeToLive("n"), Lives(absl::Seconds(7)));
  EXPECT_THAT(cluster_->Append("a", "x"), IsOk());
  EXPECT_THAT(cluster_->TimeToLive("a"), Lives(absl::Seconds(7)));
  EXPECT_THAT(cluster_->Persist("a"), HoldsValue(true));
  EXPECT_THAT(cluster_->Append("a", "x"), IsOk());
  EXPECT_THAT(cluster_->TimeToLive("a"), Lives(absl::InfiniteDuration()));
  // What the key has is kept: none, if it does not exist.
  SetOptions keep;
  keep.keep_ttl = true;
  EXPECT_THAT(cluster_->Set("own", "w", keep), IsOk());
  EXPECT_THAT(cluster_->TimeToLive("own"), Lives(absl::Seconds(3)));
  EXPECT_THAT(cluster_->Set("kept", "w", keep), IsOk());
  EXPECT_THAT(cluster_->TimeToLive("kept"), Lives(absl::InfiniteDuration()));
  options_.default_ttl = absl::InfiniteDuration();
  Open();
  EXPECT_THAT(cluster_->TimeToLive("set"), Lives(absl::Seconds(7)));
}

// A write that has found the key alive is under way for longer than the key would have lived: until
// it is done, every reader finds the key as it was.
TEST_F(ClusterExpiryTest, ReadersAgreeWhileAWriteHangs) {
  const auto hook = std::make_shared<TestHook>();
  options_.fsync = Fsync::kAlways;
  Close();
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options_, path_, hook);
  ASSERT_THAT(cluster, IsOk());
  cluster_ = *std::move(cluster);
  SetOptions options;
  options.ttl = absl::Milliseconds(3);
  ASSERT_THAT(cluster_->Set("k", "v", options), IsOk());
  absl::Notification hangs, go_on;
  std::atomic<bool> first{true};
  hook->SetBefore([&](FileOp op, const std::string& path) {
    if (op == FileOp::kSync && path.find("/log/") != std::string::npos && first.exchange(false)) {
      hangs.Notify();
      go_on.WaitForNotification();
    }
    return absl::OkStatus();
  });
  std::thread writer([&] { EXPECT_THAT(cluster_->Expire("k", absl::Hours(1)), HoldsValue(true)); });
  hangs.WaitForNotification();
  clock_->Advance(absl::Milliseconds(5));
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("v"));
  EXPECT_THAT(cluster_->TimeToLive("k"), HoldsValue(absl::Milliseconds(3)));
  go_on.Notify();
  writer.join();
  EXPECT_THAT(cluster_->TimeToLive("k"), HoldsValue(absl::Hours(1) - absl::Milliseconds(5)));
  hook->Heal();
}

TEST_F(ClusterExpiryTest, TimeCountsWhileTheClusterIsClosed) {
  Set("k", "v", absl::Seconds(10));
  Close();
  clock_->Advance(absl::Seconds(4));
  Open();
  EXPECT_THAT(cluster_->TimeToLive("k"), Lives(absl::Seconds(6)));
  Close();
  clock_->Advance(absl::Seconds(6));
  Open();
  EXPECT_THAT(cluster_->Get("k"), IsMissing());
}

TEST_F(ClusterExpiryTest, AWallClockThatStepsWhileOpenIsIgnored) {
  Set("k", "v", absl::Seconds(10));
  StepWall(absl::Hours(1));
  EXPECT_THAT(cluster_->TimeToLive("k"), Lives(absl::Seconds(10)));
  StepWall(-absl::Hours(2));
  EXPECT_THAT(cluster_->TimeToLive("k"), Lives(absl::Seconds(10)));
  clock_->Advance(absl::Seconds(10));
  EXPECT_THAT(cluster_->Get("k"), IsMissing());
}

// For each way in which a caller can be told that the key has expired.
TEST_F(ClusterExpiryTest, NothingComesBackWhenTheWallClockStepsBack) {
  const std::function<void()> kTellings[] = {
      [&] { EXPECT_THAT(cluster_->Get("k"), IsMissing()); },
      [&] { EXPECT_THAT(cluster_->Exists("k"), HoldsValue(false)); },
      [&] { EXPECT_THAT(cluster_->TimeToLive("k"), IsMissing()); },
      [&] { EXPECT_THAT(cluster_->Delete("k"), HoldsValue(false)); },
      [&] { EXPECT_THAT(cluster_->Expire("k", absl::Seconds(1)), HoldsValue(false)); },
      [&] { EXPECT_THAT(cluster_->GetAndTouch("k", absl::Seconds(1)), IsMissing()); },
      [&] { EXPECT_THAT(cluster_->Persist("k"), HoldsValue(false)); },
      [&] {
        EXPECT_THAT(cluster_->CompareAndSet("k", "v", "w"),
                    HasCode(absl::StatusCode::kFailedPrecondition));
      },
      [&] { EXPECT_THAT(cluster_->CountKeysInSlot(SlotForKey("k")), HoldsValue(0u)); },
      [&] { EXPECT_TRUE(cluster_->KeysInSlot(SlotForKey("k"), 10)->empty()); },
      [&] { ASSERT_THAT(cluster_->Set("another", "write"), IsOk()); },
  };
  for (size_t i = 0; i < std::size(kTellings); ++i) {
    SCOPED_TRACE(i);
    Set("k", "v", absl::Seconds(10));
    clock_->Advance(absl::Seconds(10));
    kTellings[i]();
    Close();
    StepWall(-absl::Seconds(5));
    Open();
    EXPECT_THAT(cluster_->Get("k"), IsMissing());
    EXPECT_THAT(cluster_->CountKeysInSlot(SlotForKey("k")), HoldsValue(0u));
    EXPECT_THAT(cluster_->Verify(), IsOk());
  }
}

}  // namespace
}  // namespace slotkv
