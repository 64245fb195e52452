#include "replication/group.h"

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "replication/group_test_support.h"

namespace slotkv {
namespace {

constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;

class GroupTest : public testing::Test {
 protected:
  GroupTest() { EXPECT_THAT(t_.Create(), IsOk()); }

  // Reopens the group under this policy.
  void Use(SyncPolicy sync) {
    t_.options.sync = sync;
    ASSERT_THAT(t_.Open(), IsOk());
  }

  // Starts `first`, then `second`, behind a leader that hangs, until both were in one write group
  // and in that order.
  void RunInOneGroup(const LambdaMutation::Function& first, const LambdaMutation::Function& second,
                     absl::Status* first_status, absl::Status* second_status) {
    for (int attempt = 0; attempt < 10000; ++attempt) {
      std::vector<std::pair<int, GroupView*>> order;  // the leader's thread writes
      const auto noted = [&](int number, const LambdaMutation::Function& function) {
        return [&order, &function, number](GroupView* view, std::string* effects) {
          order.emplace_back(number, view);
          return function(view, effects);
        };
      };
      {
        HangingWrite leader(&t_);
        absl::Notification first_starts, second_starts;
        std::thread first_thread([&] {
          first_starts.Notify();
          *first_status = t_.Write(noted(1, first));
        });
        first_starts.WaitForNotification();
        std::thread second_thread([&] {
          second_starts.Notify();
          *second_status = t_.Write(noted(2, second));
        });
        second_starts.WaitForNotification();
        leader.LetGo();
        first_thread.join();
        second_thread.join();
      }
      ASSERT_EQ(order.size(), 2u);
      // Not so if a thread was slow to come: then once more.
      if (order[0].first == 1 && order[0].second == order[1].second) return;
    }
    FAIL() << "never in one group";
  }

  TestGroup t_;
};

TEST_F(GroupTest, AWriteIsLoggedAndApplied) {
  EXPECT_EQ(t_.last(), LogIndex(1)) << "the epoch's start";
  ASSERT_THAT(t_.Put("key", "value"), IsOk());
  EXPECT_EQ(*t_.Get("key"), "value");
  EXPECT_EQ(t_.last(), LogIndex(2));
  EXPECT_EQ(t_.node->applied(), LogIndex(2));
  std::vector<Record> records;
  ASSERT_THAT(t_.node->log().Read(LogIndex(2),
                                  [&](const Record& record) {
                                    EXPECT_EQ(record.kind, RecordKind::kWrite);
                                    EXPECT_EQ(record.position.epoch, ShardEpoch(1));
                                    EXPECT_EQ(record.commit, LogIndex(1));
                                    EXPECT_EQ(record.clock_ms, t_.t.expiry_clock->NowMs());
                                    EXPECT_EQ(record.payload, PutEffect(1, "key", "value"));
                                    return absl::OkStatus();
                                  }),
              IsOk());
}

TEST_F(GroupTest, EpochsOnlyGrow) {
  ASSERT_THAT(t_.Put("key", "value"), IsOk());
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.node->log().last().epoch, ShardEpoch(2));
  EXPECT_EQ(*t_.Get("key"), "value");
  EXPECT_DEATH(t_.group->StartEpoch(ShardEpoch(2)).IgnoreError(), "check failed");
}

TEST_F(GroupTest, WhatChangesNothingIsNotLogged) {
  const LogIndex before = t_.last();
  EXPECT_THAT(t_.Write([](GroupView*, std::string*) { return absl::OkStatus(); }), IsOk());
  EXPECT_THAT(t_.Write([](GroupView*, std::string*) { return absl::NotFoundError("none"); }),
              HasError(kNotFound, "none"));
  EXPECT_THAT(t_.Write([](GroupView*, std::string* effects) {
    *effects = PutEffect(1, "key", "of a failed write");
    return absl::FailedPreconditionError("not so");
  }),
              HasError(absl::StatusCode::kFailedPrecondition, "not so"));
  EXPECT_EQ(t_.last(), before);
  EXPECT_THAT(t_.Get("key"), HasCode(kNotFound));
}

TEST_F(GroupTest, AGuardThatNoLongerHoldsStopsItsWrite) {
  bool evaluated = false;
  LambdaMutation mutation([&](GroupView*, std::string*) {
    evaluated = true;
    return absl::OkStatus();
  });
  EXPECT_THAT(t_.group->Write(&mutation, {&t_.word, 7}), HasCode(absl::StatusCode::kAborted));
  EXPECT_FALSE(evaluated);

  // Looked at when the write group is formed, not when the caller came.
  HangingWrite leader(&t_);
  absl::Notification starts;
  absl::Status status;
  std::thread waiting([&] {
    starts.Notify();
    status = t_.group->Write(&mutation, {&t_.word, 0});
  });
  starts.WaitForNotification();
  t_.word = 1;
  leader.LetGo();
  waiting.join();
  EXPECT_THAT(status, HasCode(absl::StatusCode::kAborted));
  EXPECT_FALSE(evaluated);
  EXPECT_EQ(t_.last(), LogIndex(1));
}

TEST_F(GroupTest, AWriteSeesThePutsOfItsGroup) {
  ASSERT_THAT(t_.Put("key", "old"), IsOk());
  std::string seen;
  absl::Status first, second;
  RunInOneGroup(
      [](GroupView*, std::string* effects) {
        *effects = PutEffect(1, "key", "new") + PutEffect(1, "other", "x");
        return absl::OkStatus();
      },
      [&](GroupView* view, std::string* effects) {
        ValueHeader header;
        absl::Status status = view->Get(1, "key", &header, &seen);
        *effects = PutEffect(1, "copy", seen);
        return status;
      },
      &first, &second);
  EXPECT_THAT(first, IsOk());
  EXPECT_THAT(second, IsOk());
  EXPECT_EQ(seen, "new");
  EXPECT_EQ(*t_.Get("copy"), "new");
  EXPECT_EQ(*t_.Get("other"), "x");
}

TEST_F(GroupTest, AWriteSeesTheDeletesOfItsGroup) {
  absl::Status first, second;
  ASSERT_THAT(t_.Put("key", "old"), IsOk());
  RunInOneGroup(
      [](GroupView*, std::string* effects) {
        *effects = DeleteEffect(1, "key");
        return absl::OkStatus();
      },
      [&](GroupView* view, std::string*) {
        ValueHeader header;
        std::string payload;
        return view->Get(1, "key", &header, &payload);
      },
      &first, &second);
  EXPECT_THAT(first, IsOk());
  EXPECT_THAT(second, HasCode(kNotFound));
}

TEST_F(GroupTest, AWriteSeesNothingOfAFailedOneOfItsGroup) {
  absl::Status first, second;
  RunInOneGroup(
      [](GroupView*, std::string* effects) {
        *effects = PutEffect(1, "key", "never");
        return absl::FailedPreconditionError("not so");
      },
      [&](GroupView* view, std::string*) {
        ValueHeader header;
        std::string payload;
        return view->Get(1, "key", &header, &payload);
      },
      &first, &second);
  EXPECT_THAT(first, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(second, HasCode(kNotFound));
  EXPECT_THAT(t_.Get("key"), HasCode(kNotFound));
}

TEST_F(GroupTest, OneTimeForAWholeGroupAndExpiredKeysAreGone) {
  const uint64_t now_ms = t_.t.expiry_clock->NowMs();
  ASSERT_THAT(t_.Write([&](GroupView*, std::string* effects) {
    *effects = PutEffect(1, "key", "value", now_ms + 1000);
    return absl::OkStatus();
  }),
              IsOk());
  t_.t.clock.Advance(absl::Milliseconds(1000));
  EXPECT_THAT(t_.Write([&](GroupView* view, std::string*) {
    EXPECT_EQ(view->now_ms(), now_ms + 1000);
    t_.t.clock.Advance(absl::Milliseconds(5));
    EXPECT_EQ(view->now_ms(), now_ms + 1000);
    ValueHeader header;
    std::string payload;
    return view->Get(1, "key", &header, &payload);
  }),
              HasCode(kNotFound));
  EXPECT_EQ(t_.t.expiry_clock->observed_ms(), now_ms + 1000) << "that is to be remembered";
}

// What a write found alive, no reader finds expired before the write is applied.
TEST_F(GroupTest, ReadersAreNotAheadOfTheWriteGroupsTime) {
  const uint64_t now_ms = t_.t.expiry_clock->NowMs();
  EXPECT_EQ(t_.group->ReadTimeMs(), now_ms);
  HangingWrite leader(&t_);
  t_.t.clock.Advance(absl::Seconds(10));
  EXPECT_EQ(t_.group->ReadTimeMs(), now_ms);
  leader.LetGo();
  EXPECT_EQ(t_.group->ReadTimeMs(), now_ms + 10000);
}

// An estimate that was far too low: the group is cut short, and nobody is forgotten.
TEST_F(GroupTest, WritesLargerThanTheyWereEstimated) {
  std::vector<std::thread> threads;
  {
    HangingWrite leader(&t_);
    for (int i = 0; i < 10; ++i) {
      threads.emplace_back([&, i] {
        EXPECT_THAT(t_.Put("key" + std::to_string(i), std::string(700000, 'v')), IsOk());
      });
    }
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(t_.Get("key" + std::to_string(i))->size(), 700000u);
  }
  EXPECT_EQ(t_.last(), LogIndex(11));
}

TEST_F(GroupTest, IncrementsOfManyThreadsAddUp) {
  constexpr int kThreads = 8, kEach = 300;
  absl::Mutex mu;
  std::set<int> results;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < kEach; ++j) {
        int after = 0;
        ASSERT_THAT(t_.Increment("counter", &after), IsOk());
        absl::MutexLock lock(&mu);
        ASSERT_TRUE(results.insert(after).second) << after << " twice";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(*t_.Get("counter"), std::to_string(kThreads * kEach));
  EXPECT_EQ(*results.rbegin(), kThreads * kEach);
  EXPECT_EQ(t_.last(), LogIndex(1 + kThreads * kEach));
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(*t_.Get("counter"), std::to_string(kThreads * kEach));
}

TEST_F(GroupTest, LargeWritesOfManyThreadsAllArrive) {
  constexpr int kThreads = 4, kEach = 5;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < kEach; ++j) {
        const std::string key = std::to_string(i) + "." + std::to_string(j);
        LambdaMutation mutation(
            [&](GroupView*, std::string* effects) {
              *effects = PutEffect(1, key, std::string(600000, static_cast<char>('a' + j)));
              return absl::OkStatus();
            },
            600000);
        ASSERT_THAT(t_.group->Write(&mutation, {&t_.word, 0}), IsOk());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kThreads; ++i) {
    for (int j = 0; j < kEach; ++j) {
      EXPECT_EQ(t_.Get(std::to_string(i) + "." + std::to_string(j))->size(), 600000u);
    }
  }
}

TEST_F(GroupTest, WithAlwaysAWriteIsDurableBeforeItIsAcknowledged) {
  Use(SyncPolicy::kAlways);
  for (int i = 0; i < 5; ++i) {
    const int syncs = t_.t.hook->done(FileOp::kSync);
    ASSERT_THAT(t_.Put("key" + std::to_string(i), "value"), IsOk());
    EXPECT_GT(t_.t.hook->done(FileOp::kSync), syncs);
    EXPECT_EQ(t_.node->log().synced(), t_.last());
  }
}

TEST_F(GroupTest, WithNeverNoWriteSyncs) {
  Use(SyncPolicy::kNever);
  const int syncs = t_.t.hook->begun(FileOp::kSync);
  for (int i = 0; i < 5; ++i) ASSERT_THAT(t_.Put("key", "value"), IsOk());
  EXPECT_EQ(t_.t.hook->begun(FileOp::kSync), syncs);
  ASSERT_THAT(t_.group->Sync(), IsOk());
  EXPECT_EQ(t_.node->log().synced(), t_.last());
}

// The one test that lets real time pass, for real time is what it is about.
TEST_F(GroupTest, WithEverySecondNoWriteBeginsBesideAnOlderUnsyncedOne) {
  Use(SyncPolicy::kEverySecond);
  ASSERT_THAT(t_.Put("key", "value"), IsOk());
  const LogIndex first = t_.last();
  absl::SleepFor(absl::Milliseconds(1100));
  ASSERT_THAT(t_.Write([&](GroupView*, std::string*) {
    EXPECT_GE(t_.node->log().synced(), first);
    return absl::OkStatus();
  }),
              IsOk());
}

}  // namespace
}  // namespace slotkv
