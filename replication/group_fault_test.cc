// The group on a disk that fails, fills up or hangs.
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "replication/group.h"
#include "replication/group_test_support.h"

namespace slotkv {
namespace {

constexpr absl::StatusCode kUnavailable = absl::StatusCode::kUnavailable;
constexpr absl::StatusCode kDeadlineExceeded = absl::StatusCode::kDeadlineExceeded;
constexpr absl::StatusCode kResourceExhausted = absl::StatusCode::kResourceExhausted;

class GroupFaultTest : public testing::Test {
 protected:
  GroupFaultTest() {
    t_.options.sync = SyncPolicy::kNever;
    EXPECT_THAT(t_.Create(), IsOk());
  }

  // No write is taken any more, nothing is evaluated, and reads go on.
  void ExpectFailedForGood() {
    t_.t.hook->Heal();
    const LogIndex last = t_.last();
    bool evaluated = false;
    for (int i = 0; i < 3; ++i) {
      EXPECT_THAT(t_.Write([&](GroupView*, std::string* effects) {
        evaluated = true;
        *effects = PutEffect(1, "later", "value");
        return absl::OkStatus();
      }),
                  HasError(kUnavailable, "broken"));
    }
    EXPECT_FALSE(evaluated);
    EXPECT_EQ(t_.last(), last);
    EXPECT_EQ(*t_.Get("before"), "value");
  }

  TestGroup t_;
};

TEST_F(GroupFaultTest, AFailedAppendLeavesTheOutcomeUnknown) {
  ASSERT_THAT(t_.Put("before", "value"), IsOk());
  t_.t.hook->Fail(FileOp::kWrite, absl::UnavailableError("broken disk"), "/log/");
  EXPECT_THAT(t_.Put("key", "value"), HasError(kDeadlineExceeded, "broken disk"));
  EXPECT_THAT(t_.Get("key"), HasCode(absl::StatusCode::kNotFound)) << "applied though not logged";
  ExpectFailedForGood();
}

TEST_F(GroupFaultTest, AFailedSyncLeavesTheOutcomeUnknown) {
  t_.options.sync = SyncPolicy::kAlways;
  ASSERT_THAT(t_.Open(), IsOk());
  ASSERT_THAT(t_.Put("before", "value"), IsOk());
  t_.t.hook->Fail(FileOp::kSync, absl::UnavailableError("broken disk"), "/log/");
  EXPECT_THAT(t_.Put("key", "value"), HasError(kDeadlineExceeded, "broken disk"));
  ExpectFailedForGood();
}

TEST_F(GroupFaultTest, AFailedSyncInTheBackgroundEndsWrites) {
  ASSERT_THAT(t_.Put("before", "value"), IsOk());
  t_.t.hook->Fail(FileOp::kSync, absl::UnavailableError("broken disk"), "/log/");
  EXPECT_THAT(t_.group->Sync(), HasError(kUnavailable, "broken disk"));
  ExpectFailedForGood();
}

TEST_F(GroupFaultTest, AFailedSyncOfAFlushEndsWrites) {
  ASSERT_THAT(t_.Put("before", "value"), IsOk());
  t_.t.hook->Fail(FileOp::kSync, absl::UnavailableError("broken disk"), "/log/");
  EXPECT_FALSE(t_.node->Flush(/*wait=*/true).ok());
  t_.t.hook->Heal();
  const LogIndex last = t_.last();
  EXPECT_THAT(t_.Put("later", "value"), HasCode(kUnavailable));
  EXPECT_EQ(t_.last(), last);
  EXPECT_EQ(*t_.Get("before"), "value");
}

TEST_F(GroupFaultTest, WritersOfAGroupShareItsFate) {
  ASSERT_THAT(t_.Put("before", "value"), IsOk());
  HangingWrite leader(&t_);
  absl::Notification starts;
  absl::Status status, own_error;
  std::thread logging([&] {
    starts.Notify();
    status = t_.Put("key", "value");
  });
  std::thread refused([&] {
    own_error =
        t_.Write([](GroupView*, std::string*) { return absl::FailedPreconditionError("not so"); });
  });
  starts.WaitForNotification();
  t_.t.hook->Fail(FileOp::kWrite, absl::UnavailableError("broken disk"), "/log/");
  leader.LetGo();
  logging.join();
  refused.join();
  EXPECT_THAT(status, HasError(kDeadlineExceeded, "broken disk"));
  // Never its own error if that may rest on a write whose outcome is unknown.
  EXPECT_TRUE(absl::IsFailedPrecondition(own_error) || absl::IsDeadlineExceeded(own_error) ||
              absl::IsUnavailable(own_error))
      << own_error;
  ExpectFailedForGood();
}

TEST_F(GroupFaultTest, AFullDiskRefusesAndRecovers) {
  ASSERT_THAT(t_.Put("before", "value"), IsOk());
  t_.t.hook->Fail(FileOp::kReserve, absl::ResourceExhaustedError("no space"));
  const std::string large(100000, 'v');  // no room for it in the segment that is open
  const LogIndex last = t_.last();
  EXPECT_THAT(t_.Put("large", large), HasCode(kResourceExhausted));
  EXPECT_THAT(t_.Put("large", large), HasCode(kResourceExhausted));
  EXPECT_EQ(t_.last(), last);
  EXPECT_THAT(t_.Get("large"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(*t_.Get("before"), "value");
  t_.t.hook->Heal();
  ASSERT_THAT(t_.Put("large", large), IsOk());
  EXPECT_EQ(*t_.Get("large"), large);
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(*t_.Get("large"), large);
}

TEST_F(GroupFaultTest, AStoreOnAFullDiskRefusesBeforeAnythingIsLogged) {
  ASSERT_THAT(t_.Put("before", "value"), IsOk());
  t_.t.hook->Fail(FileOp::kWrite, absl::ResourceExhaustedError("no space"), ".sst");
  EXPECT_FALSE(t_.node->Flush(/*wait=*/true).ok());
  const LogIndex last = t_.last();
  EXPECT_THAT(t_.Put("key", "value"), HasCode(kResourceExhausted));
  EXPECT_EQ(t_.last(), last);
  EXPECT_EQ(*t_.Get("before"), "value");
}

// The disk fills up between the log and the store: the record is logged, so the node must not part
// from its log. It applies the record when there is room again.
TEST_F(GroupFaultTest, AStoreThatFillsUpBehindTheLogCatchesUp) {
  ASSERT_THAT(t_.Put("before", "value"), IsOk());
  bool full = false;
  t_.t.hook->SetAfter([&](FileOp op, const std::string& path) {
    if (op != FileOp::kWrite || path.find("/log/") == std::string::npos || full) return;
    full = true;
    t_.t.hook->Fail(FileOp::kWrite, absl::ResourceExhaustedError("no space"), ".sst");
    EXPECT_FALSE(t_.node->Flush(/*wait=*/true).ok());
  });
  EXPECT_THAT(t_.Put("key", "41"), HasCode(kDeadlineExceeded));
  EXPECT_TRUE(full);
  EXPECT_THAT(t_.Get("key"), HasCode(absl::StatusCode::kNotFound));
  const LogIndex last = t_.last();
  EXPECT_THAT(t_.Put("other", "value"), HasCode(kResourceExhausted));
  EXPECT_EQ(t_.last(), last);

  t_.t.hook->Heal();
  // RocksDB pauses for a second after an error, and refuses to resume until then.
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (!t_.node->WriteError().ok() && absl::Now() < deadline) {
    EXPECT_THAT(t_.node->Maintain(), IsOk());
    absl::SleepFor(absl::Milliseconds(10));
  }
  int after = 0;
  ASSERT_THAT(t_.Increment("key", &after), IsOk());
  EXPECT_EQ(after, 42) << "the next write did not see what was logged before it";
  EXPECT_EQ(t_.node->applied(), t_.last());
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(*t_.Get("key"), "42");
}

TEST_F(GroupFaultTest, AHungLeaderDoesNotHoldTheOthersForEver) {
  t_.options.operation_timeout = absl::Milliseconds(30);
  ASSERT_THAT(t_.Open(), IsOk());
  ASSERT_THAT(t_.Put("before", "value"), IsOk());
  HangingWrite leader(&t_);
  const LogIndex last = t_.last();
  std::thread other([&] { EXPECT_THAT(t_.Put("other", "value"), HasCode(kUnavailable)); });
  EXPECT_THAT(t_.Put("key", "value"), HasCode(kUnavailable));
  other.join();
  EXPECT_EQ(*t_.Get("before"), "value");
  leader.LetGo();
  EXPECT_EQ(t_.last(), last) << "a write that was given up was done";
  EXPECT_THAT(t_.Put("key", "value"), IsOk()) << "the group is not stuck";
}

TEST_F(GroupFaultTest, AHungReservationMeetsTheTimeout) {
  t_.options.operation_timeout = absl::Milliseconds(30);
  ASSERT_THAT(t_.Open(), IsOk());
  absl::Notification go_on;
  t_.t.hook->SetBefore([&](FileOp op, const std::string&) {
    if (op == FileOp::kReserve) go_on.WaitForNotification();
    return absl::OkStatus();
  });
  const std::string large(100000, 'v');
  const LogIndex last = t_.last();
  EXPECT_THAT(t_.Put("large", large), HasCode(kUnavailable));
  EXPECT_EQ(t_.last(), last);
  go_on.Notify();
  t_.t.hook->Heal();
  t_.options.operation_timeout = absl::Seconds(60);
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_THAT(t_.Put("large", large), IsOk());
}

TEST_F(GroupFaultTest, TheEpochsStartMeetsAFullDisk) {
  t_.group.reset();
  ASSERT_THAT(t_.t.Open(), IsOk());
  t_.t.hook->Fail(FileOp::kWrite, absl::UnavailableError("broken disk"), "/log/");
  Group group(OneCopy(std::move(t_.t.node), &t_.t.workers, t_.t.expiry_clock.get(),
                      t_.options.operation_timeout),
              t_.t.expiry_clock.get(), t_.options);
  EXPECT_FALSE(group.StartEpoch(ShardEpoch(9)).ok());
  t_.t.hook->Heal();
  LambdaMutation mutation([](GroupView*, std::string* effects) {
    *effects = PutEffect(1, "key", "value");
    return absl::OkStatus();
  });
  EXPECT_THAT(group.Write(&mutation, {&t_.word, 0}), HasCode(kUnavailable));
}

}  // namespace
}  // namespace slotkv
