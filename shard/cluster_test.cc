// The calls on one key, and on one slot, without expiry; see also the tests beside this one.
#include "slotkv/cluster.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/cluster_fixture.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

class ClusterTest : public ClusterFixture {
 protected:
  void SetUp() override { Open(); }

  void Set(std::string_view key, std::string_view value, const SetOptions& options = {}) {
    ASSERT_THAT(cluster_->Set(key, value, options), IsOk());
  }
};

TEST_F(ClusterTest, SetsAndGets) {
  EXPECT_THAT(cluster_->Get("foo"), IsMissing());
  Set("foo", "bar");
  EXPECT_THAT(cluster_->Get("foo"), HoldsValue("bar"));
  Set("foo", "baz");
  EXPECT_THAT(cluster_->Get("foo"), HoldsValue("baz"));
  Open();
  EXPECT_THAT(cluster_->Get("foo"), HoldsValue("baz"));
}

TEST_F(ClusterTest, GetsIntoABuffer) {
  std::string value = "as it was";
  EXPECT_THAT(cluster_->Get("foo", &value), IsMissing());
  EXPECT_EQ(value, "as it was");
  Set("foo", "short");
  value.reserve(1000);
  const char* const buffer = value.data();
  EXPECT_THAT(cluster_->Get("foo", &value), IsOk());
  EXPECT_EQ(value, "short");
  EXPECT_EQ(value.data(), buffer);
}

TEST_F(ClusterTest, KeysAndValuesAreBinary) {
  const std::string all = [] {
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
    return bytes;
  }();
  const std::vector<std::string> keys = {"",
                                         std::string(1, '\0'),
                                         std::string(2, '\0'),
                                         "\xff",
                                         "\xff\xff",
                                         "a\n",
                                         "{}",
                                         "{}foo",
                                         "foo{bar}{zap}",
                                         all};
  for (const std::string& key : keys) Set(key, absl::StrCat(key, all, key));
  Set("empty", "");
  for (int round = 0; round < 2; ++round) {
    for (const std::string& key : keys) {
      EXPECT_THAT(cluster_->Get(key), HoldsValue(absl::StrCat(key, all, key)));
    }
    EXPECT_THAT(cluster_->Get("empty"), HoldsValue(""));
    EXPECT_THAT(cluster_->Exists("empty"), HoldsValue(true));
    EXPECT_THAT(cluster_->Verify(), IsOk());
    Open();
  }
}

TEST_F(ClusterTest, DeletesAndExists) {
  EXPECT_THAT(cluster_->Exists("foo"), HoldsValue(false));
  EXPECT_THAT(cluster_->Delete("foo"), HoldsValue(false));
  Set("foo", "bar");
  EXPECT_THAT(cluster_->Exists("foo"), HoldsValue(true));
  EXPECT_THAT(cluster_->Delete("foo"), HoldsValue(true));
  EXPECT_THAT(cluster_->Delete("foo"), HoldsValue(false));
  EXPECT_THAT(cluster_->Get("foo"), IsMissing());
  Open();
  EXPECT_THAT(cluster_->Get("foo"), IsMissing());
}

// Every SetOptions there is, on a key that is missing, or there, or there with an expiry.
TEST_F(ClusterTest, EverySetOption) {
  enum class Before { kMissing, kPlain, kExpiring, kExpired };
  for (const Before before :
       {Before::kMissing, Before::kPlain, Before::kExpiring, Before::kExpired}) {
    for (const SetCondition condition :
         {SetCondition::kAlways, SetCondition::kIfAbsent, SetCondition::kIfPresent}) {
      for (const bool keep_ttl : {false, true}) {
        for (const bool with_ttl : {false, true}) {
          SCOPED_TRACE(absl::StrCat(static_cast<int>(before), " ", static_cast<int>(condition), " ",
                                    keep_ttl, " ", with_ttl));
          ASSERT_THAT(cluster_->Delete("key"), IsOk());
          SetOptions expiring;
          if (before != Before::kPlain) expiring.ttl = absl::Seconds(10);
          if (before != Before::kMissing) Set("key", "old", expiring);
          if (before == Before::kExpired) clock_->Advance(absl::Seconds(10));
          const bool was_there = before == Before::kPlain || before == Before::kExpiring;
          const bool had_expiry = before == Before::kExpiring;

          SetOptions options;
          options.condition = condition;
          options.keep_ttl = keep_ttl;
          if (with_ttl) options.ttl = absl::Seconds(20);
          const absl::Status status = cluster_->Set("key", "new", options);
          const bool valid = !(keep_ttl && with_ttl);
          const bool holds = condition == SetCondition::kAlways ||
                             (condition == SetCondition::kIfPresent) == was_there;
          if (!valid) {
            EXPECT_THAT(status, HasError(absl::StatusCode::kInvalidArgument, "keep_ttl"));
          } else if (!holds) {
            EXPECT_THAT(status, HasError(absl::StatusCode::kFailedPrecondition,
                                         was_there ? "the key exists" : "does not exist"));
          } else {
            EXPECT_THAT(status, IsOk());
          }

          if (!valid || !holds) {
            if (!was_there) {
              EXPECT_THAT(cluster_->Get("key"), IsMissing());
              continue;
            }
            EXPECT_THAT(cluster_->Get("key"), HoldsValue("old"));
          } else {
            EXPECT_THAT(cluster_->Get("key"), HoldsValue("new"));
          }
          absl::Duration left = absl::InfiniteDuration();
          if (valid && holds && with_ttl) {
            left = absl::Seconds(20);
          } else if (had_expiry && (keep_ttl || !holds || !valid)) {
            left = absl::Seconds(10);
          }
          EXPECT_THAT(cluster_->TimeToLive("key"), HoldsValue(left));
        }
      }
    }
  }
}

TEST_F(ClusterTest, RefusesWrongSetOptions) {
  SetOptions options;
  for (const absl::Duration ttl :
       {absl::ZeroDuration(), absl::Nanoseconds(-1), -absl::InfiniteDuration()}) {
    options.ttl = ttl;
    EXPECT_THAT(cluster_->Set("foo", "bar", options),
                HasError(absl::StatusCode::kInvalidArgument, "SetOptions.ttl"));
  }
  EXPECT_THAT(cluster_->Get("foo"), IsMissing());
}

TEST_F(ClusterTest, IncrementsFromNothing) {
  EXPECT_THAT(cluster_->Increment("n", 5), HoldsValue(5));
  EXPECT_THAT(cluster_->Increment("n", -7), HoldsValue(-2));
  EXPECT_THAT(cluster_->Increment("n", 0), HoldsValue(-2));
  EXPECT_THAT(cluster_->Get("n"), HoldsValue("-2"));
  EXPECT_THAT(cluster_->Increment("zero", 0), HoldsValue(0));
  EXPECT_THAT(cluster_->Get("zero"), HoldsValue("0"));
}

TEST_F(ClusterTest, IncrementTakesRedisIntegers) {
  for (const int64_t good : {int64_t{0}, int64_t{-1}, int64_t{10}, kMax, kMin}) {
    Set("n", absl::StrCat(good));
    EXPECT_THAT(cluster_->Increment("n", 0), HoldsValue(good));
  }
  const std::string_view kBad[] = {"",
                                   " ",
                                   " 1",
                                   "1 ",
                                   "+1",
                                   "01",
                                   "-0",
                                   "-01",
                                   "00",
                                   "--1",
                                   "-",
                                   "1.0",
                                   "1e3",
                                   "0x1",
                                   "1\n",
                                   "\t1",
                                   "abc",
                                   "1_000",
                                   "9223372036854775808",
                                   "-9223372036854775809",
                                   "18446744073709551616",
                                   "00000000000000000001",
                                   std::string_view("1\0", 2),
                                   std::string_view("\0"
                                                    "1",
                                                    2)};
  for (const std::string_view bad : kBad) {
    Set("n", bad);
    EXPECT_THAT(cluster_->Increment("n", 1),
                HasError(absl::StatusCode::kFailedPrecondition, "not an integer"))
        << '"' << bad << '"';
    EXPECT_THAT(cluster_->Get("n"), HoldsValue(bad));
  }
}

TEST_F(ClusterTest, IncrementRefusesToOverflow) {
  struct {
    int64_t value, delta;
    std::optional<int64_t> sum;
  } const kCases[] = {
      {kMax, 1, std::nullopt},   {kMax, 0, kMax},         {kMax - 1, 1, kMax},
      {kMin, -1, std::nullopt},  {kMin, 0, kMin},         {kMin + 1, -1, kMin},
      {kMax, kMin, -1},          {kMin, kMax, -1},        {-1, kMin, std::nullopt},
      {0, kMin, kMin},           {1, kMax, std::nullopt}, {kMax, kMax, std::nullopt},
      {kMin, kMin, std::nullopt}};
  for (const auto& c : kCases) {
    Set("n", absl::StrCat(c.value));
    const absl::StatusOr<int64_t> sum = cluster_->Increment("n", c.delta);
    if (c.sum.has_value()) {
      EXPECT_THAT(sum, HoldsValue(*c.sum));
    } else {
      EXPECT_THAT(sum, HasError(absl::StatusCode::kOutOfRange, "overflow"));
    }
    EXPECT_THAT(cluster_->Get("n"), HoldsValue(absl::StrCat(c.sum.value_or(c.value))));
  }
}

TEST_F(ClusterTest, Appends) {
  EXPECT_THAT(cluster_->Append("a", ""), HoldsValue(0u));
  EXPECT_THAT(cluster_->Get("a"), HoldsValue(""));
  EXPECT_THAT(cluster_->Append("a", "12"), HoldsValue(2u));
  EXPECT_THAT(cluster_->Append("a", std::string_view("\0"
                                                     "3",
                                                     2)),
              HoldsValue(4u));
  EXPECT_THAT(cluster_->Append("a", ""), HoldsValue(4u));
  EXPECT_THAT(cluster_->Get("a"), HoldsValue(std::string_view("12\0"
                                                              "3",
                                                              4)));
}

TEST_F(ClusterTest, ComparesAndSets) {
  EXPECT_THAT(cluster_->CompareAndSet("c", "", "new"),
              HasError(absl::StatusCode::kFailedPrecondition, "does not exist"));
  EXPECT_THAT(cluster_->Get("c"), IsMissing());
  Set("c", "one");
  EXPECT_THAT(cluster_->CompareAndSet("c", "two", "three"),
              HasError(absl::StatusCode::kFailedPrecondition, "another"));
  EXPECT_THAT(cluster_->CompareAndSet("c", "on", "three"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(cluster_->Get("c"), HoldsValue("one"));
  EXPECT_THAT(cluster_->CompareAndSet("c", "one", ""), IsOk());
  EXPECT_THAT(cluster_->CompareAndSet("c", "", ""), IsOk());
  EXPECT_THAT(cluster_->CompareAndSet("c", "", "two"), IsOk());
  EXPECT_THAT(cluster_->Get("c"), HoldsValue("two"));
}

TEST_F(ClusterTest, ListsASlotsKeysInOrder) {
  // The first slot, the last one, and one between.
  for (const auto& [tag, slot] :
       {std::make_pair("{06S}", Slot{0}), {"{6ZJ}", Slot{16383}}, {"{450}", Slot{5462}}}) {
    SCOPED_TRACE(slot);
    EXPECT_THAT(cluster_->CountKeysInSlot(slot), HoldsValue(0u));
    EXPECT_THAT(cluster_->KeysInSlot(slot, 10), HoldsValue(std::vector<std::string>()));
    for (const char* const suffix : {"b", "", "\xff", "a"}) Set(absl::StrCat(tag, suffix), "v");
    SetOptions brief;
    brief.ttl = absl::Seconds(1);
    Set(absl::StrCat(tag, "aa"), "brief", brief);
    EXPECT_THAT(cluster_->CountKeysInSlot(slot), HoldsValue(5u));
    clock_->Advance(absl::Seconds(1));
    EXPECT_THAT(cluster_->CountKeysInSlot(slot), HoldsValue(4u));
    const std::string t = tag;
    EXPECT_THAT(*cluster_->KeysInSlot(slot, 100), ElementsAre(t, t + "a", t + "b", t + "\xff"));
    EXPECT_THAT(*cluster_->KeysInSlot(slot, 4), ElementsAre(t, t + "a", t + "b", t + "\xff"));
    EXPECT_THAT(*cluster_->KeysInSlot(slot, 2), ElementsAre(t, t + "a"));
    EXPECT_THAT(*cluster_->KeysInSlot(slot, 0), IsEmpty());
    ASSERT_THAT(cluster_->Delete(t + "a"), HoldsValue(true));
    EXPECT_THAT(cluster_->CountKeysInSlot(slot), HoldsValue(3u));
  }
  EXPECT_THAT(cluster_->CountKeysInSlot(1), HoldsValue(0u));
  EXPECT_THAT(cluster_->CountKeysInSlot(16382), HoldsValue(0u));
  EXPECT_THAT(cluster_->CountKeysInSlot(kSlotCount),
              HasError(absl::StatusCode::kInvalidArgument, "slot 16384"));
  EXPECT_THAT(cluster_->KeysInSlot(65535, 1), HasCode(absl::StatusCode::kInvalidArgument));
}

TEST_F(ClusterTest, SpreadsSlotsAsRedisCli) {
  const Topology topology = cluster_->GetTopology();
  std::vector<int> counts;
  for (const ShardInfo& shard : topology.shards()) {
    int count = 0;
    for (const SlotRange& range : shard.slots) count += range.last - range.first + 1;
    counts.push_back(count);
  }
  EXPECT_THAT(counts, ElementsAre(5461, 5462, 5461));
  EXPECT_NE(topology.OwnerOf(0), topology.OwnerOf(16383));
}

}  // namespace
}  // namespace slotkv
