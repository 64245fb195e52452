#include "engine/expiry_clock.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/fake_clock.h"

namespace slotkv {
namespace {

TEST(ExpiryClockTest, BeginsAtWallTimeAndAdvances) {
  ManualClock clock(5000);
  const ExpiryClock expiry(&clock, 0);
  EXPECT_EQ(expiry.NowMs(), 5000u);
  clock.Advance(absl::Milliseconds(1500));
  EXPECT_EQ(expiry.NowMs(), 6500u);
  clock.Advance(absl::Microseconds(999));
  EXPECT_EQ(expiry.NowMs(), 6500u);
}

TEST(ExpiryClockTest, AWallClockThatStepsWhileOpenChangesNothing) {
  ManualClock clock(5000);
  const ExpiryClock expiry(&clock, 0);
  clock.SetWallMs(1000);
  EXPECT_EQ(expiry.NowMs(), 5000u);
  clock.SetWallMs(9'000'000);
  EXPECT_EQ(expiry.NowMs(), 5000u);
  clock.Advance(absl::Milliseconds(10));
  EXPECT_EQ(expiry.NowMs(), 5010u);
}

TEST(ExpiryClockTest, AWallClockThatStepsBackBetweenOpensChangesNothing) {
  ManualClock clock(5000);
  const ExpiryClock expiry(&clock, 80000);
  EXPECT_EQ(expiry.NowMs(), 80000u);
  clock.Advance(absl::Milliseconds(1));
  EXPECT_EQ(expiry.NowMs(), 80001u);
  EXPECT_EQ(ExpiryClock(&clock, 4999).NowMs(), 5001u) << "a floor below wall time is no news";
}

TEST(ExpiryClockTest, AWallClockBefore1970IsZero) {
  ManualClock clock(0);
  clock.Advance(absl::Hours(-10));
  EXPECT_EQ(ExpiryClock(&clock, 0).NowMs(), 0u);
  EXPECT_EQ(ExpiryClock(&clock, 7).NowMs(), 7u);
}

TEST(ExpiryClockTest, IsRaisedAndAdvancesFromThere) {
  ManualClock clock(5000);
  ExpiryClock expiry(&clock, 0);
  clock.Advance(absl::Milliseconds(10));
  expiry.RaiseTo(5010);
  EXPECT_EQ(expiry.NowMs(), 5010u);
  expiry.RaiseTo(9000);
  EXPECT_EQ(expiry.NowMs(), 9000u);
  clock.Advance(absl::Milliseconds(5));
  expiry.RaiseTo(100);
  EXPECT_EQ(expiry.NowMs(), 9005u);
}

TEST(ExpiryClockTest, ObservedTimeOnlyGrows) {
  ManualClock clock;
  ExpiryClock expiry(&clock, 0);
  EXPECT_EQ(expiry.observed_ms(), 0u);
  expiry.NoteObserved(10);
  expiry.NoteObserved(5);
  EXPECT_EQ(expiry.observed_ms(), 10u);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&expiry, t] {
      for (uint64_t i = 0; i < 10000; ++i) expiry.NoteObserved(i * 4 + t);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(expiry.observed_ms(), 39999u);
}

}  // namespace
}  // namespace slotkv
