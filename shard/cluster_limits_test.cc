// How long keys and values may be, and what they are part of.
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

TEST_F(ClusterLimitsTest, CallsOnManyKeysTakeTheShortestAndTheLongest) {
  const std::string longest(kMaxKeyBytes, 'k');
  for (const std::string& key : {std::string(), longest}) {
    SCOPED_TRACE(key.size());
    WriteBatch batch;
    batch.Set(key, "of a batch");
    EXPECT_THAT(cluster_->Write(batch), IsOk());
    EXPECT_THAT(cluster_->MultiGet({key})[0], HoldsValue("of a batch"));
    batch.Clear();
    batch.Delete(key);
    EXPECT_THAT(cluster_->Write(batch), IsOk());
    const auto loader = [](std::string_view) -> absl::StatusOr<std::string> { return "loaded"; };
    EXPECT_THAT(cluster_->GetOrLoad(key, loader), HoldsValue("loaded"));
    EXPECT_THAT(cluster_->MultiSet({{key, "set"}})[0], IsOk());
    ASSERT_EQ(cluster_->Scan()->entries.size(), 1u);
    EXPECT_EQ(cluster_->Scan()->entries[0].key, key);
    EXPECT_THAT(cluster_->SetRange(key, 3, "!"), HoldsValue(4u));
    EXPECT_THAT(cluster_->Delete(key), HoldsValue(true));
    EXPECT_THAT(cluster_->HashSet(key, {{"", ""}}), HoldsValue(1u));
    Open();
    EXPECT_THAT(cluster_->HashGet(key, ""), HoldsValue(""));
    EXPECT_THAT(cluster_->HashDelete(key, {""}), HoldsValue(1u));
    EXPECT_THAT(cluster_->Scan()->entries, testing::IsEmpty());
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
  EXPECT_THAT(cluster_->SetRange(key, 0, "v"), refused);
  EXPECT_THAT(cluster_->MultiGet({key})[0], refused);
  EXPECT_THAT(cluster_->MultiSet({{key, "v"}})[0], refused);
  WriteBatch batch;
  batch.Set(key, "v");
  EXPECT_THAT(cluster_->Write(batch), refused);
  EXPECT_THAT(cluster_->DeletePrefix(key), refused);
  EXPECT_THAT(
      cluster_->GetOrLoad(key, [](std::string_view) -> absl::StatusOr<std::string> { return "v"; }),
      refused);
  EXPECT_THAT(cluster_->HashSet(key, {{"f", "v"}}), refused);
  EXPECT_THAT(cluster_->HashGet(key, "f"), refused);
  EXPECT_THAT(cluster_->HashGetAll(key), refused);
  EXPECT_THAT(cluster_->HashDelete(key, {"f"}), refused);
  ScanOptions with_prefix;
  with_prefix.prefix = key;
  EXPECT_THAT(cluster_->Scan(with_prefix), refused);
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
  EXPECT_THAT(cluster_->SetRange("k", 0, huge.view()), refused);
  const auto statuses = cluster_->MultiSet({{"j", "2"}, {"k", huge.view()}});
  EXPECT_THAT(statuses[0], IsOk());
  EXPECT_THAT(statuses[1], refused);
  // One byte is there already: the sum is too long.
  EXPECT_THAT(cluster_->Append("k", huge.view().substr(1)),
              HasError(absl::StatusCode::kResourceExhausted, "a value of 536870913 bytes"));
  // What cannot be the value is just another value.
  EXPECT_THAT(cluster_->CompareAndSet("k", huge.view(), "2"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("1"));
}

TEST_F(ClusterLimitsTest, SetRangeRefusesToGrowAValueBeyond) {
  const auto beyond = HasError(absl::StatusCode::kResourceExhausted, "would exceed 536870912");
  ASSERT_THAT(cluster_->Set("k", "12345"), IsOk());
  for (const uint64_t offset : {uint64_t{kMaxValueBytes}, uint64_t{kMaxValueBytes} - 1,
                                uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 1}) {
    EXPECT_THAT(cluster_->SetRange("k", offset, "ab"), beyond) << offset;
    EXPECT_THAT(cluster_->SetRange("missing", offset, "ab"), beyond) << offset;
    // No bytes change nothing, wherever.
    EXPECT_THAT(cluster_->SetRange("k", offset, ""), HoldsValue(5u));
    EXPECT_THAT(cluster_->SetRange("missing", offset, ""), HoldsValue(0u));
  }
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("12345"));
  EXPECT_THAT(cluster_->Exists("missing"), HoldsValue(false));
}

}  // namespace
}  // namespace slotkv
