// The log while nothing is damaged: segments, reading, truncation, full disks, failing syncs.
#include "engine/log.h"

#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "engine/log_test_support.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class LogTest : public testing::TestWithParam<LogIo> {
 protected:
  LogTest() { t_.options.io = GetParam(); }

  TestLog t_;
};

TEST_P(LogTest, NewLogIsEmpty) {
  ASSERT_THAT(t_.Create(), IsOk());
  EXPECT_EQ(t_.log->last(), LogPosition());
  EXPECT_EQ(t_.log->first(), LogIndex(1));
  EXPECT_EQ(t_.log->synced(), LogIndex(0));
  EXPECT_EQ(t_.log->unsynced_since_ms(), 0u);
  EXPECT_EQ(t_.log->segment_count(), 1u);
  EXPECT_EQ(t_.log->sealed_bytes(), 0u);
  EXPECT_THAT(*t_.ReadAll(), IsEmpty());
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.recovery.last, LogPosition());
  EXPECT_EQ(t_.recovery.first, LogIndex(1));
  EXPECT_EQ(t_.recovery.highest_clock_ms, 0u);
}

TEST_P(LogTest, RecordsComeBackOverManySegments) {
  t_.options.max_segment_bytes = 32768;
  ASSERT_THAT(t_.Create(), IsOk());
  std::vector<std::string> expected;
  for (int i = 0; i < 200; ++i) {
    std::vector<std::string> group;
    for (int j = 0; j <= i % 4; ++j) {
      group.emplace_back(static_cast<size_t>(i * 7 % 500), static_cast<char>('a' + i % 26));
    }
    ASSERT_THAT(t_.Append(group), IsOk());
    expected.insert(expected.end(), group.begin(), group.end());
  }
  EXPECT_GT(t_.log->segment_count(), 3u);
  EXPECT_GT(t_.log->sealed_bytes(), 0u);
  EXPECT_EQ(t_.log->last().index.value(), expected.size());
  EXPECT_EQ(*t_.ReadAll(), expected);
  const std::vector<std::string> tail(expected.begin() + 299, expected.end());
  EXPECT_EQ(*t_.ReadFrom(LogIndex(300)), tail);
  EXPECT_THAT(*t_.ReadFrom(t_.log->last().index), ElementsAre(expected.back()));
  EXPECT_THAT(*t_.ReadFrom(t_.log->last().index.Next()), IsEmpty());

  // Never synced: what a killed process leaves.
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.recovery.last.index.value(), expected.size());
  EXPECT_EQ(t_.recovery.last.epoch, t_.epoch);
  EXPECT_EQ(t_.recovery.highest_clock_ms, 1000u);
  EXPECT_EQ(*t_.ReadAll(), expected);
  EXPECT_EQ(t_.log->synced(), t_.recovery.last.index) << "Open makes durable what it found";
}

TEST_P(LogTest, EveryFieldOfARecordComesBack) {
  ASSERT_THAT(t_.Create(), IsOk());
  Record record;
  record.position = {ShardEpoch(5), LogIndex(1)};
  record.commit = LogIndex(0);
  record.clock_ms = 123;
  record.kind = RecordKind::kEpochStart;
  ASSERT_THAT(t_.log->Reserve(EncodedRecordSize(0), absl::InfiniteDuration()), IsOk());
  ASSERT_THAT(t_.log->Append({record}, 123), IsOk());
  ASSERT_THAT(t_.Open(), IsOk());
  int seen = 0;
  ASSERT_THAT(t_.log->Read(LogIndex(1),
                           [&](const Record& read) {
                             ++seen;
                             EXPECT_EQ(read.position, record.position);
                             EXPECT_EQ(read.commit, record.commit);
                             EXPECT_EQ(read.clock_ms, 123u);
                             EXPECT_EQ(read.kind, RecordKind::kEpochStart);
                             EXPECT_TRUE(read.payload.empty());
                             return absl::OkStatus();
                           }),
              IsOk());
  EXPECT_EQ(seen, 1);
}

TEST_P(LogTest, EachOpenStartsASegment) {
  ASSERT_THAT(t_.Create(), IsOk());
  std::vector<std::string> expected;
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(t_.Append({std::to_string(i)}), IsOk());
    expected.push_back(std::to_string(i));
    ASSERT_THAT(t_.Open(), IsOk());
    EXPECT_EQ(t_.log->segment_count(), static_cast<size_t>(i + 2));
    EXPECT_EQ(*t_.ReadAll(), expected);
  }
  // The sealed ones stay as they are.
  EXPECT_THAT(t_.Files(), SizeIs(6));
}

TEST_P(LogTest, EpochsNeverFallNorIndexesSkip) {
  ASSERT_THAT(t_.Create(), IsOk());
  t_.epoch = ShardEpoch(2);
  ASSERT_THAT(t_.Append({"a"}), IsOk());
  t_.epoch = ShardEpoch(1);
  EXPECT_DEATH(t_.Append({"b"}).IgnoreError(), "check failed");
  Record record;
  record.position = {ShardEpoch(2), LogIndex(3)};
  EXPECT_DEATH(t_.log->Append({record}, 0).IgnoreError(), "check failed");
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_DEATH(t_.Append({"b"}).IgnoreError(), "check failed") << "forgotten by a reopen";
}

TEST_P(LogTest, SyncSaysWhatIsDurable) {
  ASSERT_THAT(t_.Create(), IsOk());
  ASSERT_THAT(t_.Append({"a"}), IsOk());
  t_.now_ms = 2000;
  ASSERT_THAT(t_.Append({"b"}), IsOk());
  EXPECT_EQ(t_.log->synced(), LogIndex(0));
  EXPECT_EQ(t_.log->unsynced_since_ms(), 1000u);
  const int syncs = t_.hook->done(FileOp::kSync);
  ASSERT_THAT(t_.Sync(), IsOk());
  EXPECT_EQ(t_.hook->done(FileOp::kSync), syncs + 1);
  EXPECT_EQ(t_.log->synced(), LogIndex(2));
  EXPECT_EQ(t_.log->unsynced_since_ms(), 0u);
  ASSERT_THAT(t_.Sync(), IsOk());
  EXPECT_EQ(t_.hook->done(FileOp::kSync), syncs + 1) << "nothing to sync";
}

TEST_P(LogTest, SyncCoversSealedSegments) {
  ASSERT_THAT(t_.Create(), IsOk());
  ASSERT_THAT(t_.AppendMany(80), IsOk());
  const size_t segments = t_.log->segment_count();
  ASSERT_GT(segments, 2u);
  std::vector<std::string> synced;
  t_.hook->SetAfter([&](FileOp op, const std::string& path) {
    if (op == FileOp::kSync) synced.push_back(path);
  });
  ASSERT_THAT(t_.Sync(), IsOk());
  EXPECT_THAT(synced, SizeIs(segments));
  t_.hook->SetAfter(nullptr);
}

// A disk whose syncs hang bounds what may be lost by the power failing; one that syncs does not.
TEST_P(LogTest, UnsyncedSegmentsAreBounded) {
  ASSERT_THAT(t_.Create(), IsOk());
  const auto go_on = std::make_shared<absl::Notification>();
  t_.hook->SetBefore([go_on](FileOp op, const std::string&) {
    if (op == FileOp::kSync) go_on->WaitForNotification();
    return absl::OkStatus();
  });
  absl::Status status;
  for (int i = 0; status.ok() && i < 10000; ++i) {
    // Until then a reservation in the background may take its time.
    t_.timeout = t_.log->segment_count() < 9 ? absl::Seconds(60) : absl::Milliseconds(10);
    status = t_.AppendMany(1);
  }
  EXPECT_THAT(status, HasCode(absl::StatusCode::kUnavailable));
  EXPECT_EQ(t_.log->segment_count(), 9u);
  go_on->Notify();
  t_.timeout = absl::Seconds(60);
  EXPECT_THAT(t_.AppendMany(1000), IsOk()) << "the log syncs itself when it must";
}

TEST_P(LogTest, OpenForReadingChangesNothing) {
  ASSERT_THAT(t_.Create(), IsOk());
  ASSERT_THAT(t_.AppendMany(30), IsOk());
  t_.log.reset();
  SetFileBytes(JoinPath(t_.directory, SegmentName(99)), std::string(4096, '\0'));  // a spare
  std::map<std::string, std::string> before, after;
  for (const std::string& path : t_.Files()) before[path] = BytesOf(path);
  t_.hook->SetBefore([](FileOp op, const std::string&) {
    return op == FileOp::kList || op == FileOp::kRead || op == FileOp::kOpen
               ? absl::OkStatus()
               : absl::InternalError("this is no reading");
  });
  auto log = Log::OpenForReading(&t_.disk, &t_.workers, t_.directory, t_.identity, t_.options,
                                 &t_.recovery);
  ASSERT_THAT(log, IsOk());
  t_.log = *std::move(log);
  EXPECT_THAT(t_.ReadAll().value(), SizeIs(30));
  for (const std::string& path : t_.Files()) after[path] = BytesOf(path);
  EXPECT_EQ(after, before);
  t_.hook->Heal();
  ASSERT_THAT(t_.log->StartAppending(), IsOk());
  ASSERT_THAT(t_.AppendMany(1), IsOk());
  EXPECT_THAT(t_.ReadAll().value(), SizeIs(31));
}

// What failed Opens leave does not pile up.
TEST_P(LogTest, EmptySegmentsGo) {
  ASSERT_THAT(t_.Create(), IsOk());
  ASSERT_THAT(t_.Append({"a"}), IsOk());
  for (int i = 0; i < 10; ++i) ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.log->segment_count(), 2u);
  EXPECT_THAT(t_.Files(), SizeIs(2));
  EXPECT_THAT(*t_.ReadAll(), ElementsAre("a"));
}

TEST_P(LogTest, SyncBesideAppend) {
  ASSERT_THAT(t_.Create(), IsOk());
  absl::Notification done;
  std::thread syncing([&] {
    while (!done.HasBeenNotified()) {
      const LogIndex before = t_.log->last().index;
      EXPECT_THAT(t_.log->Sync(1), IsOk());
      EXPECT_GE(t_.log->synced(), before);
    }
  });
  std::thread marking([&] {
    for (uint64_t clock = 1; !done.HasBeenNotified(); ++clock) {
      EXPECT_THAT(t_.log->NoteClock(clock), IsOk());
    }
  });
  t_.timeout = absl::Seconds(60);
  EXPECT_THAT(t_.AppendMany(500), IsOk());
  done.Notify();
  syncing.join();
  marking.join();
  EXPECT_THAT(t_.ReadAll().value(), SizeIs(500));
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_THAT(t_.ReadAll().value(), SizeIs(500));
}

TEST_P(LogTest, TruncateFrontKeepsWhatIsAbove) {
  ASSERT_THAT(t_.Create(), IsOk());
  ASSERT_THAT(t_.AppendMany(100), IsOk());
  const std::vector<std::string> all = *t_.ReadAll();
  ASSERT_THAT(t_.log->TruncateFront(LogIndex(50)), IsOk());
  EXPECT_EQ(t_.log->first(), LogIndex(1)) << "nothing is durable yet";
  ASSERT_THAT(t_.Sync(), IsOk());
  ASSERT_THAT(t_.log->TruncateFront(LogIndex(50)), IsOk());
  const LogIndex first = t_.log->first();
  EXPECT_GT(first, LogIndex(1));
  EXPECT_LE(first, LogIndex(51));
  EXPECT_THAT(t_.ReadFrom(LogIndex(1)), HasCode(absl::StatusCode::kDataLoss));
  const std::vector<std::string> rest(all.begin() + static_cast<int64_t>(first.value()) - 1,
                                      all.end());
  EXPECT_EQ(*t_.ReadAll(), rest);
  EXPECT_GE(t_.hook->done(FileOp::kDelete), 1);
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.recovery.first, first);
  EXPECT_EQ(*t_.ReadAll(), rest);
}

TEST_P(LogTest, TheLastRecordsNameIsNeverForgotten) {
  ASSERT_THAT(t_.Create(), IsOk());
  t_.epoch = ShardEpoch(4);
  ASSERT_THAT(t_.AppendMany(100), IsOk());
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(t_.Sync(), IsOk());
    ASSERT_THAT(t_.log->TruncateFront(LogIndex(100)), IsOk());
    // The newest that holds records, and the active one, whose header is not durable yet.
    EXPECT_LE(t_.log->segment_count(), 2u);
    ASSERT_THAT(t_.Open(), IsOk());
    EXPECT_EQ(t_.recovery.last.index, LogIndex(100));
    EXPECT_EQ(t_.recovery.last.epoch, ShardEpoch(4));
    EXPECT_EQ(t_.recovery.highest_clock_ms, 1000u);
  }
  ASSERT_THAT(t_.Append({"next"}), IsOk());
  ASSERT_THAT(t_.log->TruncateFront(LogIndex(100)), IsOk());
  EXPECT_LE(t_.log->first(), LogIndex(100));
  ASSERT_THAT(t_.Sync(), IsOk());
  ASSERT_THAT(t_.log->TruncateFront(LogIndex(100)), IsOk());
  EXPECT_EQ(t_.log->first(), LogIndex(101));
  EXPECT_THAT(*t_.ReadAll(), ElementsAre("next"));
}

TEST_P(LogTest, TruncateFrontLeavesWhatAReadUses) {
  ASSERT_THAT(t_.Create(), IsOk());
  ASSERT_THAT(t_.AppendMany(100), IsOk());
  ASSERT_THAT(t_.Sync(), IsOk());
  size_t seen = 0;
  ASSERT_THAT(t_.log->Read(LogIndex(30),
                           [&](const Record&) {
                             if (seen++ == 0) {
                               EXPECT_THAT(t_.log->TruncateFront(LogIndex(100)), IsOk());
                               EXPECT_GT(t_.log->first(), LogIndex(1));
                               EXPECT_LE(t_.log->first(), LogIndex(30));
                             }
                             return absl::OkStatus();
                           }),
              IsOk());
  EXPECT_EQ(seen, 71u);
  ASSERT_THAT(t_.log->TruncateFront(LogIndex(100)), IsOk());
  EXPECT_EQ(t_.log->segment_count(), 1u);
}

TEST_P(LogTest, AReadStopsAtItsVisitorsError) {
  ASSERT_THAT(t_.Create(), IsOk());
  ASSERT_THAT(t_.AppendMany(10), IsOk());
  int seen = 0;
  EXPECT_THAT(t_.log->Read(LogIndex(1),
                           [&](const Record&) {
                             return ++seen == 4 ? absl::CancelledError("enough") : absl::OkStatus();
                           }),
              HasError(absl::StatusCode::kCancelled, "enough"));
  EXPECT_EQ(seen, 4);
}

TEST_P(LogTest, ARecordLargerThanAnySegment) {
  ASSERT_THAT(t_.Create(), IsOk());
  ASSERT_THAT(t_.Append({"before"}), IsOk());
  const std::string huge(100000, 'h');
  ASSERT_THAT(t_.Append({huge}), IsOk());
  ASSERT_THAT(t_.Append({huge, huge}), IsOk());
  ASSERT_THAT(t_.Append({"after"}), IsOk());
  EXPECT_THAT(*t_.ReadAll(), ElementsAre("before", huge, huge, huge, "after"));
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_THAT(*t_.ReadAll(), ElementsAre("before", huge, huge, huge, "after"));
}

TEST_P(LogTest, ASpareIsReadyBeforeItIsNeeded) {
  t_.options.min_segment_bytes = size_t{256} << 10;
  t_.options.max_segment_bytes = size_t{1} << 20;
  ASSERT_THAT(t_.Create(), IsOk());
  absl::Notification reserved;
  t_.hook->SetAfter([&](FileOp op, const std::string&) {
    if (op == FileOp::kReserve) reserved.Notify();
  });
  ASSERT_THAT(t_.AppendMany(400), IsOk());  // well within one segment
  reserved.WaitForNotification();
  t_.hook->SetAfter(nullptr);
  EXPECT_EQ(t_.log->segment_count(), 1u);
  // A spare on disk is nobody's data: the next Open deletes it.
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_THAT(t_.Files(), SizeIs(2));
  EXPECT_THAT(t_.ReadAll().value(), SizeIs(400));
}

TEST_P(LogTest, FullDiskIsMetBeforeAnythingIsWritten) {
  ASSERT_THAT(t_.Create(), IsOk());
  t_.hook->Fail(FileOp::kReserve, absl::ResourceExhaustedError("no space"));
  absl::Status status;
  int appended = 0;
  for (; appended < 100; ++appended) {
    status = t_.AppendMany(1);
    if (!status.ok()) break;
  }
  EXPECT_THAT(status, HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(t_.log->last().index.value(), static_cast<uint64_t>(appended));
  EXPECT_THAT(t_.AppendMany(1), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(t_.Append({"small"}), IsOk()) << "what fits still goes in";
  EXPECT_THAT(t_.Sync(), IsOk());
  EXPECT_THAT(t_.Files(), SizeIs(1));
  t_.hook->Heal();
  EXPECT_THAT(t_.AppendMany(20), IsOk());
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.recovery.last.index.value(), static_cast<uint64_t>(appended) + 21);
}

TEST_P(LogTest, AFailedSyncIsForGood) {
  ASSERT_THAT(t_.Create(), IsOk());
  ASSERT_THAT(t_.Append({"a"}), IsOk());
  t_.hook->Fail(FileOp::kSync, absl::UnavailableError("broken disk"));
  EXPECT_THAT(t_.Sync(), HasError(absl::StatusCode::kUnavailable, "broken disk"));
  t_.hook->Heal();
  const int syncs = t_.hook->begun(FileOp::kSync);
  EXPECT_THAT(t_.Sync(), HasError(absl::StatusCode::kUnavailable, "broken disk"));
  EXPECT_EQ(t_.hook->begun(FileOp::kSync), syncs) << "a failed sync was tried again";
  EXPECT_THAT(t_.Append({"b"}), HasError(absl::StatusCode::kUnavailable, "broken disk"));
  EXPECT_THAT(t_.log->NoteClock(5000), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_EQ(t_.log->synced(), LogIndex(0));
  EXPECT_THAT(*t_.ReadAll(), ElementsAre("a")) << "reads go on";
}

TEST_P(LogTest, AFailedAppendIsForGood) {
  ASSERT_THAT(t_.Create(), IsOk());
  ASSERT_THAT(t_.Append({"a"}), IsOk());
  t_.hook->Fail(FileOp::kWrite, absl::UnavailableError("broken disk"));
  EXPECT_THAT(t_.Append({"b"}), HasError(absl::StatusCode::kUnavailable, "broken disk"));
  t_.hook->Heal();
  EXPECT_THAT(t_.Append({"b"}), HasError(absl::StatusCode::kUnavailable, "broken disk"));
  EXPECT_THAT(t_.Sync(), HasError(absl::StatusCode::kUnavailable, "broken disk"));
  EXPECT_THAT(*t_.ReadAll(), ElementsAre("a"));
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_THAT(*t_.ReadAll(), ElementsAre("a"));
}

TEST_P(LogTest, ASlowDiskMeetsTheDeadline) {
  ASSERT_THAT(t_.Create(), IsOk());
  const auto go_on = std::make_shared<absl::Notification>();
  t_.hook->SetBefore([go_on](FileOp op, const std::string&) {
    if (op == FileOp::kReserve) go_on->WaitForNotification();
    return absl::OkStatus();
  });
  t_.timeout = absl::Milliseconds(20);
  EXPECT_THAT(t_.AppendMany(100), HasCode(absl::StatusCode::kUnavailable));
  const uint64_t last = t_.log->last().index.value();
  go_on->Notify();
  t_.timeout = absl::Seconds(60);
  EXPECT_THAT(t_.AppendMany(100), IsOk());
  EXPECT_EQ(t_.log->last().index.value(), last + 100);
}

TEST_P(LogTest, NotedClockSurvives) {
  ASSERT_THAT(t_.Create(), IsOk());
  ASSERT_THAT(t_.log->NoteClock(5000), IsOk());
  ASSERT_THAT(t_.log->NoteClock(4000), IsOk()) << "never falls";
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.recovery.highest_clock_ms, 5000u);
  // Also when no record carries it on and the segment with the note goes.
  ASSERT_THAT(t_.AppendMany(30), IsOk());
  ASSERT_THAT(t_.Sync(), IsOk());
  ASSERT_THAT(t_.Open(), IsOk());
  ASSERT_THAT(t_.Append({"carries nothing on"}), IsOk());
  ASSERT_THAT(t_.Sync(), IsOk());
  ASSERT_THAT(t_.log->TruncateFront(LogIndex(30)), IsOk());
  EXPECT_EQ(t_.log->segment_count(), 1u);
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.recovery.highest_clock_ms, 5000u);
  ASSERT_THAT(t_.log->NoteClock(6000), IsOk());
  ASSERT_THAT(t_.Append({"a"}), IsOk());
  ASSERT_THAT(t_.Sync(), IsOk());
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.recovery.highest_clock_ms, 6000u) << "a sync's mark forgot the clock";
}

INSTANTIATE_TEST_SUITE_P(Io, LogTest, testing::Values(LogIo::kMapped, LogIo::kWrite),
                         [](const testing::TestParamInfo<LogIo>& info) {
                           return info.param == LogIo::kMapped ? "Mapped" : "Write";
                         });

}  // namespace
}  // namespace slotkv
