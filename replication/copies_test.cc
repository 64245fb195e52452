// Several copies: what is acknowledged is on all that are in sync, and who is not in sync is out of
// the topology first.
#include "replication/copies.h"

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "replication/fake_keeper.h"
#include "replication/fake_replica.h"
#include "replication/group.h"
#include "replication/group_test_support.h"

namespace slotkv {
namespace {

using testing::ElementsAre;

// Node 1 is the primary, node 2 a local replica, node 3 a fake one.
class CopiesTest : public testing::Test {
 protected:
  CopiesTest() {
    b_.options.log.min_segment_bytes = size_t{1} << 20;
    for (TestNode* const node : {&a_, &b_}) EXPECT_THAT(node->Create(), IsOk());
    options_.sync = SyncPolicy::kNever;
    copies_options_.node_timeout = absl::Milliseconds(200);
  }

  void Start() {
    std::vector<Copy> copies(3);
    TestNode* const nodes[] = {&a_, &b_};
    for (size_t i = 0; i < 2; ++i) {
      local_[i] = std::make_shared<LocalReplica>(std::move(nodes[i]->node), &nodes[i]->workers,
                                                 &nodes[i]->workers);
      copies[i].id = NodeId(static_cast<uint32_t>(i + 1));
      copies[i].zone = absl::StrCat("zone-", i);
      copies[i].link = copies[i].local = local_[i];
    }
    auto fake = std::make_shared<FakeReplica>(/*seed=*/1, absl::Milliseconds(2));
    fake_ = fake.get();
    copies[2].id = NodeId(3);
    copies[2].link = std::move(fake);
    group_ =
        std::make_unique<Group>(std::make_unique<Copies>(std::move(copies), &keeper_,
                                                         a_.expiry_clock.get(), copies_options_),
                                a_.expiry_clock.get(), options_);
    ASSERT_THAT(group_->StartEpoch(ShardEpoch(1)), IsOk());
  }

  absl::Status Put(std::string_view key, std::string_view value) {
    LambdaMutation mutation([&](GroupView*, std::string* effects) {
      *effects = PutEffect(1, key, value);
      return absl::OkStatus();
    });
    return group_->Write(&mutation, {&word_, 0});
  }
  std::string Get(const Store& store, std::string_view key) {
    ValueHeader header;
    std::string payload;
    const absl::Status status = store.Get(1, key, a_.expiry_clock->NowMs(), &header, &payload);
    return status.ok() ? payload : std::string(absl::StatusCodeToString(status.code()));
  }
  std::string Get(std::string_view key) { return Get(group_->BeginRead().store(), key); }
  LogIndex Last(int local) { return local_[local]->node()->log().last().index; }

  TestNode a_{1}, b_{2};
  std::atomic<uint64_t> word_{0};
  FakeKeeper keeper_;
  GroupOptions options_;
  CopiesOptions copies_options_;
  std::shared_ptr<LocalReplica> local_[2];
  FakeReplica* fake_ = nullptr;
  std::unique_ptr<Group> group_;
};

TEST_F(CopiesTest, AnAcknowledgedWriteIsOnEveryCopy) {
  Start();
  for (int i = 0; i < 20; ++i) {
    ASSERT_THAT(Put(absl::StrCat(i), "value"), IsOk());
    const LogIndex last = Last(0);
    EXPECT_EQ(Last(1), last);
    EXPECT_EQ(fake_->records().back().first.index, last);
    EXPECT_EQ(fake_->committed(), last);
  }
  EXPECT_TRUE(keeper_.changes.empty());
  ASSERT_THAT(local_[1]->applier()->Drain(absl::Seconds(60)), IsOk());
  EXPECT_EQ(local_[1]->node()->applied(), Last(0));
  EXPECT_EQ(Get(local_[1]->node()->store(), "7"), "value");
}

TEST_F(CopiesTest, WritersOfSeveralThreadsKeepOneOrder) {
  Start();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 50; ++i) ASSERT_THAT(Put(absl::StrCat(i % 5), absl::StrCat(t)), IsOk());
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_THAT(local_[1]->applier()->Drain(absl::Seconds(60)), IsOk());
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Get(local_[1]->node()->store(), absl::StrCat(i)), Get(absl::StrCat(i)));
  }
}

TEST_F(CopiesTest, ACopyThatDoesNotAnswerIsDroppedBeforeTheWriteIsAcknowledged) {
  Start();
  ASSERT_THAT(Put("before", "value"), IsOk());
  fake_->LoseAnswers();
  bool applied_before = true;
  keeper_.before_change = [&] { applied_before = Get("key") == "value"; };
  ASSERT_THAT(Put("key", "value"), IsOk());
  EXPECT_FALSE(applied_before);
  ASSERT_EQ(keeper_.changes.size(), 1u);
  EXPECT_THAT(keeper_.changes[0].in_sync,
              ElementsAre(InSyncCopy{NodeId(1)}, InSyncCopy{NodeId(2)}));
  EXPECT_EQ(keeper_.changes[0].primary, NodeId(1));
  EXPECT_EQ(keeper_.changes[0].epoch, ShardEpoch(1)) << "nobody else leads";
  const size_t records = fake_->records().size();
  ASSERT_THAT(Put("later", "value"), IsOk());
  EXPECT_EQ(fake_->records().size(), records) << "a dropped copy was appended to";
}

TEST_F(CopiesTest, NothingIsAcknowledgedWhenTheDropIsNotDurable) {
  Start();
  ASSERT_THAT(Put("before", "value"), IsOk());
  fake_->Fail(absl::UnavailableError("broken"));
  keeper_.status = absl::DeadlineExceededError("no majority");
  EXPECT_THAT(Put("key", "value"), HasError(absl::StatusCode::kDeadlineExceeded, "no majority"));
  EXPECT_EQ(Get("key"), "NOT_FOUND");
  EXPECT_THAT(Put("later", "value"), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_EQ(Get("before"), "value");
  EXPECT_TRUE(group_->NeedsCare());
  // When it can be, what was shipped is finished before anything else.
  keeper_.status = absl::OkStatus();
  ASSERT_THAT(Put("last", "value"), IsOk());
  EXPECT_EQ(Get("key"), "value");
  EXPECT_EQ(Get("later"), "NOT_FOUND");
  EXPECT_EQ(Get("last"), "value");
  EXPECT_THAT(keeper_.changes.back().in_sync,
              ElementsAre(InSyncCopy{NodeId(1)}, InSyncCopy{NodeId(2)}));
  ASSERT_THAT(local_[1]->applier()->Drain(absl::Seconds(60)), IsOk());
  EXPECT_EQ(local_[1]->node()->applied(), Last(0));
}

// The same when the primary was lost, and nobody writes.
TEST_F(CopiesTest, ATakeOverThatWasLeftUnfinishedIsFinished) {
  Start();
  ASSERT_THAT(Put("before", "value"), IsOk());
  a_.hook->Fail(FileOp::kWrite, absl::UnavailableError("broken"), "/log/");
  for (const absl::Status& status :
       {absl::UnavailableError("not made"), absl::DeadlineExceededError("perhaps made")}) {
    keeper_.status = status;
    EXPECT_FALSE(Put("key", "value").ok());
    group_->TakeCare();
    EXPECT_EQ(group_->node(), local_[0]->node());
  }
  EXPECT_EQ(Get("key"), "NOT_FOUND");
  keeper_.status = absl::OkStatus();
  EXPECT_TRUE(group_->NeedsCare());
  group_->TakeCare();
  group_->TakeCare();
  EXPECT_FALSE(group_->NeedsCare());
  EXPECT_EQ(group_->node(), local_[1]->node());
  EXPECT_EQ(Get("key"), "value");
  EXPECT_EQ(local_[1]->node()->log().last().epoch, keeper_.changes.back().epoch);
  ASSERT_THAT(Put("later", "value"), IsOk());
}

// Even what was begun before is left to whoever goes on with other copies.
TEST_F(CopiesTest, AfterItsEndNothingIsWrittenAndNobodyIsAsked) {
  Start();
  ASSERT_THAT(Put("before", "value"), IsOk());
  keeper_.status = absl::DeadlineExceededError("perhaps made");
  EXPECT_FALSE(group_->Promote(NodeId(2)).ok());
  keeper_.status = absl::OkStatus();
  const size_t changes = keeper_.changes.size();
  const LogIndex last = Last(0);
  ASSERT_THAT(group_->End(absl::UnavailableError("ended")), IsOk());
  EXPECT_THAT(Put("key", "value"), HasError(absl::StatusCode::kUnavailable, "ended"));
  EXPECT_THAT(group_->Promote(NodeId(2)), HasError(absl::StatusCode::kUnavailable, "ended"));
  group_->TakeCare();
  EXPECT_EQ(keeper_.changes.size(), changes);
  EXPECT_EQ(Last(0), last);
  EXPECT_EQ(Get("before"), "value");
}

TEST_F(CopiesTest, APlannedPromotionOfUnknownOutcomeIsDecidedBeforeTheNextWrite) {
  Start();
  ASSERT_THAT(Put("before", "value"), IsOk());
  keeper_.status = absl::DeadlineExceededError("perhaps made");
  EXPECT_FALSE(group_->Promote(NodeId(2)).ok());
  EXPECT_THAT(Put("key", "value"), HasCode(absl::StatusCode::kUnavailable));
  keeper_.status = absl::OkStatus();
  ASSERT_THAT(Put("key", "value"), IsOk());
  EXPECT_EQ(group_->node(), local_[1]->node());
  EXPECT_EQ(keeper_.changes.back().primary, NodeId(2));
  EXPECT_EQ(Get("key"), "value");
}

// The one that may have been given the next epoch fails: whoever goes on needs a higher one.
TEST_F(CopiesTest, AnEpochThatMayHaveBeenGivenOutIsNotUsedByAnother) {
  Start();
  ASSERT_THAT(Put("before", "value"), IsOk());
  keeper_.status = absl::DeadlineExceededError("perhaps made");
  EXPECT_FALSE(group_->Promote(NodeId(2)).ok());
  b_.hook->Fail(FileOp::kSync, absl::UnavailableError("broken"), "/log/");
  group_->copies()->NoteFailure(NodeId(2), local_[1]->node()->Sync());
  keeper_.status = absl::OkStatus();
  ASSERT_THAT(Put("key", "value"), IsOk());
  EXPECT_EQ(group_->node(), local_[0]->node());
  EXPECT_EQ(keeper_.changes.back().primary, NodeId(1));
  EXPECT_EQ(keeper_.changes.back().epoch, ShardEpoch(3));
  EXPECT_EQ(local_[0]->node()->log().last().epoch, ShardEpoch(3));
}

// The last copy is not given up for being slow: callers are told in time, and nothing is lost.
TEST_F(CopiesTest, ACallerIsNotHeldByTheLastCopy) {
  options_.sync = SyncPolicy::kAlways;
  options_.operation_timeout = copies_options_.operation_timeout = absl::Milliseconds(300);
  copies_options_.node_timeout = absl::Milliseconds(100);
  Start();
  fake_->Fail(absl::UnavailableError("not needed here"));
  b_.hook->Fail(FileOp::kWrite, absl::UnavailableError("nor this"), "/log/");
  ASSERT_THAT(Put("before", "value"), IsOk());
  ASSERT_EQ(keeper_.changes.back().in_sync.size(), 1u);
  const auto go_on = std::make_shared<absl::Notification>();
  a_.hook->SetBefore([go_on](FileOp op, const std::string&) {
    if (op == FileOp::kSync) go_on->WaitForNotification();
    return absl::OkStatus();
  });
  EXPECT_THAT(Put("key", "value"), HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(Put("later", "value"), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_EQ(Get("key"), "NOT_FOUND");
  EXPECT_EQ(Get("before"), "value");
  go_on->Notify();
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  while (group_->NeedsCare() && absl::Now() < give_up) group_->TakeCare();
  EXPECT_EQ(Get("key"), "value");
  ASSERT_THAT(Put("later", "value"), IsOk());
}

// Both hang; the one that answers first goes on.
TEST_F(CopiesTest, OfSlowCopiesTheFirstToAnswerStays) {
  options_.sync = SyncPolicy::kAlways;
  copies_options_.node_timeout = absl::Milliseconds(50);
  Start();
  fake_->Fail(absl::UnavailableError("not needed here"));
  ASSERT_THAT(Put("before", "value"), IsOk());
  const auto go_on = std::make_shared<absl::Notification>();
  a_.hook->SetBefore([go_on](FileOp op, const std::string&) {
    if (op == FileOp::kSync) go_on->WaitForNotification();
    return absl::OkStatus();
  });
  b_.hook->SetBefore([](FileOp op, const std::string&) {
    if (op == FileOp::kSync) absl::SleepFor(absl::Milliseconds(200));
    return absl::OkStatus();
  });
  ASSERT_THAT(Put("key", "value"), IsOk());
  EXPECT_THAT(keeper_.changes.back().in_sync, ElementsAre(InSyncCopy{NodeId(2)}));
  EXPECT_EQ(Get("key"), "value");
  go_on->Notify();
}

TEST_F(CopiesTest, AReplicaOnAFullDiskIsWaitedForBeforeItIsGivenUp) {
  copies_options_.node_timeout = absl::Milliseconds(300);
  Start();
  fake_->Fail(absl::UnavailableError("not needed here"));
  ASSERT_THAT(Put("before", "value"), IsOk());
  b_.hook->Fail(FileOp::kReserve, absl::ResourceExhaustedError("no space"));
  const std::string large(2'000'000, 'v');  // no room for it in the segment that is open
  EXPECT_THAT(Put("large", large), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(keeper_.changes.back().in_sync.size(), 2u);
  b_.hook->Heal();
  ASSERT_THAT(Put("large", large), IsOk());
  b_.hook->Fail(FileOp::kReserve, absl::ResourceExhaustedError("no space"));
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  absl::Status status;
  do {
    status = Put("larger", large + large);
    ASSERT_TRUE(status.ok() || absl::IsResourceExhausted(status)) << status;
  } while (!status.ok() && absl::Now() < give_up);
  EXPECT_THAT(keeper_.changes.back().in_sync, ElementsAre(InSyncCopy{NodeId(1)}));
}

// What its store could not take is kept, and tried again.
TEST_F(CopiesTest, AReplicasStoreOnAFullDiskCatchesUp) {
  Start();
  ASSERT_THAT(Put("before", "value"), IsOk());
  b_.hook->Fail(FileOp::kWrite, absl::ResourceExhaustedError("no space"), ".sst");
  ASSERT_THAT(local_[1]->applier()->Drain(absl::Seconds(60)), IsOk());
  EXPECT_FALSE(local_[1]->node()->Flush(/*wait=*/true).ok());
  ASSERT_THAT(Put("key", "value"), IsOk());
  EXPECT_THAT(local_[1]->applier()->Drain(absl::Seconds(60)),
              HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_FALSE(group_->NeedsCare()) << "a disk that is full is no failure";
  b_.hook->Heal();
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  while (!local_[1]->applier()->Drain(absl::Seconds(60)).ok() && absl::Now() < give_up) {
    EXPECT_THAT(local_[1]->node()->Maintain(), IsOk());
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_EQ(local_[1]->node()->applied(), Last(0));
  EXPECT_EQ(Get(local_[1]->node()->store(), "key"), "value");
}

TEST_F(CopiesTest, TooFewReplicasRefuseWrites) {
  copies_options_.min_in_sync_replicas = 2;
  Start();
  ASSERT_THAT(Put("before", "value"), IsOk());
  fake_->Fail(absl::UnavailableError("broken"));
  EXPECT_THAT(Put("during", "value"),
              HasError(absl::StatusCode::kDeadlineExceeded, "min_in_sync_replicas"));
  EXPECT_THAT(Put("after", "value"),
              HasError(absl::StatusCode::kUnavailable, "min_in_sync_replicas"));
  EXPECT_THAT(group_->WriteError(), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_EQ(Get("before"), "value");
  EXPECT_EQ(Get("after"), "NOT_FOUND");
}

// The same change that drops it says that its files are not to be used again.
TEST_F(CopiesTest, ADamagedPrimaryIsReplacedAndDiscarded) {
  Start();
  ASSERT_THAT(Put("key", "value"), IsOk());
  const Group::ReadPoint old = group_->BeginRead();
  const absl::Status damage = absl::DataLossError("damaged");
  // What RocksDB has not complained of is on every copy.
  EXPECT_EQ(group_->ReadElsewhere(old, damage), damage);
  EXPECT_TRUE(keeper_.changes.empty());
  local_[0]->node()->store().damage().Pass(damage).IgnoreError();
  EXPECT_THAT(group_->ReadElsewhere(old, damage), IsOk());
  EXPECT_FALSE(group_->StillServes(old));
  EXPECT_EQ(Get("key"), "value");
  ASSERT_EQ(keeper_.changes.size(), 1u);
  EXPECT_EQ(keeper_.changes[0].primary, NodeId(2));
  EXPECT_THAT(keeper_.changes[0].discarded, ElementsAre(InSyncCopy{NodeId(1), 2}));
  // An old reader that meets it later is sent on at once.
  EXPECT_THAT(group_->ReadElsewhere(old, damage), IsOk());
  EXPECT_EQ(keeper_.changes.size(), 1u);
}

// Of copies that are all damaged none is dropped: what one cannot read another may.
TEST_F(CopiesTest, ADamagedPrimaryStaysIfNoSoundCopyIsLeft) {
  Start();
  ASSERT_THAT(Put("key", "value"), IsOk());
  const absl::Status damage = absl::DataLossError("damaged");
  for (const auto& local : local_) local->node()->store().damage().Pass(damage).IgnoreError();
  EXPECT_EQ(group_->ReadElsewhere(group_->BeginRead(), damage), damage);
  EXPECT_FALSE(group_->NeedsCare());
  ASSERT_THAT(Put("key", "after"), IsOk());
  EXPECT_EQ(Get("key"), "after");
  EXPECT_TRUE(keeper_.changes.empty());
}

// Nobody is left who could take over: the reader is told at once what it has met.
TEST_F(CopiesTest, ADamagedPrimaryNamesTheDamageIfEveryCopyHasFailed) {
  Start();
  ASSERT_THAT(Put("key", "value"), IsOk());
  const absl::Status damage = absl::DataLossError("000007.sst: damaged at 4096");
  local_[0]->node()->store().damage().Pass(damage).IgnoreError();
  for (const uint32_t id : {1, 2, 3}) {
    group_->copies()->NoteFailure(NodeId(id), absl::UnavailableError("broken"));
  }
  EXPECT_EQ(group_->ReadElsewhere(group_->BeginRead(), damage), damage);
  EXPECT_TRUE(keeper_.changes.empty());
}

// Whatever it is dropped for.
TEST_F(CopiesTest, ADamagedReplicaIsDiscarded) {
  Start();
  local_[1]->node()->store().damage().Pass(absl::DataLossError("damaged")).IgnoreError();
  group_->copies()->NoteFailure(NodeId(2), absl::UnavailableError("stopped"));
  ASSERT_THAT(Put("key", "value"), IsOk());
  ASSERT_EQ(keeper_.changes.size(), 1u);
  EXPECT_EQ(keeper_.changes[0].primary, NodeId(1));
  EXPECT_THAT(keeper_.changes[0].discarded, ElementsAre(InSyncCopy{NodeId(2), 2}));
}

TEST_F(CopiesTest, AReplicaTakesOverWhenThePrimaryCannotAppend) {
  Start();
  ASSERT_THAT(Put("before", "value"), IsOk());
  const Group::ReadPoint old = group_->BeginRead();
  a_.hook->Fail(FileOp::kWrite, absl::UnavailableError("broken"), "/log/");
  ASSERT_THAT(Put("key", "value"), IsOk());
  ASSERT_EQ(keeper_.changes.size(), 1u);
  EXPECT_EQ(keeper_.changes[0].primary, NodeId(2));
  EXPECT_EQ(keeper_.changes[0].epoch, ShardEpoch(2));
  EXPECT_THAT(keeper_.changes[0].in_sync,
              ElementsAre(InSyncCopy{NodeId(2)}, InSyncCopy{NodeId(3)}));
  EXPECT_TRUE(keeper_.changes[0].discarded.empty());
  EXPECT_FALSE(group_->StillServes(old));
  EXPECT_EQ(group_->node(), local_[1]->node());
  EXPECT_EQ(Get("before"), "value");
  EXPECT_EQ(Get("key"), "value");
  ASSERT_THAT(Put("later", "value"), IsOk());
  EXPECT_EQ(local_[1]->node()->log().last().epoch, ShardEpoch(2));
  EXPECT_EQ(fake_->records().back().first, local_[1]->node()->log().last());
}

TEST_F(CopiesTest, AReplicaTakesOverWhenASyncFailsInTheBackground) {
  Start();
  ASSERT_THAT(Put("before", "value"), IsOk());
  a_.hook->Fail(FileOp::kSync, absl::UnavailableError("broken"), "/log/");
  group_->copies()->NoteFailure(NodeId(1), local_[0]->node()->Sync());
  EXPECT_TRUE(group_->NeedsCare());
  group_->TakeCare();
  EXPECT_FALSE(group_->NeedsCare());
  EXPECT_EQ(group_->node(), local_[1]->node());
  EXPECT_EQ(Get("before"), "value");
  ASSERT_THAT(Put("later", "value"), IsOk());
}

TEST_F(CopiesTest, TheLastCopyIsNotReplacedByNobody) {
  Start();
  fake_->Fail(absl::UnavailableError("broken"));
  ASSERT_THAT(Put("a", "value"), IsOk());
  a_.hook->Fail(FileOp::kWrite, absl::UnavailableError("broken a"), "/log/");
  ASSERT_THAT(Put("b", "value"), IsOk());
  EXPECT_EQ(group_->node(), local_[1]->node());
  group_->TakeCare();  // begins the epoch
  b_.hook->Fail(FileOp::kWrite, absl::UnavailableError("broken b"), "/log/");
  EXPECT_THAT(Put("c", "value"), HasError(absl::StatusCode::kDeadlineExceeded, "broken b"));
  EXPECT_THAT(Put("d", "value"), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_EQ(keeper_.changes.size(), 2u);
  EXPECT_EQ(Get("b"), "value") << "reads go on";
}

TEST_F(CopiesTest, APlannedPromotionFailsNoWrite) {
  Start();
  std::atomic<bool> stop{false};
  std::atomic<int> writes{0};
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      ASSERT_THAT(Put("counter", absl::StrCat(i)), IsOk());
      ASSERT_EQ(Get("counter"), absl::StrCat(i));
      ++writes;
    }
  });
  for (int i = 0; i < 6; ++i) {
    ASSERT_THAT(group_->Promote(NodeId(static_cast<uint32_t>(2 - i % 2))), IsOk());
    const int before = writes;
    while (writes < before + 5) absl::SleepFor(absl::Microseconds(100));
  }
  stop = true;
  writer.join();
  EXPECT_EQ(keeper_.changes.size(), 6u);
  EXPECT_EQ(keeper_.changes.back().epoch, ShardEpoch(7));
  EXPECT_THAT(keeper_.changes.back().in_sync,
              ElementsAre(InSyncCopy{NodeId(1)}, InSyncCopy{NodeId(2)}, InSyncCopy{NodeId(3)}));
  EXPECT_EQ(Last(0), Last(1));
  EXPECT_THAT(group_->Promote(NodeId(3)),
              HasError(absl::StatusCode::kFailedPrecondition, "node-3"));
  EXPECT_THAT(group_->Promote(NodeId(9)),
              HasError(absl::StatusCode::kFailedPrecondition, "node-9"));
}

TEST_F(CopiesTest, WritersWaitForAReplicaThatLagsBehind) {
  copies_options_.node_timeout = absl::Seconds(60);
  Start();
  fake_->Fail(absl::UnavailableError("not needed here"));
  absl::Notification go_on;
  // Both workers of b hang, so nothing is applied there.
  for (int i = 0; i < 2; ++i) b_.workers.Schedule([&] { go_on.WaitForNotification(); });
  const std::string value(20'000, 'v');
  std::atomic<int> writes{0};
  std::thread writer([&] {
    for (int i = 0; i < 40; ++i, ++writes) ASSERT_THAT(Put(absl::StrCat(i), value), IsOk());
  });
  while (writes < 20) absl::SleepFor(absl::Milliseconds(1));
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_LT(local_[1]->Progress().lag_bytes, Applier::kMaxLagBytes + 3 * value.size());
  EXPECT_LT(writes, 40);
  go_on.Notify();
  writer.join();
  ASSERT_THAT(local_[1]->applier()->Drain(absl::Seconds(60)), IsOk());
  EXPECT_EQ(local_[1]->Progress().lag_bytes, 0u);
  EXPECT_EQ(local_[1]->node()->applied(), Last(0));
}

}  // namespace
}  // namespace slotkv
