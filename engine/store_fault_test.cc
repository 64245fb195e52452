// The store on a disk that fails, fills up or rots.
#include <filesystem>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/store.h"
#include "engine/store_test_support.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

constexpr absl::StatusCode kDataLoss = absl::StatusCode::kDataLoss;
constexpr absl::StatusCode kUnavailable = absl::StatusCode::kUnavailable;
constexpr absl::StatusCode kResourceExhausted = absl::StatusCode::kResourceExhausted;

class StoreFaultTest : public testing::Test {
 protected:
  StoreFaultTest() { EXPECT_THAT(t_.Open(), IsOk()); }

  // Waits for what RocksDB's threads do in their own time.
  template <typename Condition>
  static bool Comes(const Condition& condition) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (!condition()) {
      if (absl::Now() > deadline) return false;
      absl::SleepFor(absl::Milliseconds(10));
    }
    return true;
  }

  TestStore t_;
};

// A table that holds what the log may lose must not become part of the store.
TEST_F(StoreFaultTest, AFailedLogSyncKeepsTheTableOut) {
  ASSERT_THAT(t_.Put(1, "durable", "value"), IsOk());
  ASSERT_THAT(t_.Note(1), IsOk());
  ASSERT_THAT(t_.store->Flush(/*wait=*/true), IsOk());
  EXPECT_THAT(t_.store->WriteError(), IsOk());

  t_.sync_status = absl::UnavailableError("the log's disk is broken");
  ASSERT_THAT(t_.Put(1, "not durable", "value"), IsOk());
  ASSERT_THAT(t_.Note(2), IsOk());
  EXPECT_FALSE(t_.store->Flush(/*wait=*/true).ok());
  EXPECT_THAT(t_.store->WriteError(), HasError(kUnavailable, t_.directory));
  EXPECT_EQ(*t_.Get(1, "not durable"), "value") << "reads go on";

  // For good: neither a later flush nor the close may write what is in memory.
  t_.sync_status = absl::OkStatus();
  EXPECT_FALSE(t_.store->Flush(/*wait=*/true).ok());
  t_.store->TryResume();
  EXPECT_FALSE(t_.store->Flush(/*wait=*/true).ok());
  EXPECT_THAT(t_.store->WriteError(), HasCode(kUnavailable));

  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_THAT(t_.Get(1, "not durable"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(*t_.store->PersistedProgress(), LogIndex(1));
  EXPECT_EQ(*t_.Get(1, "durable"), "value");
}

TEST_F(StoreFaultTest, AFullDiskHeals) {
  ASSERT_THAT(t_.Put(1, "key", "value"), IsOk());
  ASSERT_THAT(t_.Note(1), IsOk());
  t_.hook->Fail(FileOp::kWrite, absl::ResourceExhaustedError("no space"), ".sst");
  EXPECT_THAT(t_.store->Flush(/*wait=*/true), HasCode(kResourceExhausted));
  EXPECT_THAT(t_.store->WriteError(), HasError(kResourceExhausted, t_.directory));
  EXPECT_EQ(*t_.Get(1, "key"), "value");
  EXPECT_EQ(*t_.store->PersistedProgress(), LogIndex(0));
  t_.store->TryResume();
  EXPECT_THAT(t_.store->WriteError(), HasCode(kResourceExhausted)) << "still full";
  t_.hook->Heal();
  // RocksDB pauses for a second after an error, and refuses to resume until then.
  EXPECT_TRUE(Comes([&] {
    t_.store->TryResume();
    return t_.store->WriteError().ok();
  }));
  ASSERT_THAT(t_.Put(1, "more", "value"), IsOk());
  ASSERT_THAT(t_.Note(2), IsOk());
  // A flush behind a resume begins, but RocksDB 7.8 does not wait for it.
  ASSERT_THAT(t_.store->Flush(/*wait=*/true), IsOk());
  EXPECT_TRUE(Comes([&] { return *t_.store->PersistedProgress() == LogIndex(2); }));
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(*t_.Get(1, "more"), "value");
}

TEST_F(StoreFaultTest, ABrokenDiskIsForGood) {
  ASSERT_THAT(t_.Put(1, "key", "value"), IsOk());
  t_.hook->Fail(FileOp::kSync, absl::UnavailableError("broken"), ".sst");
  EXPECT_FALSE(t_.store->Flush(/*wait=*/true).ok());
  EXPECT_THAT(t_.store->WriteError(), HasError(kUnavailable, t_.directory));
  EXPECT_EQ(*t_.Get(1, "key"), "value");
}

TEST_F(StoreFaultTest, ARottenTableIsSeen) {
  for (int i = 0; i < 500; ++i) {
    ASSERT_THAT(t_.Put(1, "key" + std::to_string(i), std::string(100, 'v')), IsOk());
  }
  ASSERT_THAT(t_.store->Flush(/*wait=*/true), IsOk());
  ASSERT_THAT(t_.store->VerifyChecksums(), IsOk());
  const auto tables = TableFiles(t_.directory);
  ASSERT_THAT(tables, SizeIs(1));
  t_.store.reset();
  std::string bytes = BytesOf(tables[0]);
  bytes[100] ^= 1;  // in the first block, where the lowest keys are
  SetFileBytes(tables[0], bytes);
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_THAT(t_.store->VerifyChecksums(), HasError(kDataLoss, t_.directory));
  EXPECT_THAT(t_.Get(1, "key0"), HasError(kDataLoss, t_.directory));
  EXPECT_EQ(*t_.Get(1, "key99"), std::string(100, 'v')) << "in another block";
  EXPECT_THAT(t_.store->VisitSlot(
                  1, [](std::string_view, const ValueHeader&, std::string_view) { return true; }),
              HasCode(kDataLoss));
  EXPECT_THAT(
      t_.store->VisitAll([](std::string_view, std::string_view) { return absl::OkStatus(); }),
      HasCode(kDataLoss));
}

TEST_F(StoreFaultTest, AMissingTableIsSeen) {
  ASSERT_THAT(t_.Put(1, "key", "value"), IsOk());
  ASSERT_THAT(t_.store->Flush(/*wait=*/true), IsOk());
  const auto tables = TableFiles(t_.directory);
  ASSERT_THAT(tables, SizeIs(1));
  t_.store.reset();
  std::filesystem::remove(tables[0]);
  EXPECT_THAT(t_.Open(), HasError(kDataLoss, t_.directory));
}

TEST_F(StoreFaultTest, ARottenManifestIsSeen) {
  ASSERT_THAT(t_.Put(1, "key", "value"), IsOk());
  ASSERT_THAT(t_.store->Flush(/*wait=*/true), IsOk());
  t_.store.reset();
  std::string manifest = BytesOf(t_.directory + "/CURRENT");
  manifest.pop_back();  // its newline
  manifest = JoinPath(t_.directory, manifest);
  std::string bytes = BytesOf(manifest);
  ASSERT_FALSE(bytes.empty());
  bytes[20] ^= 1;
  SetFileBytes(manifest, bytes);
  EXPECT_THAT(t_.Open(), HasError(kDataLoss, t_.directory));
}

TEST_F(StoreFaultTest, AFailedReadIsNotDataLoss) {
  ASSERT_THAT(t_.Put(1, "key", "value"), IsOk());
  ASSERT_THAT(t_.store->Flush(/*wait=*/true), IsOk());
  ASSERT_THAT(t_.Open(), IsOk());
  t_.hook->Fail(FileOp::kRead, absl::UnavailableError("broken"), ".sst");
  EXPECT_THAT(t_.Get(1, "key"), HasError(kUnavailable, t_.directory));
  t_.hook->Heal();
  EXPECT_EQ(*t_.Get(1, "key"), "value");
}

}  // namespace
}  // namespace slotkv
