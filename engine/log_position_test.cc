// A log's place among the records of its shard: one that begins in the middle, pins on what it may
// forget, and the names of its records.
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "engine/log.h"
#include "engine/log_test_support.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;
constexpr absl::StatusCode kDataLoss = absl::StatusCode::kDataLoss;

const LogPosition kPrevious = {ShardEpoch(4), LogIndex(1000)};

class LogPositionTest : public testing::TestWithParam<LogIo> {
 protected:
  LogPositionTest() {
    t_.options.io = GetParam();
    t_.options.max_segment_bytes = 4096;  // about ten records
  }

  void ExpectBeginsBehindPrevious() {
    EXPECT_EQ(t_.log->last(), kPrevious);
    EXPECT_EQ(t_.log->first(), LogIndex(1001));
    EXPECT_EQ(t_.log->synced(), LogIndex(1000));
    EXPECT_EQ(t_.log->unsynced_since_ms(), 0u);
    EXPECT_THAT(*t_.ReadAll(), IsEmpty());
    EXPECT_THAT(t_.ReadFrom(LogIndex(1000)), HasCode(kDataLoss));
  }

  TestLog t_;
};

TEST_P(LogPositionTest, ALogThatBeginsInTheMiddleSurvivesOpens) {
  ASSERT_THAT(t_.Create(kPrevious, 7000), IsOk());
  ExpectBeginsBehindPrevious();
  // More than once: each adds an empty segment, or drops the one before.
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(t_.Open(), IsOk());
    ExpectBeginsBehindPrevious();
    EXPECT_EQ(t_.recovery.last, kPrevious);
    EXPECT_EQ(t_.recovery.first, LogIndex(1001));
    EXPECT_EQ(t_.recovery.highest_clock_ms, 7000u);
    ASSERT_THAT(t_.Sync(), IsOk());
    ASSERT_THAT(t_.log->TruncateFront(LogIndex(1000)), IsOk());
  }
  t_.log.reset();
  LogRecovery recovery;
  const auto read =
      Log::OpenForReading(&t_.disk, &t_.workers, t_.directory, t_.identity, t_.options, &recovery);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(recovery.last, kPrevious);
  EXPECT_EQ(recovery.first, LogIndex(1001));
  EXPECT_EQ((*read)->last(), kPrevious);
}

TEST_P(LogPositionTest, ALogThatBeginsInTheMiddleIsALogLikeAnyOther) {
  ASSERT_THAT(t_.Create(kPrevious), IsOk());
  t_.epoch = ShardEpoch(3);
  EXPECT_DEATH(t_.Append({"a"}).IgnoreError(), "check failed") << "epochs never fall";
  t_.epoch = ShardEpoch(4);
  ASSERT_THAT(t_.Append({"a"}), IsOk());
  EXPECT_EQ(t_.log->last(), (LogPosition{ShardEpoch(4), LogIndex(1001)}));
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_THAT(*t_.ReadAll(), ElementsAre("a"));
  ASSERT_THAT(t_.AppendMany(99), IsOk());
  EXPECT_THAT(t_.ReadFrom(LogIndex(1001)).value(), SizeIs(100));
  ASSERT_THAT(t_.Sync(), IsOk());
  ASSERT_THAT(t_.log->TruncateFront(LogIndex(1050)), IsOk());
  const LogIndex first = t_.log->first();
  EXPECT_GT(first, LogIndex(1001));
  EXPECT_LE(first, LogIndex(1051));
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.recovery.first, first);
  EXPECT_EQ(t_.recovery.last, (LogPosition{ShardEpoch(4), LogIndex(1100)}));
}

TEST_P(LogPositionTest, APinKeepsRecordsUntilItAdvancesOrGoes) {
  ASSERT_THAT(t_.Create(), IsOk());
  ASSERT_THAT(t_.AppendMany(100), IsOk());
  ASSERT_THAT(t_.Sync(), IsOk());
  {
    absl::StatusOr<Log::Pin> pin = t_.log->PinFrom(LogIndex(30));
    ASSERT_THAT(pin, IsOk());
    absl::StatusOr<Log::Pin> later = t_.log->PinFrom(LogIndex(60));
    ASSERT_THAT(later, IsOk());
    ASSERT_THAT(t_.log->TruncateFront(LogIndex(100)), IsOk());
    EXPECT_LE(t_.log->first(), LogIndex(30));
    EXPECT_THAT(t_.ReadFrom(LogIndex(30)).value(), SizeIs(71));

    pin->Advance(LogIndex(80));
    EXPECT_EQ(pin->from(), LogIndex(80));
    pin->Advance(LogIndex(20));
    EXPECT_EQ(pin->from(), LogIndex(80)) << "a pin went back";
    ASSERT_THAT(t_.log->TruncateFront(LogIndex(100)), IsOk());
    EXPECT_GT(t_.log->first(), LogIndex(30));
    EXPECT_LE(t_.log->first(), LogIndex(60)) << "the other pin's";

    Log::Pin moved = *std::move(pin);
    *later = std::move(moved);  // lets go of what it kept
    EXPECT_EQ(later->from(), LogIndex(80));
    ASSERT_THAT(t_.log->TruncateFront(LogIndex(100)), IsOk());
    EXPECT_GT(t_.log->first(), LogIndex(60));
    EXPECT_LE(t_.log->first(), LogIndex(80));
  }
  ASSERT_THAT(t_.log->TruncateFront(LogIndex(100)), IsOk());
  EXPECT_EQ(t_.log->segment_count(), 1u);
}

TEST_P(LogPositionTest, APinIsOnlyOnWhatIsHereOrNext) {
  ASSERT_THAT(t_.Create(kPrevious), IsOk());
  EXPECT_THAT(t_.log->PinFrom(LogIndex(1000)), HasError(kDataLoss, t_.directory));
  EXPECT_THAT(t_.log->PinFrom(LogIndex(1001)), IsOk());
  EXPECT_THAT(t_.log->PinFrom(LogIndex(1002)),
              HasError(absl::StatusCode::kOutOfRange, t_.directory));
  EXPECT_EQ(t_.log->PinFrom(std::nullopt)->from(), LogIndex(1001));
  // One on what is appended later.
  absl::StatusOr<Log::Pin> pin = t_.log->PinFrom(LogIndex(1001));
  t_.epoch = ShardEpoch(4);
  ASSERT_THAT(t_.AppendMany(100), IsOk());
  ASSERT_THAT(t_.Sync(), IsOk());
  ASSERT_THAT(t_.log->TruncateFront(LogIndex(1100)), IsOk());
  EXPECT_THAT(t_.ReadFrom(LogIndex(1001)).value(), SizeIs(100));
}

TEST_P(LogPositionTest, PinsBesideTruncation) {
  ASSERT_THAT(t_.Create(), IsOk());
  absl::Notification done;
  std::thread truncating([&] {
    while (!done.HasBeenNotified()) {
      EXPECT_THAT(t_.Sync(), IsOk());
      EXPECT_THAT(t_.log->TruncateFront(t_.log->last().index), IsOk());
    }
  });
  std::thread pinning([&] {
    while (!done.HasBeenNotified()) {
      absl::StatusOr<Log::Pin> pin = t_.log->PinFrom(std::nullopt);
      ASSERT_THAT(pin, IsOk());
      EXPECT_THAT(t_.log->PositionOf(LogIndex(pin->from().value() - 1)), IsOk());
      EXPECT_THAT(t_.ReadFrom(pin->from()), IsOk());
      pin->Advance(t_.log->last().index);
    }
  });
  EXPECT_THAT(t_.AppendMany(500), IsOk());
  done.Notify();
  truncating.join();
  pinning.join();
}

TEST_P(LogPositionTest, PositionOfEveryRecordThatIsKnown) {
  ASSERT_THAT(t_.Create(), IsOk());
  EXPECT_EQ(*t_.log->PositionOf(LogIndex(0)), LogPosition());
  EXPECT_THAT(t_.log->PositionOf(LogIndex(1)), HasError(kNotFound, t_.directory));
  // Epochs that change within segments, at their ends, and not for several of them.
  std::vector<ShardEpoch> epochs = {ShardEpoch()};
  for (uint64_t i = 1; i <= 120; ++i) {
    t_.epoch = ShardEpoch(i < 40 ? 1 + i / 3 : i < 100 ? 20 : i);
    ASSERT_THAT(t_.AppendMany(1), IsOk());
    epochs.push_back(t_.epoch);
  }
  ASSERT_GT(t_.log->segment_count(), 4u);
  for (int opens = 0; opens < 3; ++opens) {
    ASSERT_THAT(t_.Sync(), IsOk());
    ASSERT_THAT(t_.log->TruncateFront(LogIndex(static_cast<uint64_t>(30 * opens))), IsOk());
    const uint64_t before_first = t_.log->first().value() - 1;
    EXPECT_EQ(before_first == 0, opens == 0);
    for (uint64_t i = 0; i < epochs.size(); ++i) {
      const absl::StatusOr<LogPosition> position = t_.log->PositionOf(LogIndex(i));
      if (i < before_first) {
        EXPECT_THAT(position, HasCode(kNotFound)) << i;
      } else {
        ASSERT_THAT(position, IsOk()) << i;
        EXPECT_EQ(*position, (LogPosition{epochs[i], LogIndex(i)}));
      }
    }
    EXPECT_THAT(t_.log->PositionOf(LogIndex(121)), HasCode(kNotFound));
    ASSERT_THAT(t_.Open(), IsOk());
  }
}

TEST_P(LogPositionTest, PositionOfTheRecordThatTheLogBeginsBehind) {
  ASSERT_THAT(t_.Create(kPrevious), IsOk());
  EXPECT_EQ(*t_.log->PositionOf(LogIndex(1000)), kPrevious);
  EXPECT_THAT(t_.log->PositionOf(LogIndex(999)), HasCode(kNotFound));
  EXPECT_THAT(t_.log->PositionOf(LogIndex(0)), HasCode(kNotFound));
  t_.epoch = ShardEpoch(9);
  ASSERT_THAT(t_.Append({"a", "b"}), IsOk());
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(*t_.log->PositionOf(LogIndex(1000)), kPrevious);
  EXPECT_EQ(*t_.log->PositionOf(LogIndex(1001)), (LogPosition{ShardEpoch(9), LogIndex(1001)}));
}

INSTANTIATE_TEST_SUITE_P(Io, LogPositionTest, testing::Values(LogIo::kMapped, LogIo::kWrite),
                         [](const testing::TestParamInfo<LogIo>& info) {
                           return info.param == LogIo::kMapped ? "Mapped" : "Write";
                         });

}  // namespace
}  // namespace slotkv
