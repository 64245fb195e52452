// Batches: what they hold, and that they are applied as a whole.
#include "slotkv/write_batch.h"

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

constexpr absl::StatusCode kFailedPrecondition = absl::StatusCode::kFailedPrecondition;
constexpr absl::StatusCode kInvalidArgument = absl::StatusCode::kInvalidArgument;

SetOptions With(SetCondition condition, absl::Duration ttl = absl::InfiniteDuration()) {
  SetOptions options;
  options.condition = condition;
  options.ttl = ttl;
  return options;
}
SetOptions Living(absl::Duration ttl) { return With(SetCondition::kAlways, ttl); }
SetOptions Keeping(SetCondition condition = SetCondition::kAlways) {
  SetOptions options = With(condition);
  options.keep_ttl = true;
  return options;
}

TEST(WriteBatchTest, CountsWhatItHolds) {
  WriteBatch batch;
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.size(), 0u);
  EXPECT_EQ(batch.ByteSize(), 0u);
  batch.Set("key", "value");
  batch.Delete("other");
  batch.Set("", "");
  EXPECT_FALSE(batch.empty());
  EXPECT_EQ(batch.size(), 3u);
  EXPECT_EQ(batch.ByteSize(), 3u + 5 + 5 + 3 * 32);
  const WriteBatch copy = batch;
  batch.Clear();
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.ByteSize(), 0u);
  EXPECT_EQ(copy.size(), 3u);
}

class BatchTest : public ClusterFixture {
 protected:
  void SetUp() override { Open(); }

  // The values of {t}a, {t}b, … as one text; "-": missing.
  std::string Values() {
    std::string text;
    for (const auto& value : cluster_->MultiGet({"{t}a", "{t}b", "{t}c", "{t}d"})) {
      EXPECT_TRUE(value.ok() || absl::IsNotFound(value.status())) << value.status();
      absl::StrAppend(&text, text.empty() ? "" : " ", value.ok() ? *value : "-");
    }
    return text;
  }
};

TEST_F(BatchTest, IsAppliedInItsOrder) {
  ASSERT_THAT(cluster_->Set("{t}d", "old"), IsOk());
  WriteBatch batch;
  batch.Set("{t}a", "1");
  batch.Set("{t}b", "2");
  batch.Delete("{t}a");
  batch.Set("{t}c", "3");
  batch.Set("{t}c", "4");
  batch.Delete("{t}d");
  batch.Set("{t}d", "5");
  batch.Delete("{t}none");
  EXPECT_THAT(cluster_->Write(batch), IsOk());
  EXPECT_EQ(Values(), "- 2 4 5");
  Open();
  EXPECT_EQ(Values(), "- 2 4 5");
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

TEST_F(BatchTest, CopiesKeysAndValues) {
  WriteBatch batch;
  {
    std::string key = "{t}a", value(1000, 'v');
    batch.Set(key, value);
    key.assign(4, 'x');
    value.assign(1000, 'x');
  }
  for (int i = 0; i < 1000; ++i) batch.Set("{t}b", std::string(100, 'w'));
  const WriteBatch copy = batch;
  EXPECT_THAT(cluster_->Write(copy), IsOk());
  EXPECT_THAT(cluster_->Get("{t}a"), HoldsValue(std::string(1000, 'v')));
  // A batch may be written again, and be used anew.
  ASSERT_THAT(cluster_->Delete("{t}a"), IsOk());
  EXPECT_THAT(cluster_->Write(batch), IsOk());
  EXPECT_THAT(cluster_->Exists("{t}a"), HoldsValue(true));
  batch.Clear();
  batch.Set("other", "slot");
  EXPECT_THAT(cluster_->Write(batch), IsOk());
  EXPECT_THAT(cluster_->Get("other"), HoldsValue("slot"));
}

TEST_F(BatchTest, AnEmptyOneDoesNothing) {
  EXPECT_THAT(cluster_->Write(WriteBatch()), IsOk());
  ASSERT_THAT(cluster_->Close(), IsOk());
  EXPECT_THAT(cluster_->Write(WriteBatch()), HasCode(absl::StatusCode::kCancelled));
}

TEST_F(BatchTest, OfOneSlotOnly) {
  WriteBatch batch;
  batch.Set("{t}a", "1");
  batch.Delete("{u}b");
  EXPECT_THAT(cluster_->Write(batch), HasError(kInvalidArgument, "CROSSSLOT Keys in request"));
  EXPECT_EQ(Values(), "- - - -");
  // By slot, not by tag: {06S} and 3560 are both in slot 0.
  WriteBatch same_slot;
  ASSERT_EQ(SlotForKey("3560"), SlotForKey("{06S}"));
  same_slot.Set("{06S}", "1");
  same_slot.Set("3560", "2");
  EXPECT_THAT(cluster_->Write(same_slot), IsOk());
  EXPECT_THAT(cluster_->Get("3560"), HoldsValue("2"));
}

TEST_F(BatchTest, ABadWriteIsNamedAndNothingIsDone) {
  const std::string long_key = "{t}" + std::string(kMaxKeyBytes, 'k');
  SetOptions bad_ttl, both;
  bad_ttl.ttl = absl::Seconds(-1);
  both.ttl = absl::Seconds(1);
  both.keep_ttl = true;
  const auto refused = [&](std::string_view key, const SetOptions& options,
                           const std::string& text) {
    WriteBatch batch;
    batch.Set("{t}a", "1");
    batch.Set("{t}b", "2");
    batch.Set(key, "3", options);
    EXPECT_THAT(cluster_->Write(batch),
                HasError(kInvalidArgument, "write 2 of the batch: " + text));
    EXPECT_EQ(Values(), "- - - -");
  };
  refused(long_key, {}, "a key of 65539 bytes exceeds 65536");
  refused("{t}c", bad_ttl, "SetOptions.ttl is -1s");
  refused("{t}c", both, "SetOptions.keep_ttl excludes");
  WriteBatch deletes;
  deletes.Delete(long_key);
  EXPECT_THAT(cluster_->Write(deletes), HasError(kInvalidArgument, "write 0 of the batch: a key"));
}

TEST_F(BatchTest, AConditionThatDoesNotHoldFailsAll) {
  ASSERT_THAT(cluster_->Set("{t}a", "old"), IsOk());
  WriteBatch batch;
  batch.Delete("{t}a");
  batch.Set("{t}b", "1");
  batch.Set("{t}c", "2", With(SetCondition::kIfPresent));
  batch.Set("{t}d", "3");
  EXPECT_THAT(cluster_->Write(batch),
              HasError(kFailedPrecondition, "write 2 of the batch: the key does not exist"));
  EXPECT_EQ(Values(), "old - - -");
  batch.Clear();
  batch.Set("{t}b", "1");
  batch.Set("{t}a", "2", With(SetCondition::kIfAbsent));
  EXPECT_THAT(cluster_->Write(batch),
              HasError(kFailedPrecondition, "write 1 of the batch: the key exists"));
  EXPECT_EQ(Values(), "old - - -");
}

TEST_F(BatchTest, ConditionsSeeTheWritesBefore) {
  ASSERT_THAT(cluster_->Set("{t}a", "old"), IsOk());
  WriteBatch batch;
  batch.Delete("{t}a");
  batch.Set("{t}a", "1", With(SetCondition::kIfAbsent));
  batch.Set("{t}a", "2", With(SetCondition::kIfPresent));
  batch.Set("{t}b", "3", With(SetCondition::kIfAbsent));
  batch.Set("{t}b", "4", With(SetCondition::kIfPresent));
  EXPECT_THAT(cluster_->Write(batch), IsOk());
  EXPECT_EQ(Values(), "2 4 - -");
  batch.Clear();
  batch.Set("{t}c", "5");
  batch.Set("{t}c", "6", With(SetCondition::kIfAbsent));
  EXPECT_THAT(cluster_->Write(batch), HasCode(kFailedPrecondition));
  batch.Clear();
  batch.Delete("{t}b");
  batch.Set("{t}b", "7", With(SetCondition::kIfPresent));
  EXPECT_THAT(cluster_->Write(batch), HasCode(kFailedPrecondition));
  EXPECT_EQ(Values(), "2 4 - -");
}

TEST_F(BatchTest, ConditionsTakeWhatHasExpiredForMissing) {
  ASSERT_THAT(cluster_->Set("{t}a", "old", Living(absl::Seconds(1))), IsOk());
  clock_->Advance(absl::Seconds(1));
  WriteBatch batch;
  batch.Set("{t}a", "1", With(SetCondition::kIfPresent));
  EXPECT_THAT(cluster_->Write(batch), HasCode(kFailedPrecondition));
  batch.Clear();
  batch.Set("{t}a", "2", With(SetCondition::kIfAbsent));
  EXPECT_THAT(cluster_->Write(batch), IsOk());
  EXPECT_EQ(Values(), "2 - - -");
}

TEST_F(BatchTest, ExpiriesAreEachWritesOwn) {
  ASSERT_THAT(cluster_->Set("{t}a", "old", Living(absl::Seconds(10))), IsOk());
  ASSERT_THAT(cluster_->Set("{t}b", "old", Living(absl::Seconds(10))), IsOk());
  WriteBatch batch;
  batch.Set("{t}a", "1");
  batch.Set("{t}b", "2", Keeping());
  batch.Set("{t}c", "3", Living(absl::Seconds(20)));
  batch.Set("{t}c", "4", Keeping(SetCondition::kIfPresent));  // what the write before gave it
  batch.Set("{t}d", "5", Keeping());
  EXPECT_THAT(cluster_->Write(batch), IsOk());
  EXPECT_EQ(Values(), "1 2 4 5");
  EXPECT_THAT(cluster_->TimeToLive("{t}a"), HoldsValue(absl::InfiniteDuration()));
  EXPECT_THAT(cluster_->TimeToLive("{t}b"), HoldsValue(absl::Seconds(10)));
  EXPECT_THAT(cluster_->TimeToLive("{t}c"), HoldsValue(absl::Seconds(20)));
  EXPECT_THAT(cluster_->TimeToLive("{t}d"), HoldsValue(absl::InfiniteDuration()));
  batch.Clear();
  batch.Delete("{t}c");
  batch.Set("{t}c", "6", Keeping());
  EXPECT_THAT(cluster_->Write(batch), IsOk());
  EXPECT_THAT(cluster_->TimeToLive("{t}c"), HoldsValue(absl::InfiniteDuration()))
      << "of a key that was deleted";

  options_.default_ttl = absl::Seconds(7);
  Open();
  batch.Clear();
  batch.Set("{t}a", "7");
  batch.Set("{t}b", "8", Living(absl::Seconds(3)));
  EXPECT_THAT(cluster_->Write(batch), IsOk());
  EXPECT_THAT(cluster_->TimeToLive("{t}a"), HoldsValue(absl::Seconds(7)));
  EXPECT_THAT(cluster_->TimeToLive("{t}b"), HoldsValue(absl::Seconds(3)));
}

TEST_F(BatchTest, SetsAndDeletesHashes) {
  ASSERT_THAT(cluster_->HashSet("{t}a", {{"f", "v"}}), IsOk());
  ASSERT_THAT(cluster_->HashSet("{t}b", {{"f", "v"}}), IsOk());
  WriteBatch batch;
  batch.Set("{t}a", "1", With(SetCondition::kIfPresent));
  batch.Delete("{t}b");
  EXPECT_THAT(cluster_->Write(batch), IsOk());
  EXPECT_EQ(Values(), "1 - - -");
}

TEST_F(BatchTest, ManyWritesAndLargeOnes) {
  WriteBatch batch;
  for (int i = 0; i < 20000; ++i) batch.Set(absl::StrCat("{t}", i), absl::StrCat("of ", i));
  batch.Set("{t}large", std::string(size_t{3} << 20, 'v'));
  EXPECT_THAT(cluster_->Write(batch), IsOk());
  Open();
  EXPECT_THAT(cluster_->CountKeysInSlot(SlotForKey("{t}")), HoldsValue(20001u));
  EXPECT_THAT(cluster_->Get("{t}19999"), HoldsValue("of 19999"));
  EXPECT_THAT(cluster_->Get("{t}large"), HoldsValue(std::string(size_t{3} << 20, 'v')));
}

TEST_F(BatchTest, OnAFullDiskNothingIsDone) {
  Close();
  const auto hook = std::make_shared<TestHook>();
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options_, path_, hook);
  ASSERT_THAT(cluster, IsOk());
  cluster_ = *std::move(cluster);
  ASSERT_THAT(cluster_->Set("{t}a", "old"), IsOk());
  hook->Fail(FileOp::kReserve, absl::ResourceExhaustedError("no space"));
  WriteBatch batch;
  batch.Set("{t}a", "1");
  batch.Set("{t}b", std::string(size_t{3} << 20, 'v'));
  EXPECT_THAT(cluster_->Write(batch), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(Values(), "old - - -");
  hook->Heal();
  EXPECT_THAT(cluster_->Write(batch), IsOk());
  EXPECT_THAT(cluster_->Get("{t}a"), HoldsValue("1"));
}

}  // namespace
}  // namespace slotkv
