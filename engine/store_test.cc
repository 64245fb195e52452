#include "engine/store.h"

#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/store_test_support.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;
constexpr absl::StatusCode kDataLoss = absl::StatusCode::kDataLoss;

class StoreTest : public testing::Test {
 protected:
  StoreTest() { EXPECT_THAT(t_.Open(), IsOk()); }

  // "key=payload" of each entry.
  std::vector<std::string> Visit(uint16_t slot) {
    std::vector<std::string> entries;
    EXPECT_THAT(t_.store->VisitSlot(
                    slot,
                    [&](std::string_view key, const ValueHeader&, std::string_view payload) {
                      entries.push_back(std::string(key) + "=" + std::string(payload));
                      return true;
                    }),
                IsOk());
    return entries;
  }
  // Entries of every kind, those that an ordinary read would filter included.
  int CountAll() {
    int count = 0;
    EXPECT_THAT(t_.store->VisitAll([&](std::string_view, std::string_view) {
      ++count;
      return absl::OkStatus();
    }),
                IsOk());
    return count;
  }

  TestStore t_;
};

TEST_F(StoreTest, PutGetDelete) {
  EXPECT_THAT(t_.Get(1, "key"), HasCode(kNotFound));
  EXPECT_EQ(t_.Get(1, "key").status().message(), "") << "a text costs an allocation";
  ASSERT_THAT(t_.Put(1, "key", "value"), IsOk());
  EXPECT_EQ(*t_.Get(1, "key"), "value");
  EXPECT_THAT(t_.Get(2, "key"), HasCode(kNotFound)) << "slots are apart";
  ASSERT_THAT(t_.Put(1, "key", ""), IsOk());
  EXPECT_EQ(*t_.Get(1, "key"), "");
  ASSERT_THAT(t_.Apply(DeleteEffect(1, "key")), IsOk());
  EXPECT_THAT(t_.Get(1, "key"), HasCode(kNotFound));
}

TEST_F(StoreTest, GetLeavesThePayloadUnlessItAnswers) {
  ASSERT_THAT(t_.Put(1, "key", "value", t_.expiry_clock.NowMs() + 1000), IsOk());
  ValueHeader header;
  std::string payload = "as it was";
  const uint64_t now_ms = t_.expiry_clock.NowMs();
  EXPECT_THAT(t_.store->Get(1, "none", now_ms, &header, &payload), HasCode(kNotFound));
  EXPECT_EQ(header.expiry_ms, 0u);
  EXPECT_THAT(t_.store->Get(1, "key", now_ms + 1000, &header, &payload), HasCode(kNotFound));
  EXPECT_EQ(header.expiry_ms, now_ms + 1000) << "there, but expired";
  EXPECT_EQ(payload, "as it was");
  EXPECT_THAT(t_.store->Get(1, "key", now_ms + 999, &header, nullptr), IsOk());
  EXPECT_EQ(header.expiry_ms, now_ms + 1000);
  EXPECT_THAT(t_.store->Get(1, "none", now_ms, &header, nullptr), HasCode(kNotFound));
  EXPECT_EQ(header.expiry_ms, 0u) << "of the key before";
}

TEST_F(StoreTest, BinaryAndExtremeKeys) {
  const std::vector<std::string> keys = {"", std::string(1, '\0'), std::string(5, '\xff'),
                                         std::string(65536, 'k'), std::string("a\0b", 3)};
  for (const std::string& key : keys) ASSERT_THAT(t_.Put(9, key, "of " + key), IsOk());
  for (const std::string& key : keys) EXPECT_EQ(*t_.Get(9, key), "of " + key);
  EXPECT_THAT(Visit(9), SizeIs(keys.size()));
}

TEST_F(StoreTest, VisitSlotStaysInItsSlot) {
  for (const uint16_t slot : {0, 1, 255, 256, 16382, 16383}) {
    ASSERT_THAT(t_.Put(slot, "", std::to_string(slot)), IsOk());
    ASSERT_THAT(t_.Put(slot, std::string(20, '\xff'), "last"), IsOk());
  }
  ASSERT_THAT(t_.Note(17), IsOk());
  for (const uint16_t slot : {0, 1, 255, 256, 16382, 16383}) {
    EXPECT_THAT(Visit(slot),
                ElementsAre("=" + std::to_string(slot), std::string(20, '\xff') + "=last"));
  }
  EXPECT_THAT(Visit(2), IsEmpty());
  EXPECT_THAT(Visit(16381), IsEmpty());
}

TEST_F(StoreTest, VisitSlotIsInOrderAndStopsWhenTold) {
  for (const char* const key : {"b", "a", "c"}) ASSERT_THAT(t_.Put(5, key, key), IsOk());
  EXPECT_THAT(Visit(5), ElementsAre("a=a", "b=b", "c=c"));
  std::vector<std::string> seen;
  ASSERT_THAT(t_.store->VisitSlot(5,
                                  [&](std::string_view key, const ValueHeader&, std::string_view) {
                                    seen.emplace_back(key);
                                    return seen.size() < 2;
                                  }),
              IsOk());
  EXPECT_THAT(seen, ElementsAre("a", "b"));
}

TEST_F(StoreTest, VisitSlotShowsExpiredKeys) {
  const uint64_t now_ms = t_.expiry_clock.NowMs();
  ASSERT_THAT(t_.Put(5, "gone", "x", now_ms - 1), IsOk());
  EXPECT_THAT(t_.Get(5, "gone"), HasCode(kNotFound));
  EXPECT_THAT(Visit(5), ElementsAre("gone=x"));
}

TEST_F(StoreTest, ABatchIsAppliedAsAWholeAndEmptied) {
  Store::Batch batch;
  EXPECT_TRUE(batch.empty());
  ASSERT_THAT(batch.Add(PutEffect(1, "a", "1") + PutEffect(1, "b", "2")), IsOk());
  ASSERT_THAT(batch.Add(DeleteEffect(1, "a")), IsOk());
  EXPECT_FALSE(batch.empty());
  EXPECT_THAT(t_.Get(1, "b"), HasCode(kNotFound));
  ASSERT_THAT(t_.store->Apply(&batch), IsOk());
  EXPECT_TRUE(batch.empty());
  EXPECT_THAT(Visit(1), ElementsAre("b=2"));
  EXPECT_THAT(batch.Add("\x07nonsense"), HasCode(kDataLoss));
}

TEST_F(StoreTest, ProgressCountsOnceItIsFlushed) {
  EXPECT_EQ(*t_.store->PersistedProgress(), LogIndex(0));
  ASSERT_THAT(t_.Put(1, "key", "value"), IsOk());
  ASSERT_THAT(t_.Note(7), IsOk());
  EXPECT_EQ(*t_.store->PersistedProgress(), LogIndex(0));
  ASSERT_THAT(t_.store->Flush(/*wait=*/true), IsOk());
  EXPECT_EQ(*t_.store->PersistedProgress(), LogIndex(7));
  ASSERT_THAT(t_.Note(9), IsOk());
  EXPECT_EQ(*t_.store->PersistedProgress(), LogIndex(7));
  // Closing flushes nothing: the log brings it back.
  ASSERT_THAT(t_.Put(1, "in memory only", "value"), IsOk());
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(*t_.store->PersistedProgress(), LogIndex(7));
  EXPECT_EQ(*t_.Get(1, "key"), "value");
  EXPECT_THAT(t_.Get(1, "in memory only"), HasCode(kNotFound));
}

TEST_F(StoreTest, EveryFlushSyncsTheLogFirst) {
  ASSERT_THAT(t_.Put(1, "key", "value"), IsOk());
  bool table_before_sync = false;
  t_.hook->SetBefore([&](FileOp op, const std::string& path) {
    if (op == FileOp::kCreate && path.find(".sst") != std::string::npos && t_.log_syncs == 0) {
      table_before_sync = true;
    }
    return absl::OkStatus();
  });
  ASSERT_THAT(t_.store->Flush(/*wait=*/true), IsOk());
  t_.hook->Heal();
  EXPECT_EQ(t_.log_syncs, 1);
  EXPECT_FALSE(table_before_sync);
  EXPECT_THAT(TableFiles(t_.directory), SizeIs(1));
}

TEST_F(StoreTest, CompactionDropsWhatHasExpired) {
  const uint64_t now_ms = t_.expiry_clock.NowMs();
  ASSERT_THAT(t_.Put(1, "expired", "older version"), IsOk());
  ASSERT_THAT(t_.Note(1), IsOk());
  ASSERT_THAT(t_.store->Flush(/*wait=*/true), IsOk());
  ASSERT_THAT(t_.Put(1, "expired", "x", now_ms + 1000), IsOk());
  ASSERT_THAT(t_.Put(1, "later", "y", now_ms + 5000), IsOk());
  ASSERT_THAT(t_.Put(1, "never", "z"), IsOk());
  // A minute more: a write that is under way may still find alive what has just expired.
  t_.clock.Advance(absl::Minutes(1) + absl::Milliseconds(1000));
  // The fourth table starts a compaction of all.
  for (uint64_t i = 2; i <= 5; ++i) {
    ASSERT_THAT(t_.Note(i), IsOk());
    ASSERT_THAT(t_.store->Flush(/*wait=*/true), IsOk());
  }
  while (TableFiles(t_.directory).size() > 1) {
    ASSERT_THAT(t_.Note(6), IsOk());
    ASSERT_THAT(t_.store->Flush(/*wait=*/true), IsOk());
  }
  EXPECT_THAT(Visit(1), ElementsAre("later=y", "never=z"));
  EXPECT_THAT(t_.Get(1, "expired"), HasCode(kNotFound)) << "an older version came to light";
  EXPECT_EQ(t_.expiry_clock.observed_ms(), now_ms + 1000) << "the clock must not go back behind it";
  EXPECT_GE(*t_.store->PersistedProgress(), LogIndex(5)) << "metadata does not expire";
}

TEST_F(StoreTest, MemtableBytesGrowAndShrink) {
  const size_t before = t_.store->memtable_bytes();
  ASSERT_THAT(t_.Put(1, "key", std::string(500000, 'v')), IsOk());
  EXPECT_GT(t_.store->memtable_bytes(), before + 500000);
  ASSERT_THAT(t_.store->Flush(/*wait=*/true), IsOk());
  EXPECT_LT(t_.store->memtable_bytes(), before + 500000);
}

TEST_F(StoreTest, AMissingStoreIsDamage) {
  t_.store.reset();
  std::filesystem::remove_all(t_.directory);
  EXPECT_THAT(t_.Open(/*create=*/false), HasError(kDataLoss, t_.directory));
  EXPECT_FALSE(std::filesystem::exists(t_.directory)) << "created in spite of it";
  ASSERT_THAT(t_.Open(/*create=*/true), IsOk());
  EXPECT_EQ(CountAll(), 0);
  ASSERT_THAT(t_.Open(/*create=*/false), IsOk());
}

TEST_F(StoreTest, EverythingIsPrivate) {
  const mode_t old_mask = umask(0);
  t_.store.reset();
  std::filesystem::remove_all(t_.root.Path("node"));
  ASSERT_THAT(t_.Open(), IsOk());
  ASSERT_THAT(t_.Put(1, "key", "value"), IsOk());
  ASSERT_THAT(t_.store->Flush(/*wait=*/true), IsOk());
  ASSERT_THAT(t_.Open(), IsOk());
  umask(old_mask);
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(t_.root.Path(""))) {
    struct stat info;
    ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, entry.is_directory() ? 0700u : 0600u) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 8);
}

TEST_F(StoreTest, RandomOperationsAgainstAMap) {
  std::mt19937_64 random(TestSeed());
  std::map<std::pair<uint16_t, std::string>, std::string> model;
  for (int i = 0; i < 2000; ++i) {
    const uint16_t slot = static_cast<uint16_t>(random() % 4 == 0 ? 16383 : random() % 3);
    const std::string key = std::to_string(random() % 50);
    if (random() % 3 == 0) {
      ASSERT_THAT(t_.Apply(DeleteEffect(slot, key)), IsOk());
      model.erase({slot, key});
    } else {
      const std::string value = std::to_string(random());
      ASSERT_THAT(t_.Put(slot, key, value), IsOk());
      model[{slot, key}] = value;
    }
    if (random() % 400 == 0) {
      ASSERT_THAT(t_.store->Flush(/*wait=*/random() % 2 == 0), IsOk());
    }
  }
  for (const uint16_t slot : {0, 1, 2, 3, 16383}) {
    std::vector<std::string> expected;
    for (const auto& [name, value] : model) {
      if (name.first == slot) expected.push_back(name.second + "=" + value);
    }
    EXPECT_EQ(Visit(slot), expected);
  }
}

}  // namespace
}  // namespace slotkv
