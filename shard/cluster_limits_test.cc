// How long keys and values may be.
#include <sys/mman.h>

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

// Zeros that take no memory until they are read.
class HugeView {
 public:
  explicit HugeView(size_t size)
      : size_(size),
        memory_(
            mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  ~HugeView() { munmap(memory_, size_); }
  HugeView(const HugeView&) = delete;
  HugeView& operator=(const HugeView&) = delete;

  std::string_view view() const { return {static_cast<const char*>(memory_), size_}; }

 private:
  const size_t size_;
  void* const memory_;
};

class ClusterLimitsTest : public ClusterFixture {
 protected:
  void SetUp() override { Open(); }
};

TEST_F(ClusterLimitsTest, KeysOfNoneAndOfMostBytes) {
  const std::string longest(kMaxKeyBytes, 'k');
  for (const std::string& key : {std::string(), longest}) {
    EXPECT_THAT(cluster_->Set(key, "1"), IsOk());
    EXPECT_THAT(cluster_->Increment(key, 1), HoldsValue(2));
    EXPECT_THAT(*cluster_->KeysInSlot(SlotForKey(key), 10), testing::ElementsAre(key));
  }
  Open();
  for (const std::string& key : {std::string(), longest}) {
    EXPECT_THAT(cluster_->Get(key), HoldsValue("2"));
    EXPECT_THAT(cluster_->Delete(key), HoldsValue(true));
    EXPECT_THAT(cluster_->Get(key), IsMissing());
  }
}

TEST_F(ClusterLimitsTest, EveryCallRefusesALongerKey) {
  const std::string key(kMaxKeyBytes + 1, 'k');
  std::string value = "as it was";
  const auto refused =
      HasError(absl::StatusCode::kInvalidArgument, "a key of 65537 bytes exceeds 65536");
  EXPECT_THAT(cluster_->Set(key, "v"), refused);
  EXPECT_THAT(cluster_->Get(key), refused);
  EXPECT_THAT(cluster_->Get(key, &value), refused);
  EXPECT_THAT(cluster_->Delete(key), refused);
  EXPECT_THAT(cluster_->Exists(key), refused);
  EXPECT_THAT(cluster_->Increment(key, 1), refused);
  EXPECT_THAT(cluster_->Append(key, "v"), refused);
  EXPECT_THAT(cluster_->CompareAndSet(key, "v", "w"), refused);
  EXPECT_THAT(cluster_->Expire(key, absl::Seconds(1)), refused);
  EXPECT_THAT(cluster_->Persist(key), refused);
  EXPECT_THAT(cluster_->TimeToLive(key), refused);
  EXPECT_THAT(cluster_->GetAndTouch(key, absl::Seconds(1)), refused);
  EXPECT_EQ(value, "as it was");
  EXPECT_THAT(cluster_->CountKeysInSlot(SlotForKey(key)), HoldsValue(0u));
}

TEST_F(ClusterLimitsTest, RefusesALongerValue) {
  const HugeView huge(kMaxValueBytes + 1);
  const auto refused = HasError(absl::StatusCode::kInvalidArgument, "a value of 536870913 bytes");
  EXPECT_THAT(cluster_->Set("k", "1"), IsOk());
  EXPECT_THAT(cluster_->Set("k", huge.view()), refused);
  EXPECT_THAT(cluster_->Append("k", huge.view()), refused);
  EXPECT_THAT(cluster_->CompareAndSet("k", "1", huge.view()), refused);
  // One byte is there already: the sum is too long.
  EXPECT_THAT(cluster_->Append("k", huge.view().substr(1)),
              HasError(absl::StatusCode::kResourceExhausted, "a value of 536870913 bytes"));
  // What cannot be the value is just another value.
  EXPECT_THAT(cluster_->CompareAndSet("k", huge.view(), "2"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("1"));
}

// Longer than a log segment.
TEST_F(ClusterLimitsTest, AValueOfEightyMegabytes) {
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
