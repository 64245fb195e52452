#include "engine/node.h"

#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "engine/node_test_support.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv {
namespace {

constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;
constexpr absl::StatusCode kDataLoss = absl::StatusCode::kDataLoss;

absl::Status AllBelongs(uint16_t, std::string_view) { return absl::OkStatus(); }

class NodeTest : public testing::Test {
 protected:
  NodeTest() { EXPECT_THAT(t_.Create(), IsOk()); }

  // What is flushed no longer needs replay, and the log up to there is gone.
  void FlushAndMaintain() {
    ASSERT_THAT(t_.node->Sync(), IsOk());
    ASSERT_THAT(t_.node->Flush(/*wait=*/true), IsOk());
    ASSERT_THAT(t_.node->Maintain(), IsOk());
  }

  TestNode t_;
};

TEST_F(NodeTest, ACrashLosesNothingThatWasLogged) {
  ASSERT_THAT(t_.Put(1, "a", "1"), IsOk());
  ASSERT_THAT(t_.Put(2, "b", "2"), IsOk());
  ASSERT_THAT(t_.Put(1, "a", "3"), IsOk());
  ASSERT_THAT(t_.Write(DeleteEffect(2, "b")), IsOk());
  EXPECT_EQ(t_.node->applied(), LogIndex(4));
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.node->replayed(), 4u);
  EXPECT_EQ(t_.node->applied(), LogIndex(4));
  EXPECT_EQ(*t_.Get(1, "a"), "3");
  EXPECT_THAT(t_.Get(2, "b"), HasCode(kNotFound));
}

TEST_F(NodeTest, RecoveryIsTheStoreAndThenTheLog) {
  ASSERT_THAT(t_.PutMany(100), IsOk());
  ASSERT_THAT(t_.node->Flush(/*wait=*/true), IsOk());
  ASSERT_THAT(t_.Put(1, "key0", "newer"), IsOk());
  ASSERT_THAT(t_.Write(DeleteEffect(1, "key1")), IsOk());
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.node->replayed(), 2u) << "only what the store had not";
  EXPECT_EQ(*t_.Get(1, "key0"), "newer");
  EXPECT_THAT(t_.Get(1, "key1"), HasCode(kNotFound));
  EXPECT_EQ(*t_.Get(1, "key99"), std::string(1000, 'v'));
}

TEST_F(NodeTest, AppendedButNotAppliedComesBack) {
  Record record;
  const std::string effects = PutEffect(1, "key", "value");
  record.position = {t_.epoch, LogIndex(1)};
  record.payload = effects;
  ASSERT_THAT(t_.node->Reserve(EncodedRecordSize(effects.size()), absl::Seconds(60)), IsOk());
  ASSERT_THAT(t_.node->Append({record}), IsOk());
  EXPECT_THAT(t_.Get(1, "key"), HasCode(kNotFound));
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(*t_.Get(1, "key"), "value");
}

TEST_F(NodeTest, AFlushMakesTheLogDurableFirst) {
  ASSERT_THAT(t_.Put(1, "key", "value"), IsOk());
  EXPECT_EQ(t_.node->log().synced(), LogIndex(0));
  ASSERT_THAT(t_.node->Flush(/*wait=*/true), IsOk());
  EXPECT_EQ(t_.node->log().synced(), LogIndex(1));
}

TEST_F(NodeTest, MaintainTruncatesWhatIsFlushed) {
  ASSERT_THAT(t_.PutMany(300), IsOk());
  ASSERT_THAT(t_.node->Maintain(), IsOk());
  EXPECT_EQ(t_.node->log().first(), LogIndex(1)) << "nothing is flushed yet";
  EXPECT_GT(t_.node->log().segment_count(), 1u);
  FlushAndMaintain();
  EXPECT_EQ(t_.node->log().segment_count(), 1u);
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.node->replayed(), 0u);
  EXPECT_EQ(*t_.Get(1, "key0"), std::string(1000, 'v'));
  ASSERT_THAT(t_.PutMany(1), IsOk());
  EXPECT_EQ(t_.node->applied(), LogIndex(301));
}

TEST_F(NodeTest, ManyOpensDoNotGrowTheDirectory) {
  size_t most = 0;
  for (int i = 0; i < 60; ++i) {
    ASSERT_THAT(t_.Put(1, "key" + std::to_string(i), "value"), IsOk());
    ASSERT_THAT(t_.Open(), IsOk());
    most = std::max(most, t_.LogFiles().size());
  }
  EXPECT_LE(most, 20u);
  for (int i = 0; i < 60; ++i) EXPECT_EQ(*t_.Get(1, "key" + std::to_string(i)), "value");
}

TEST_F(NodeTest, AStoreThatIsGoneIsRebuiltFromTheWholeLog) {
  ASSERT_THAT(t_.PutMany(50), IsOk());
  ASSERT_THAT(t_.node->Flush(/*wait=*/true), IsOk());
  t_.node.reset();
  std::filesystem::remove_all(t_.store_directory());
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.node->replayed(), 50u);
  EXPECT_EQ(*t_.Get(1, "key0"), std::string(1000, 'v'));
}

TEST_F(NodeTest, AStoreThatIsGoneWithoutTheWholeLogIsRefused) {
  ASSERT_THAT(t_.PutMany(300), IsOk());
  FlushAndMaintain();
  ASSERT_GT(t_.node->log().first(), LogIndex(1));
  t_.node.reset();
  std::filesystem::remove_all(t_.store_directory());
  EXPECT_THAT(t_.Open(), HasError(kDataLoss, t_.store_directory()));
  EXPECT_FALSE(std::filesystem::exists(t_.store_directory()));
}

TEST_F(NodeTest, AStoreAheadOfItsLogIsRefused) {
  // The store of a later state beside the log of an earlier one.
  ASSERT_THAT(t_.PutMany(1), IsOk());
  t_.node.reset();
  std::filesystem::copy(t_.log_directory(), t_.root.Path("old_log"));
  ASSERT_THAT(t_.Open(), IsOk());
  ASSERT_THAT(t_.PutMany(1), IsOk());
  ASSERT_THAT(t_.node->Flush(/*wait=*/true), IsOk());
  t_.node.reset();
  std::filesystem::remove_all(t_.log_directory());
  std::filesystem::rename(t_.root.Path("old_log"), t_.log_directory());
  const std::vector<std::string> files = t_.LogFiles();
  EXPECT_THAT(t_.Open(), HasError(kDataLoss, "the store has record 2, the log ends at 1"));
  EXPECT_EQ(t_.LogFiles(), files) << "a refused node was changed";
}

TEST_F(NodeTest, ALogThatBeginsBehindItsStoreIsRefused) {
  t_.options.log.max_segment_bytes = 16384;
  ASSERT_THAT(t_.Open(), IsOk());
  ASSERT_THAT(t_.PutMany(100), IsOk());
  ASSERT_THAT(t_.node->Sync(), IsOk());
  t_.node.reset();
  std::filesystem::remove_all(t_.root.Path("old_store"));
  std::filesystem::copy(t_.store_directory(), t_.root.Path("old_store"));
  ASSERT_THAT(t_.Open(), IsOk());
  FlushAndMaintain();
  ASSERT_GT(t_.node->log().first(), LogIndex(1));
  t_.node.reset();
  std::filesystem::remove_all(t_.store_directory());
  std::filesystem::rename(t_.root.Path("old_store"), t_.store_directory());
  EXPECT_THAT(t_.Open(), HasError(kDataLoss, "the store ends at record 0, the log begins at "));
}

TEST_F(NodeTest, AMissingFirstSegmentIsRefused) {
  ASSERT_THAT(t_.PutMany(300), IsOk());
  ASSERT_THAT(t_.node->Sync(), IsOk());
  ASSERT_THAT(t_.node->Maintain(), IsOk());  // deletes the one that Create made, which is empty
  ASSERT_EQ(t_.node->log().first(), LogIndex(1));
  t_.node.reset();
  ASSERT_GT(t_.LogFiles().size(), 1u);
  std::filesystem::remove(t_.LogFiles().front());
  EXPECT_THAT(t_.Open(), HasCode(kDataLoss));
}

TEST_F(NodeTest, AnUnknownKindOfRecordIsRefused) {
  ASSERT_THAT(t_.Put(1, "key", "value"), IsOk());
  Record record;
  record.position = {t_.epoch, LogIndex(2)};
  record.kind = static_cast<RecordKind>(99);
  ASSERT_THAT(t_.node->Reserve(EncodedRecordSize(0), absl::Seconds(60)), IsOk());
  ASSERT_THAT(t_.node->Append({record}), IsOk());
  EXPECT_THAT(t_.Open(), HasError(kDataLoss, "record 2 is of kind 99"));
}

TEST_F(NodeTest, EffectsThatCannotBeReadAreRefused) {
  Record record;
  record.position = {t_.epoch, LogIndex(1)};
  record.payload = "\x09 no effect";
  ASSERT_THAT(t_.node->Reserve(EncodedRecordSize(record.payload.size()), absl::Seconds(60)),
              IsOk());
  ASSERT_THAT(t_.node->Append({record}), IsOk());
  EXPECT_THAT(t_.Open(), HasError(kDataLoss, "record 1"));
}

TEST_F(NodeTest, EpochStartsChangeNothingInTheStore) {
  ASSERT_THAT(t_.Put(1, "key", "value"), IsOk());
  t_.epoch = ShardEpoch(2);
  ASSERT_THAT(t_.Write("", RecordKind::kEpochStart), IsOk());
  EXPECT_EQ(t_.node->applied(), LogIndex(2));
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.node->applied(), LogIndex(2));
  EXPECT_EQ(t_.node->log().last().epoch, ShardEpoch(2));
  EXPECT_EQ(*t_.Get(1, "key"), "value");
}

TEST_F(NodeTest, TheHighestTimeOfTheLogIsTheClocksFloor) {
  const uint64_t now_ms = t_.expiry_clock->NowMs();
  t_.clock.Advance(absl::Seconds(100));
  ASSERT_THAT(t_.Put(1, "key", "value"), IsOk());
  t_.clock.SetWallMs(now_ms - 1000000);
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.node->highest_clock_ms(), now_ms + 100000);
  EXPECT_GE(t_.expiry_clock->NowMs(), now_ms + 100000);
}

TEST_F(NodeTest, AnExpiryThatACallerSawIsRemembered) {
  const uint64_t now_ms = t_.expiry_clock->NowMs();
  ASSERT_THAT(t_.Put(1, "key", "value", now_ms + 1000), IsOk());
  t_.clock.Advance(absl::Seconds(2));
  EXPECT_THAT(t_.Get(1, "key"), HasCode(kNotFound));
  t_.expiry_clock->NoteObserved(t_.expiry_clock->NowMs());
  ASSERT_THAT(t_.node->NoteExpiry(), IsOk());
  t_.clock.SetWallMs(now_ms);  // steps back
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_THAT(t_.Get(1, "key"), HasCode(kNotFound)) << "an expired key came back";
}

TEST_F(NodeTest, VerifyPassesOnASoundNode) {
  ASSERT_THAT(t_.PutMany(100), IsOk());
  ASSERT_THAT(t_.node->Verify(AllBelongs), IsOk());
  FlushAndMaintain();
  ASSERT_THAT(t_.PutMany(100), IsOk());
  ASSERT_THAT(t_.node->Verify(AllBelongs), IsOk());
}

TEST_F(NodeTest, VerifyAsksWhetherEachKeyBelongsHere) {
  ASSERT_THAT(t_.Put(1, "mine", "x"), IsOk());
  ASSERT_THAT(t_.Put(16383, "orphan", "x"), IsOk());
  std::vector<std::string> asked;
  EXPECT_THAT(t_.node->Verify([&](uint16_t slot, std::string_view key) {
    asked.push_back(std::to_string(slot) + " " + std::string(key));
    return slot == 1 ? absl::OkStatus() : absl::DataLossError("planted");
  }),
              HasError(kDataLoss, "planted"));
  EXPECT_THAT(t_.node->Damage(), IsOk());  // the files are what was written
  EXPECT_THAT(asked, testing::ElementsAre("1 mine", "16383 orphan"));
}

TEST_F(NodeTest, VerifyFindsARottenTablePastTheBlockCache) {
  ASSERT_THAT(t_.PutMany(100), IsOk());
  ASSERT_THAT(t_.node->Flush(/*wait=*/true), IsOk());
  EXPECT_EQ(*t_.Get(1, "key0"), std::string(1000, 'v'));  // its block is cached now
  const auto tables = TableFiles(t_.store_directory());
  ASSERT_FALSE(tables.empty());
  std::string bytes = BytesOf(tables.front());
  bytes[100] ^= 1;
  SetFileBytes(tables.front(), bytes);
  EXPECT_THAT(t_.node->Damage(), IsOk());
  EXPECT_THAT(t_.node->Verify(AllBelongs), HasError(kDataLoss, t_.store_directory()));
  EXPECT_THAT(t_.node->Damage(), HasError(kDataLoss, t_.store_directory()));
}

TEST_F(NodeTest, VerifyFindsARottenLog) {
  ASSERT_THAT(t_.PutMany(3), IsOk());
  const std::string file = t_.LogFiles().back();
  std::string bytes = BytesOf(file);
  bytes[700] ^= 1;
  SetFileBytes(file, bytes);
  EXPECT_THAT(t_.node->Damage(), IsOk());
  EXPECT_THAT(t_.node->Verify(AllBelongs), HasError(kDataLoss, file));
  EXPECT_THAT(t_.node->Damage(), HasError(kDataLoss, file));
}

// Random writes, flushes, truncations and crashes against a map.
TEST_F(NodeTest, RandomLivesAgainstAMap) {
  std::mt19937_64 random(TestSeed());
  std::map<std::string, std::string> model;
  for (int life = 0; life < 15; ++life) {
    for (uint64_t i = random() % 150; i > 0; --i) {
      const std::string key = "key" + std::to_string(random() % 40);
      if (random() % 4 == 0) {
        ASSERT_THAT(t_.Write(DeleteEffect(1, key)), IsOk());
        model.erase(key);
      } else {
        const std::string value(random() % 2000, static_cast<char>('a' + random() % 26));
        ASSERT_THAT(t_.Put(1, key, value), IsOk());
        model[key] = value;
      }
      const uint64_t choice = random() % 100;
      if (choice < 3) {
        ASSERT_THAT(t_.node->Flush(/*wait=*/choice == 0), IsOk());
      } else if (choice < 6) {
        ASSERT_THAT(t_.node->Sync(), IsOk());
      } else if (choice < 9) {
        ASSERT_THAT(t_.node->Maintain(), IsOk());
      }
    }
    ASSERT_THAT(t_.Open(), IsOk());
    std::map<std::string, std::string> found;
    ASSERT_THAT(t_.node->store().VisitSlot(
                    1,
                    [&](std::string_view key, const ValueHeader&, std::string_view payload) {
                      found[std::string(key)] = std::string(payload);
                      return true;
                    }),
                IsOk());
    ASSERT_EQ(found, model) << "life " << life;
  }
}

}  // namespace
}  // namespace slotkv
