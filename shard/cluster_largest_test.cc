// The largest that there may be; these need some gigabytes of memory.
#include <string>

#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

class ClusterLargestTest : public ClusterFixture {
 protected:
  // A second copy would take as much memory again.
  void OpenOneCopy() {
    options_.replicas_per_shard = 0;
    Open();
  }
};

TEST_F(ClusterLargestTest, ABatchOfTheLargestSizeAndOneByteMore) {
  OpenOneCopy();
  const std::string most(kMaxValueBytes, 'a');
  std::string rest;
  const auto fill = [&](WriteBatch* batch) {
    batch->Clear();
    batch->Set("{t}a", most);
    batch->Set("{t}b", rest);
  };
  WriteBatch batch;
  fill(&batch);
  rest.assign(kMaxBatchBytes - batch.ByteSize() + 1, 'b');
  fill(&batch);
  EXPECT_THAT(cluster_->Write(batch), HasError(absl::StatusCode::kInvalidArgument,
                                               "a batch of 537919489 bytes exceeds 537919488"));
  EXPECT_THAT(cluster_->CountKeysInSlot(SlotForKey("{t}a")), HoldsValue(0u));
  rest.pop_back();
  fill(&batch);
  ASSERT_EQ(batch.ByteSize(), kMaxBatchBytes);
  EXPECT_THAT(cluster_->Write(batch), IsOk());
  Open();
  std::string got;
  ASSERT_THAT(cluster_->Get("{t}a", &got), IsOk());
  EXPECT_TRUE(got == most);
  EXPECT_THAT(cluster_->Get("{t}b"), HoldsValue(rest));
}

// What every limit names is what it takes: the largest of all, on the disk and back.
TEST_F(ClusterLargestTest, TheLargestValueThereMayBe) {
  OpenOneCopy();
  std::string value(kMaxValueBytes, '\0');
  for (size_t i = 0; i < value.size(); i += 4096) value[i] = static_cast<char>(i / 4096 % 251);
  const std::string key(kMaxKeyBytes, 'k');
  ASSERT_THAT(cluster_->Set(key, value), IsOk());
  EXPECT_THAT(cluster_->Append(key, "!"), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(cluster_->SetRange(key, kMaxValueBytes - 1, "!"),
              HoldsValue(uint64_t{kMaxValueBytes}));
  value.back() = '!';
  Open();
  std::string got;
  ASSERT_THAT(cluster_->Get(key, &got), IsOk());
  EXPECT_TRUE(got == value);
}

// Longer than a log segment.
TEST_F(ClusterLargestTest, AValueOfEightyMegabytes) {
  Open();
  std::string value(80 * kMiB, '\0');
  for (size_t i = 0; i < value.size(); i += 4096) value[i] = static_cast<char>(i / 4096 % 251);
  ASSERT_THAT(cluster_->Set("small", "before"), IsOk());
  ASSERT_THAT(cluster_->Set("large", value), IsOk());
  ASSERT_THAT(cluster_->Append("large", "!"), HoldsValue(value.size() + 1));
  value += '!';
  ASSERT_THAT(cluster_->Set("small", "after"), IsOk());
  for (int round = 0; round < 2; ++round) {
    std::string got;
    ASSERT_THAT(cluster_->Get("large", &got), IsOk());
    EXPECT_TRUE(got == value);
    EXPECT_THAT(cluster_->Get("small"), HoldsValue("after"));
    if (round == 0) Open();
  }
  EXPECT_THAT(cluster_->Verify(), IsOk());
  EXPECT_THAT(cluster_->Delete("large"), HoldsValue(true));
  EXPECT_THAT(cluster_->Exists("large"), HoldsValue(false));
}

}  // namespace
}  // namespace slotkv
