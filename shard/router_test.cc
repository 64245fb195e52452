// The way to the shard that serves a slot, with slots that change hands on the way.
#include "shard/router.h"

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/effects.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "replication/group_test_support.h"
#include "slotkv/redirect.h"

namespace slotkv {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr ShardId kA(1), kB(2);

// Calls back whenever it is read: what a reader does between two looks at a slot's word.
class CallingClock final : public Clock {
 public:
  absl::Time Wall() override { return absl::FromUnixMillis(1'700'000'000'000); }
  absl::Duration Monotonic() override {
    std::function<void()> call;
    absl::Duration now;
    {
      absl::MutexLock lock(&mu_);
      call = std::exchange(call_, nullptr);
      now = now_;
    }
    if (call != nullptr) call();
    return now;
  }
  void Advance(absl::Duration by) {
    absl::MutexLock lock(&mu_);
    now_ += by;
  }
  // Once, at the next reading.
  void CallBack(std::function<void()> call) {
    absl::MutexLock lock(&mu_);
    call_ = std::move(call);
  }

 private:
  absl::Mutex mu_;
  std::function<void()> call_ ABSL_GUARDED_BY(mu_);
  absl::Duration now_ ABSL_GUARDED_BY(mu_) = absl::Seconds(1000);
};

// Two shards; slots are all A's at first.
class RouterTest : public testing::Test {
 protected:
  RouterTest() : a_(1), b_(2) {
    for (TestNode* const node : {&a_, &b_}) {
      EXPECT_THAT(node->Create(), IsOk());
      groups_.push_back(std::make_unique<Group>(
          OneCopy(std::move(node->node), &node->workers, &expiry_clock_, absl::Seconds(60)),
          &expiry_clock_, GroupOptions()));
      EXPECT_THAT(groups_.back()->StartEpoch(ShardEpoch(1)), IsOk());
    }
    router_.AddShard(kA, groups_[0].get(), absl::OkStatus());
    router_.AddShard(kB, groups_[1].get(), absl::OkStatus());
    router_.slots().Publish({0, kSlotCount - 1}, SlotState::kServing, kA);
  }

  void Move(Slot slot, ShardId to) { router_.slots().Publish(slot, SlotState::kServing, to); }

  // Puts it behind the router's back.
  void Put(ShardId shard, Slot slot, std::string_view key, std::string_view value) {
    LambdaMutation mutation([&](GroupView*, std::string* effects) {
      *effects = PutEffect(slot, key, value);
      return absl::OkStatus();
    });
    static const std::atomic<uint64_t> word{0};
    ASSERT_THAT(router_.group(shard)->Write(&mutation, {&word, 0}), IsOk());
  }
  // What the shard's own store has.
  std::optional<std::string> Stored(ShardId shard, Slot slot, std::string_view key) {
    ValueHeader header;
    std::string payload;
    const absl::Status status = router_.group(shard)->BeginRead().store().Get(
        slot, key, expiry_clock_.NowMs(), &header, &payload);
    return status.ok() ? std::make_optional(payload) : std::nullopt;
  }
  absl::StatusOr<std::string> Read(OnlyShard only, Slot slot, std::string_view key) {
    ValueHeader header;
    std::string payload;
    uint64_t now_ms = 0;
    absl::Status status = router_.Read(only, slot, key, &header, &payload, &now_ms);
    if (!status.ok()) return status;
    return payload;
  }
  ShardStats StatsOf(ShardId shard) {
    ShardStats stats;
    stats.id = shard;
    router_.AddTo(&stats);
    return stats;
  }

  TestNode a_, b_;
  CallingClock clock_;
  ExpiryClock expiry_clock_{&clock_, 0};
  std::vector<std::unique_ptr<Group>> groups_;
  Router router_;
};

LambdaMutation Putting(Slot slot, std::string key, std::string value) {
  return LambdaMutation(
      [slot, key = std::move(key), value = std::move(value)](GroupView*, std::string* effects) {
        *effects = PutEffect(slot, key, value);
        return absl::OkStatus();
      });
}

MATCHER_P(RedirectsTo, redirect, "") {
  *result_listener << StatusOf(arg);
  return GetRedirect(StatusOf(arg)) == redirect;
}

TEST_F(RouterTest, WritesGoWhereTheSlotIs) {
  Move(7, kB);
  LambdaMutation six = Putting(6, "key", "6"), seven = Putting(7, "key", "7");
  EXPECT_THAT(router_.Write(std::nullopt, 6, &six), IsOk());
  EXPECT_THAT(router_.Write(std::nullopt, 7, &seven), IsOk());
  EXPECT_EQ(Stored(kA, 6, "key"), "6");
  EXPECT_EQ(Stored(kB, 7, "key"), "7");
  EXPECT_EQ(Stored(kA, 7, "key"), std::nullopt);
  EXPECT_THAT(Read(std::nullopt, 7, "key"),
              testing::Property(&absl::StatusOr<std::string>::value, "7"));
}

TEST_F(RouterTest, ABoundCallerIsSentToTheOwner) {
  Move(7, kB);
  const Redirect to_b = {Redirect::kMoved, 7, kB}, to_a = {Redirect::kMoved, 6, kA};
  LambdaMutation mutation = Putting(7, "key", "x");
  EXPECT_THAT(router_.Write(kA, 7, &mutation), RedirectsTo(to_b));
  EXPECT_THAT(router_.Write(kB, 7, &mutation), IsOk());
  EXPECT_THAT(Read(kA, 7, "key"), RedirectsTo(to_b));
  EXPECT_THAT(Read(kB, 6, "key"), RedirectsTo(to_a));
  EXPECT_THAT(router_.CheckServed(kA, 7), RedirectsTo(to_b));
  EXPECT_THAT(router_.CheckServed(kB, 7), IsOk());
  EXPECT_THAT(router_.CheckServed(std::nullopt, 7), IsOk());
}

TEST_F(RouterTest, AShardWithoutAGroupSaysWhy) {
  constexpr ShardId kC(5);
  router_.AddShard(kC, nullptr, absl::UnavailableError("its disk is away"));
  Move(7, kC);
  EXPECT_EQ(router_.group(kC), nullptr);
  EXPECT_EQ(router_.group(ShardId(4)), nullptr);
  EXPECT_EQ(router_.group(ShardId(99)), nullptr);
  const auto away =
      HasError(absl::StatusCode::kUnavailable, "slot 7: shard-5 is not served: its disk");
  LambdaMutation mutation = Putting(7, "key", "x"), sound = Putting(6, "key", "x");
  EXPECT_THAT(router_.Write(std::nullopt, 7, &mutation), away);
  EXPECT_THAT(Read(std::nullopt, 7, "key"), away);
  EXPECT_THAT(router_.CheckServed(std::nullopt, 7), away);
  // Many: each on its own.
  std::vector<Router::SlotWrite> writes = {{7, &mutation, {}, {}}, {6, &sound, {}, {}}};
  router_.WriteMany(std::nullopt, absl::MakeSpan(writes));
  EXPECT_THAT(writes[0].status, away);
  EXPECT_THAT(writes[1].status, IsOk());
  std::vector<Router::KeyRead> reads(2);
  reads[0].slot = 7;
  reads[1].slot = 6;
  reads[1].key = "key";
  router_.ReadMany(std::nullopt, absl::MakeSpan(reads));
  EXPECT_THAT(reads[0].status, away);
  EXPECT_THAT(reads[1].status, IsOk());
  EXPECT_THAT(router_.Barrier(std::nullopt, {0, kSlotCount - 1}), IsOk())
      << "nothing of it can be under way";
}

// ---- Slots that change hands ----

TEST_F(RouterTest, AWriteThatWaitsFollowsItsSlot) {
  LambdaMutation mutation = Putting(7, "key", "x"), many = Putting(7, "of many", "y");
  absl::Notification hanging, go_on;
  std::thread leader([&] {
    LambdaMutation hang([&](GroupView*, std::string*) {
      hanging.Notify();
      go_on.WaitForNotification();
      return absl::OkStatus();
    });
    EXPECT_THAT(router_.Write(std::nullopt, 1, &hang), IsOk());
  });
  hanging.WaitForNotification();
  std::thread one([&] { EXPECT_THAT(router_.Write(std::nullopt, 7, &mutation), IsOk()); });
  std::thread several([&] {
    std::vector<Router::SlotWrite> writes = {{7, &many, {}, {}}};
    router_.WriteMany(std::nullopt, absl::MakeSpan(writes));
    EXPECT_THAT(writes[0].status, IsOk());
  });
  Move(7, kB);
  go_on.Notify();
  leader.join();
  one.join();
  several.join();
  EXPECT_EQ(Stored(kB, 7, "key"), "x");
  EXPECT_EQ(Stored(kB, 7, "of many"), "y");
  EXPECT_EQ(Stored(kA, 7, "key"), std::nullopt);
  EXPECT_EQ(Stored(kA, 7, "of many"), std::nullopt);
}

// Of many writes: those before the change here, those after it there, and in their order.
TEST_F(RouterTest, WritesOfOneSlotKeepTheirOrderWhereverTheyAreDone) {
  for (const ShardId to : {kB, kA}) {
    SCOPED_TRACE(to);
    constexpr int kWrites = 600;
    std::vector<int> order;
    std::deque<LambdaMutation> mutations;
    std::vector<Router::SlotWrite> writes;
    for (int i = 0; i < kWrites; ++i) {
      mutations.emplace_back([&, i](GroupView*, std::string* effects) {
        // In the middle of what is brought to the group at a time.
        if (i == 100) Move(7, to);
        order.push_back(i);
        *effects = PutEffect(7, "key", std::to_string(i));
        return absl::OkStatus();
      });
      writes.push_back({7, &mutations.back(), {}, {}});
    }
    Move(7, kA);
    router_.WriteMany(std::nullopt, absl::MakeSpan(writes));
    for (const Router::SlotWrite& write : writes) ASSERT_THAT(write.status, IsOk());
    std::vector<int> expected(kWrites);
    for (int i = 0; i < kWrites; ++i) expected[i] = i;
    EXPECT_EQ(order, expected);
    EXPECT_EQ(Stored(to, 7, "key"), std::to_string(kWrites - 1));
  }
}

TEST_F(RouterTest, AReadThatWasOvertakenIsDoneAgain) {
  Put(kA, 7, "key", "old");
  Put(kB, 7, "key", "new");
  clock_.CallBack([&] { Move(7, kB); });
  EXPECT_THAT(Read(std::nullopt, 7, "key"),
              testing::Property(&absl::StatusOr<std::string>::value, "new"));
  clock_.CallBack([&] { Move(7, kA); });
  EXPECT_THAT(Read(kB, 7, "key"), RedirectsTo(Redirect{Redirect::kMoved, 7, kA}));
}

TEST_F(RouterTest, OfManyReadsThoseOfTheMovedSlotAreDoneAgain) {
  for (const ShardId shard : {kA, kB}) {
    for (const Slot slot : {6, 7, 8}) Put(shard, slot, "key", absl::StrCat("of ", shard.value()));
  }
  Put(kA, 7, "second", "of 1");
  Put(kB, 7, "second", "of 2");
  std::vector<std::string> payloads(4);
  std::vector<Router::KeyRead> reads(4);
  for (size_t i = 0; i < reads.size(); ++i) {
    reads[i].slot = static_cast<Slot>(std::vector<int>{7, 8, 6, 7}[i]);
    reads[i].key = i == 3 ? "second" : "key";
    reads[i].payload = &payloads[i];
  }
  clock_.CallBack([&] { Move(7, kB); });
  router_.ReadMany(std::nullopt, absl::MakeSpan(reads));
  for (const Router::KeyRead& read : reads) EXPECT_THAT(read.status, IsOk());
  EXPECT_THAT(payloads, ElementsAre("of 2", "of 1", "of 1", "of 2"));
}

class RouterVisitTest : public RouterTest {
 protected:
  RouterVisitTest() {
    for (const Slot slot : {5, 6, 7}) {
      for (const char* const key : {"a", "b", "c"}) Put(kA, slot, key, "");
    }
    // Of slot 6 another shard knows more, and less.
    for (const char* const key : {"b", "d"}) Put(kB, 6, key, "");
  }

  // Visits the slots 5 to 7; `at_key(slot, key)` is called before a key is taken.
  std::vector<std::string> Visit(OnlyShard only, Slot first, std::string_view from,
                                 const std::function<void(Slot, std::string_view)>& at_key) {
    std::vector<std::string> seen;
    const absl::Status status = router_.VisitKeys(
        only, first, from, 7, "",
        [&](Slot slot, std::string_view key, const ValueHeader&, std::string_view) {
          at_key(slot, key);
          seen.push_back(absl::StrCat(slot, std::string(key)));
          return Router::Visit::kNextKey;
        },
        [&](Slot slot) {
          undone_.push_back(slot);
          while (!seen.empty() && seen.back().substr(0, 1) == absl::StrCat(slot)) seen.pop_back();
        });
    EXPECT_THAT(status, IsOk());
    return seen;
  }

  std::vector<Slot> undone_;
};

TEST_F(RouterVisitTest, ASlotThatMovesIsVisitedAgain) {
  bool moved = false;
  EXPECT_THAT(Visit(std::nullopt, 5, "",
                    [&](Slot slot, std::string_view key) {
                      if (slot == 6 && key == "b" && !std::exchange(moved, true)) Move(6, kB);
                    }),
              ElementsAre("5a", "5b", "5c", "6b", "6d", "7a", "7b", "7c"));
  EXPECT_THAT(undone_, ElementsAre(6));
}

TEST_F(RouterVisitTest, WhereItBeganStaysSo) {
  bool moved = false;
  EXPECT_THAT(Visit(std::nullopt, 6, "c",
                    [&](Slot slot, std::string_view) {
                      if (slot == 6 && !std::exchange(moved, true)) Move(6, kB);
                    }),
              ElementsAre("6d", "7a", "7b", "7c"));
  EXPECT_THAT(undone_, ElementsAre(6));
}

TEST_F(RouterVisitTest, ASlotThatMovesBeforeItIsReached) {
  bool moved = false;
  EXPECT_THAT(Visit(std::nullopt, 5, "b",
                    [&](Slot, std::string_view) {
                      if (!std::exchange(moved, true)) Move(6, kB);
                    }),
              ElementsAre("5b", "5c", "6b", "6d", "7a", "7b", "7c"));
}

TEST_F(RouterVisitTest, ABoundCallerPassesOverWhatLeaves) {
  bool moved = false;
  EXPECT_THAT(Visit(kA, 5, "",
                    [&](Slot slot, std::string_view key) {
                      if (slot == 6 && key == "c" && !std::exchange(moved, true)) Move(6, kB);
                    }),
              ElementsAre("5a", "5b", "5c", "7a", "7b", "7c"));
  EXPECT_THAT(Visit(kB, 5, "", [](Slot, std::string_view) {}), ElementsAre("6b", "6d"));
  Move(6, kA);
  EXPECT_THAT(Visit(kB, 5, "", [](Slot, std::string_view) {}), IsEmpty());
}

TEST_F(RouterVisitTest, AVisitorMayEndIt) {
  std::vector<std::string> seen;
  EXPECT_THAT(router_.VisitKeys(
                  std::nullopt, 0, "", kSlotCount - 1, "",
                  [&](Slot slot, std::string_view key, const ValueHeader&, std::string_view) {
                    seen.push_back(absl::StrCat(slot, std::string(key)));
                    return slot == 6 && key == "b" ? Router::Visit::kEnd : Router::Visit::kNextKey;
                  },
                  [](Slot) { FAIL(); }),
              IsOk());
  EXPECT_THAT(seen, ElementsAre("5a", "5b", "5c", "6a", "6b"));
}

// ---- Clears ----

TEST_F(RouterVisitTest, ClearsWhatTheCallerMayReach) {
  Move(6, kB);
  Put(kB, 7, "foreign", "");
  EXPECT_THAT(router_.ClearSlots(kB), IsOk());
  EXPECT_EQ(Stored(kB, 6, "d"), std::nullopt);
  EXPECT_EQ(Stored(kB, 7, "foreign"), "") << "of a slot that is another shard's";
  EXPECT_THAT(Visit(std::nullopt, 5, "", [](Slot, std::string_view) {}),
              ElementsAre("5a", "5b", "5c", "7a", "7b", "7c"));
  EXPECT_THAT(router_.ClearSlots(std::nullopt), IsOk());
  EXPECT_THAT(Visit(std::nullopt, 5, "", [](Slot, std::string_view) {}), IsEmpty());
  EXPECT_EQ(Stored(kA, 6, "a"), "") << "of a slot that has left";
}

TEST_F(RouterVisitTest, ASlotThatMovesIsClearedWhereItIs) {
  // Before the first clear is evaluated, and before the second is.
  clock_.CallBack([&] { Move(6, kB); });
  EXPECT_THAT(router_.ClearSlots(std::nullopt), IsOk());
  EXPECT_THAT(Visit(std::nullopt, 5, "", [](Slot, std::string_view) {}), IsEmpty());
  EXPECT_EQ(Stored(kB, 6, "b"), std::nullopt);
  EXPECT_EQ(Stored(kA, 6, "a"), "");
}

TEST_F(RouterTest, WhatIsNotServedCannotBeCleared) {
  constexpr ShardId kC(5);
  router_.AddShard(kC, nullptr, absl::UnavailableError("its disk is away"));
  Move(7, kC);
  EXPECT_THAT(router_.ClearSlots(std::nullopt), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(router_.ClearSlots(kA), IsOk());
}

// ---- What is counted ----

// The time that a leader announces was read a moment before; readers meanwhile were ahead of it.
TEST_F(RouterTest, WhatAReaderFoundExpiredStaysSo) {
  LambdaMutation put([&](GroupView* view, std::string* effects) {
    AppendPut(6, "key", {ValueType::kString, view->now_ms() + 3}, "value", effects);
    return absl::OkStatus();
  });
  ASSERT_THAT(router_.Write(std::nullopt, 6, &put), IsOk());
  ASSERT_THAT(Read(std::nullopt, 6, "key"), IsOk());
  absl::Status before, during;
  LambdaMutation look([&](GroupView*, std::string*) {
    during = Read(std::nullopt, 6, "key").status();
    return absl::OkStatus();
  });
  clock_.CallBack([&] {
    clock_.Advance(absl::Milliseconds(5));
    before = Read(std::nullopt, 6, "key").status();
  });
  ASSERT_THAT(router_.Write(std::nullopt, 6, &look), IsOk());
  EXPECT_THAT(before, HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(during, HasCode(absl::StatusCode::kNotFound));
}

TEST_F(RouterTest, ABarrierWaitsForTheWritesBeforeIt) {
  Move(2, kB);
  absl::Notification hanging, go_on;
  std::atomic<bool> passed{false};
  std::thread leader([&] {
    LambdaMutation hang([&](GroupView*, std::string* effects) {
      hanging.Notify();
      go_on.WaitForNotification();
      *effects = PutEffect(1, "key", "x");
      return absl::OkStatus();
    });
    EXPECT_THAT(router_.Write(std::nullopt, 1, &hang), IsOk());
  });
  hanging.WaitForNotification();
  EXPECT_THAT(router_.Barrier(std::nullopt, {2, 2}), IsOk()) << "of another shard";
  std::thread waiting([&] {
    EXPECT_THAT(router_.Barrier(kA, {0, kSlotCount - 1}), IsOk());
    EXPECT_EQ(Stored(kA, 1, "key"), "x");
    passed = true;
  });
  EXPECT_FALSE(passed);
  go_on.Notify();
  leader.join();
  waiting.join();
}

TEST_F(RouterTest, CountsWhatWasDone) {
  Move(7, kB);
  std::deque<LambdaMutation> mutations;
  std::vector<Router::SlotWrite> writes;
  for (int i = 0; i < 10; ++i) {
    const auto slot = static_cast<Slot>(i % 2 == 0 ? 6 : 7);
    mutations.push_back(Putting(slot, absl::StrCat(i), "x"));
    writes.push_back({slot, &mutations.back(), {}, {}});
  }
  router_.WriteMany(std::nullopt, absl::MakeSpan(writes));
  EXPECT_EQ(StatsOf(kA).writes, 5u);
  EXPECT_EQ(StatsOf(kA).bytes_written, 5 * PutEffect(6, "0", "x").size());
  EXPECT_EQ(StatsOf(kA).write_latency.count(), 1u) << "one call of that shard";
  EXPECT_EQ(StatsOf(kB).writes, 5u);
  // What changes nothing, or is refused, is none.
  LambdaMutation nothing([](GroupView*, std::string*) { return absl::OkStatus(); });
  LambdaMutation refused([](GroupView*, std::string*) { return absl::OutOfRangeError(""); });
  EXPECT_THAT(router_.Write(std::nullopt, 6, &nothing), IsOk());
  EXPECT_THAT(router_.Write(std::nullopt, 6, &refused), HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(StatsOf(kA).writes, 5u);
  SlotStats slot;
  router_.AddTo(6, &slot);
  EXPECT_EQ(slot.writes, 5u);
}

TEST_F(RouterTest, CountsNoWriteThatWasNotDone) {
  a_.hook->Fail(FileOp::kReserve, absl::ResourceExhaustedError("no space"));
  const std::string large(100000, 'v');
  LambdaMutation one = Putting(6, "key", large), many = Putting(6, "key", large);
  EXPECT_THAT(router_.Write(std::nullopt, 6, &one), HasCode(absl::StatusCode::kResourceExhausted));
  std::vector<Router::SlotWrite> writes = {{6, &many, {}, {}}};
  router_.WriteMany(std::nullopt, absl::MakeSpan(writes));
  EXPECT_THAT(writes[0].status, HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(StatsOf(kA).writes, 0u);
  EXPECT_EQ(StatsOf(kA).bytes_written, 0u);
  SlotStats slot;
  router_.AddTo(6, &slot);
  EXPECT_EQ(slot.writes, 0u);
}

}  // namespace
}  // namespace slotkv
