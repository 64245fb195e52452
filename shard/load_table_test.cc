#include "shard/load_table.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace slotkv {
namespace {

using Outcome = LoadTable::Outcome;

class LoadTableTest : public testing::Test {
 protected:
  // The lead of a load that begins at once.
  std::unique_ptr<LoadTable::Lead> Lead(Slot slot, std::string_view key) {
    auto lead = std::make_unique<LoadTable::Lead>();
    EXPECT_EQ(table_.Begin(slot, key, absl::InfinitePast(), lead.get()), Outcome::kLeads);
    return lead;
  }
  // Whether a load of the key is under way.
  bool Loading(Slot slot, std::string_view key) {
    LoadTable::Lead lead;
    return table_.Begin(slot, key, absl::InfinitePast(), &lead) == Outcome::kTimedOut;
  }
  void AwaitWaits(uint64_t waits) {
    while (table_.waits() < waits) std::this_thread::yield();
  }

  LoadTable table_;
};

TEST_F(LoadTableTest, OneLeadsUntilItsEnd) {
  auto lead = Lead(1, "key");
  EXPECT_TRUE(Loading(1, "key"));
  EXPECT_FALSE(Loading(1, "other"));
  EXPECT_FALSE(Loading(1, ""));
  EXPECT_FALSE(Loading(65, "other")) << "the same stripe";
  lead.reset();
  EXPECT_FALSE(Loading(1, "key"));
}

TEST_F(LoadTableTest, ALeadThatNeverBeganEndsNothing) {
  auto lead = Lead(1, "key");
  { LoadTable::Lead never; }
  {
    LoadTable::Lead late;
    table_.Begin(1, "key", absl::InfinitePast(), &late);
  }
  EXPECT_TRUE(Loading(1, "key"));
}

TEST_F(LoadTableTest, OthersWaitForTheEnd) {
  auto lead = Lead(1, "key");
  constexpr int kWaiters = 4;
  std::atomic<int> waited{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kWaiters; ++i) {
    threads.emplace_back([&] {
      LoadTable::Lead mine;
      EXPECT_EQ(table_.Begin(1, "key", absl::InfiniteFuture(), &mine), Outcome::kWaited);
      ++waited;
    });
  }
  AwaitWaits(kWaiters);
  EXPECT_EQ(waited, 0);
  // Of another key: nobody's business.
  Lead(1, "other").reset();
  EXPECT_EQ(waited, 0);
  lead.reset();
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(Loading(1, "key")) << "those who waited do not lead";
}

// A new load of the key may have begun before a waiter wakes up: it waited for the first.
TEST_F(LoadTableTest, TheNextLoadIsAnother) {
  auto lead = Lead(1, "key");
  absl::Notification done;
  std::thread waiter([&] {
    LoadTable::Lead mine;
    EXPECT_EQ(table_.Begin(1, "key", absl::InfiniteFuture(), &mine), Outcome::kWaited);
    done.Notify();
  });
  AwaitWaits(1);
  lead.reset();
  lead = Lead(1, "key");
  done.WaitForNotification();
  EXPECT_TRUE(Loading(1, "key"));
  waiter.join();
}

TEST_F(LoadTableTest, AWaitMeetsItsDeadline) {
  auto lead = Lead(1, "key");
  LoadTable::Lead mine;
  const absl::Time deadline = absl::Now() + absl::Milliseconds(20);
  EXPECT_EQ(table_.Begin(1, "key", deadline, &mine), Outcome::kTimedOut);
  EXPECT_GE(absl::Now(), deadline);
  lead.reset();
  EXPECT_FALSE(Loading(1, "key"));
}

TEST_F(LoadTableTest, AWriteOvertakesTheLoadOfItsKey) {
  auto a = Lead(1, "a"), b = Lead(1, "b"), same_stripe = Lead(65, "c"), empty = Lead(2, "");
  EXPECT_FALSE(a->overtaken());
  table_.NoteWrite(1, "a");
  table_.NoteWrite(1, "a");
  table_.NoteWrite(1, "none");
  table_.NoteWrite(65, "d");
  table_.NoteWrite(3, "nobody is in this stripe");
  EXPECT_TRUE(a->overtaken());
  EXPECT_FALSE(b->overtaken());
  EXPECT_FALSE(same_stripe->overtaken());
  EXPECT_FALSE(empty->overtaken());
  table_.NoteWrite(2, "");
  EXPECT_TRUE(empty->overtaken());
}

TEST_F(LoadTableTest, OnlyTheLoadThatIsUnderWay) {
  table_.NoteWrite(1, "key");
  auto lead = Lead(1, "key");
  EXPECT_FALSE(lead->overtaken()) << "by a write before it";
  table_.NoteWrite(1, "key");
  lead.reset();
  lead = Lead(1, "key");
  EXPECT_FALSE(lead->overtaken()) << "by a write during the load before";
}

TEST_F(LoadTableTest, WritesOfManyKeys) {
  auto ab = Lead(1, "ab"), b = Lead(1, "b"), a = Lead(9999, "a");
  table_.NoteWrites([](std::string_view key) { return key.substr(0, 1) == "a"; });
  EXPECT_TRUE(ab->overtaken());
  EXPECT_TRUE(a->overtaken());
  EXPECT_FALSE(b->overtaken());
  table_.NoteWrites([](std::string_view) { return true; });
  EXPECT_TRUE(b->overtaken());
}

TEST_F(LoadTableTest, ManyThreadsOneLeadAtATime) {
  constexpr int kThreads = 8, kEach = 300;
  std::atomic<int> leading{0};
  int led = 0;  // by the one who leads
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach;) {
        LoadTable::Lead lead;
        const Outcome outcome = table_.Begin(1, "key", absl::InfiniteFuture(), &lead);
        ASSERT_NE(outcome, Outcome::kTimedOut);
        if (outcome == Outcome::kWaited) continue;
        ASSERT_EQ(++leading, 1);
        ++i;
        ++led;
        --leading;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(led, kThreads * kEach);
  EXPECT_FALSE(Loading(1, "key"));
}

}  // namespace
}  // namespace slotkv
