// MultiGet and MultiSet: each key's own outcome, by slot and shard.
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr absl::StatusCode kFailedPrecondition = absl::StatusCode::kFailedPrecondition;
constexpr absl::StatusCode kInvalidArgument = absl::StatusCode::kInvalidArgument;

std::vector<std::string_view> Views(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

class KeyspaceManyTest : public ClusterFixture {
 protected:
  void SetUp() override { Open(); }

  void Set(std::string_view key, std::string_view value,
           absl::Duration ttl = absl::InfiniteDuration()) {
    SetOptions options;
    options.ttl = ttl;
    ASSERT_THAT(cluster_->Set(key, value, options), IsOk());
  }
  // How many calls each shard has answered.
  std::vector<uint64_t> ReadCalls() {
    std::vector<uint64_t> calls;
    for (const ShardStats& shard : cluster_->GetStats().shards) {
      calls.push_back(shard.read_latency.count());
    }
    return calls;
  }
  std::vector<uint64_t> WriteCalls() {
    std::vector<uint64_t> calls;
    for (const ShardStats& shard : cluster_->GetStats().shards) {
      calls.push_back(shard.write_latency.count());
    }
    return calls;
  }
};

// ---- MultiGet ----

TEST_F(KeyspaceManyTest, GetsEachInItsPlace) {
  Set("a", "of a");
  Set("{t}b", "of b");
  Set("{t}c", "");
  Set("", "of none");
  const std::string long_key(kMaxKeyBytes + 1, 'k');
  for (int round = 0; round < 2; ++round) {
    const auto results =
        cluster_->MultiGet({"{t}c", "missing", "a", long_key, "{t}b", "a", "", "{t}missing"});
    ASSERT_EQ(results.size(), 8u);
    EXPECT_THAT(results[0], HoldsValue(""));
    EXPECT_THAT(results[1], IsMissing());
    EXPECT_THAT(results[2], HoldsValue("of a"));
    EXPECT_THAT(results[3], HasError(kInvalidArgument, "a key of 65537 bytes exceeds 65536"));
    EXPECT_THAT(results[4], HoldsValue("of b"));
    EXPECT_THAT(results[5], HoldsValue("of a")) << "once more";
    EXPECT_THAT(results[6], HoldsValue("of none"));
    EXPECT_THAT(results[7], IsMissing());
    ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
  }
  EXPECT_THAT(cluster_->MultiGet({}), IsEmpty());
}

TEST_F(KeyspaceManyTest, GetsIntoBuffers) {
  Set("a", "short");
  Set("b", "of b");
  const std::vector<std::string_view> keys = {"a", "missing", "b"};
  std::vector<std::string> values = {"", "as it was", ""};
  values[0].reserve(1000);
  const char* const buffer = values[0].data();
  std::vector<absl::Status> statuses(3, absl::UnknownError("of another call"));
  cluster_->MultiGet(keys, absl::MakeSpan(values), absl::MakeSpan(statuses));
  EXPECT_THAT(statuses, ElementsAre(IsOk(), IsMissing(), IsOk()));
  EXPECT_THAT(values, ElementsAre("short", "as it was", "of b"));
  EXPECT_EQ(values[0].data(), buffer);
}

TEST_F(KeyspaceManyTest, BuffersThatDoNotFitAreAMistake) {
  std::vector<std::string> values(1);
  std::vector<absl::Status> statuses(2);
  EXPECT_DEATH(cluster_->MultiGet({"a", "b"}, absl::MakeSpan(values), absl::MakeSpan(statuses)),
               "check failed");
  EXPECT_DEATH(
      cluster_->MultiGet({"a"}, absl::MakeSpan(values), absl::MakeSpan(statuses.data(), 0)),
      "check failed");
}

TEST_F(KeyspaceManyTest, AHashIsOfAnotherType) {
  ASSERT_THAT(cluster_->HashSet("h", {{"field", "value"}}), IsOk());
  Set("s", "string");
  const auto results = cluster_->MultiGet({"h", "s"});
  EXPECT_THAT(results[0], HasError(kFailedPrecondition, "another type"));
  EXPECT_THAT(results[1], HoldsValue("string"));
}

TEST_F(KeyspaceManyTest, WhatHasExpiredIsMissing) {
  Set("brief", "1", absl::Seconds(1));
  Set("long", "2", absl::Seconds(2));
  Set("ever", "3");
  clock_->Advance(absl::Seconds(1));
  const auto results = cluster_->MultiGet({"brief", "long", "ever"});
  EXPECT_THAT(results[0], IsMissing());
  EXPECT_THAT(results[1], HoldsValue("2"));
  EXPECT_THAT(results[2], HoldsValue("3"));
}

// Thousands of keys, whatever slots they are in and however the store has them.
TEST_F(KeyspaceManyTest, GetsManyFromEverywhere) {
  std::mt19937_64 random(TestSeed());
  std::vector<std::string> keys;
  for (int i = 0; i < 3000; ++i) {
    // Some share their first bytes and more.
    keys.push_back(i % 3 == 0 ? absl::StrCat("{tag", i % 10, "}common", i)
                              : absl::StrCat(i, std::string(random() % 20, 'x')));
    if (i % 4 != 0) Set(keys.back(), absl::StrCat("of ", i));
    if (i == 1000 || i == 2000) {
      ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
    }
  }
  std::vector<size_t> order;
  for (int i = 0; i < 4000; ++i) order.push_back(random() % keys.size());
  std::vector<std::string_view> asked;
  for (const size_t i : order) asked.push_back(keys[i]);
  const auto results = cluster_->MultiGet(asked);
  for (size_t i = 0; i < order.size(); ++i) {
    if (order[i] % 4 == 0) {
      ASSERT_THAT(results[i], IsMissing()) << asked[i];
    } else {
      ASSERT_THAT(results[i], HoldsValue(absl::StrCat("of ", order[i]))) << asked[i];
    }
  }
}

TEST_F(KeyspaceManyTest, ReadsEachShardsStoreOnce) {
  std::vector<std::string> keys;
  for (int i = 0; i < 1000; ++i) keys.push_back(absl::StrCat("key", i));
  EXPECT_THAT(ReadCalls(), ElementsAre(0, 0, 0));
  cluster_->MultiGet(Views(keys));
  EXPECT_THAT(ReadCalls(), ElementsAre(1, 1, 1));
  // Slot 0 is the first shard's, 16383 the last's.
  cluster_->MultiGet({"{06S}a", "{6ZJ}a", "{06S}b"});
  EXPECT_THAT(ReadCalls(), ElementsAre(2, 1, 2));
  uint64_t reads = 0;
  for (const ShardStats& shard : cluster_->GetStats().shards) reads += shard.reads;
  EXPECT_EQ(reads, 1003u);
}

// ---- MultiSet ----

TEST_F(KeyspaceManyTest, SetsEachOnItsOwn) {
  Set("there", "old");
  ASSERT_THAT(cluster_->HashSet("hash", {{"field", "value"}}), IsOk());
  const std::string long_key(kMaxKeyBytes + 1, 'k');
  SetOptions options;
  options.condition = SetCondition::kIfAbsent;
  const auto statuses = cluster_->MultiSet(
      {{"a", "1"}, {"there", "2"}, {long_key, "3"}, {"", "4"}, {"hash", "5"}, {"a", "6"}}, options);
  EXPECT_THAT(statuses, ElementsAre(IsOk(), HasError(kFailedPrecondition, "the key exists"),
                                    HasError(kInvalidArgument, "a key of 65537 bytes"), IsOk(),
                                    HasCode(kFailedPrecondition), HasCode(kFailedPrecondition)));
  EXPECT_THAT(cluster_->Get("a"), HoldsValue("1"));
  EXPECT_THAT(cluster_->Get("there"), HoldsValue("old"));
  EXPECT_THAT(cluster_->Get(""), HoldsValue("4"));
  EXPECT_THAT(cluster_->MultiSet({}), IsEmpty());
}

TEST_F(KeyspaceManyTest, SetsTheSameKeyInOrder) {
  // More than one write group takes, and others in between.
  std::vector<std::string> values;
  for (int i = 0; i < 1500; ++i) values.push_back(absl::StrCat(i));
  std::vector<KeyValue> entries;
  for (const std::string& value : values) {
    entries.push_back({"same", value});
    entries.push_back({value, value});
  }
  EXPECT_THAT(cluster_->MultiSet(entries), Each(IsOk()));
  EXPECT_THAT(cluster_->Get("same"), HoldsValue("1499"));
  for (const std::string& value : values) {
    ASSERT_THAT(cluster_->Get(value), HoldsValue(value));
  }
  SetOptions if_present;
  if_present.condition = SetCondition::kIfPresent;
  EXPECT_THAT(cluster_->MultiSet({{"new", "1"}, {"same", "2"}, {"same", "3"}}, if_present),
              ElementsAre(HasCode(kFailedPrecondition), IsOk(), IsOk()));
  EXPECT_THAT(cluster_->Get("same"), HoldsValue("3"));
}

TEST_F(KeyspaceManyTest, SetsExpiries) {
  SetOptions options;
  options.ttl = absl::Seconds(5);
  EXPECT_THAT(cluster_->MultiSet({{"a", "1"}, {"b", "2"}}, options), Each(IsOk()));
  EXPECT_THAT(cluster_->TimeToLive("a"), HoldsValue(absl::Seconds(5)));
  SetOptions keep;
  keep.keep_ttl = true;
  EXPECT_THAT(cluster_->MultiSet({{"a", "3"}, {"c", "4"}}, keep), Each(IsOk()));
  EXPECT_THAT(cluster_->TimeToLive("a"), HoldsValue(absl::Seconds(5)));
  EXPECT_THAT(cluster_->TimeToLive("c"), HoldsValue(absl::InfiniteDuration()));
  EXPECT_THAT(cluster_->MultiSet({{"b", "5"}}), Each(IsOk()));
  EXPECT_THAT(cluster_->TimeToLive("b"), HoldsValue(absl::InfiniteDuration()));
  options_.default_ttl = absl::Seconds(7);
  Open();
  EXPECT_THAT(cluster_->MultiSet({{"b", "6"}}), Each(IsOk()));
  EXPECT_THAT(cluster_->TimeToLive("b"), HoldsValue(absl::Seconds(7)));
  EXPECT_THAT(cluster_->MultiSet({{"b", "6"}}, options), Each(IsOk()));
  EXPECT_THAT(cluster_->TimeToLive("b"), HoldsValue(absl::Seconds(5)));
}

TEST_F(KeyspaceManyTest, WrongOptionsAreWrongForAll) {
  SetOptions options;
  options.ttl = absl::ZeroDuration();
  EXPECT_THAT(cluster_->MultiSet({{"a", "1"}, {"b", "2"}}, options),
              Each(HasError(kInvalidArgument, "SetOptions.ttl")));
  options.ttl = absl::Seconds(1);
  options.keep_ttl = true;
  EXPECT_THAT(cluster_->MultiSet({{"a", "1"}, {"b", "2"}}, options),
              Each(HasError(kInvalidArgument, "keep_ttl")));
  EXPECT_THAT(cluster_->Get("a"), IsMissing());
}

TEST_F(KeyspaceManyTest, BringsManyToAShardAtOnce) {
  std::vector<std::string> keys;
  for (int i = 0; i < 600; ++i) keys.push_back(absl::StrCat("key", i));
  std::vector<KeyValue> entries;
  for (const std::string& key : keys) entries.push_back({key, "v"});
  EXPECT_THAT(cluster_->MultiSet(entries), Each(IsOk()));
  EXPECT_THAT(WriteCalls(), ElementsAre(1, 1, 1));
  Open();
  for (const auto& value : cluster_->MultiGet(Views(keys))) EXPECT_THAT(value, HoldsValue("v"));
}

TEST_F(KeyspaceManyTest, LargeValues) {
  std::vector<std::string> keys, values;
  for (int i = 0; i < 12; ++i) {
    keys.push_back(absl::StrCat("key", i));
    values.emplace_back(700000, static_cast<char>('a' + i));
  }
  std::vector<KeyValue> entries;
  for (int i = 0; i < 12; ++i) entries.push_back({keys[i], values[i]});
  EXPECT_THAT(cluster_->MultiSet(entries), Each(IsOk()));
  for (int round = 0; round < 2; ++round) {
    const auto results = cluster_->MultiGet(Views(keys));
    for (int i = 0; i < 12; ++i) EXPECT_THAT(results[i], HoldsValue(values[i]));
    Open();
  }
}

TEST_F(KeyspaceManyTest, AClosedClusterAnswersEach) {
  Set("a", "1");
  ASSERT_THAT(cluster_->Close(), IsOk());
  EXPECT_THAT(cluster_->MultiGet({"a", "b"}), Each(HasCode(absl::StatusCode::kCancelled)));
  EXPECT_THAT(cluster_->MultiSet({{"a", "1"}, {"b", "2"}}),
              Each(HasCode(absl::StatusCode::kCancelled)));
}

}  // namespace
}  // namespace slotkv
