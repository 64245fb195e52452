// DeletePrefix and DeleteAll: what they delete and what not, and in steps of which size.
#include <memory>
#include <set>
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

using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;

class KeyspaceDeleteTest : public ClusterFixture {
 protected:
  void SetUp() override { Open(); }

  void Set(const std::vector<std::string>& keys, std::string_view value = "v") {
    std::vector<KeyValue> entries;
    for (const std::string& key : keys) entries.push_back({key, value});
    ASSERT_THAT(cluster_->MultiSet(entries), Each(IsOk()));
  }
  std::set<std::string> Keys() {
    std::set<std::string> keys;
    ScanOptions options;
    do {
      const absl::StatusOr<ScanPage> page = cluster_->Scan(options);
      EXPECT_THAT(page, IsOk());
      if (!page.ok()) break;
      for (const ScanEntry& entry : page->entries) keys.insert(entry.key);
      options.cursor = page->cursor;
    } while (!options.cursor.empty());
    return keys;
  }
  uint64_t WriteCalls() {
    uint64_t calls = 0;
    for (const ShardStats& shard : cluster_->GetStats().shards) {
      calls += shard.write_latency.count();
    }
    return calls;
  }
};

TEST_F(KeyspaceDeleteTest, WhatBeginsWithThePrefix) {
  const std::vector<std::string> keys = {"user:1", "user:2", "use",    "user",    "userx", "{u}:a",
                                         "{u}:b",  "{u}a:",  "{uu}:a", "{u",      "{}u:1", "{}u:2",
                                         "x{u}:a", "",       "\xff",   "\xff\xff"};
  for (const std::string prefix : {"user:", "user", "u", "{u}", "{u}:", "{u", "{", "{}u:", "x{u}",
                                   "none", "\xff", "\xff\xff"}) {
    SCOPED_TRACE(prefix);
    Set(keys);
    EXPECT_THAT(cluster_->DeletePrefix(prefix), IsOk());
    std::set<std::string> left;
    for (const std::string& key : keys) {
      if (key.substr(0, prefix.size()) != prefix) left.insert(key);
    }
    EXPECT_EQ(Keys(), left);
  }
  Open();
  EXPECT_EQ(Keys().count("\xff\xff"), 0u);
  Set(keys);
  EXPECT_THAT(cluster_->DeletePrefix(""), IsOk());
  EXPECT_THAT(Keys(), IsEmpty());
}

TEST_F(KeyspaceDeleteTest, AllOfThem) {
  std::vector<std::string> keys = {"", std::string(kMaxKeyBytes, 'k')};
  for (int i = 0; i < 3000; ++i) keys.push_back(absl::StrCat(i));
  EXPECT_THAT(cluster_->DeleteAll(), IsOk()) << "of nothing";
  for (const bool flush : {false, true}) {
    ASSERT_THAT(cluster_->DeleteAll(), IsOk());
    Set(keys);
    ASSERT_THAT(cluster_->HashSet("hash", {{"f", "v"}}), IsOk());
    if (flush) {
      ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
    }
    EXPECT_EQ(Keys().size(), keys.size() + 1);
    EXPECT_THAT(cluster_->DeleteAll(), IsOk());
    EXPECT_THAT(Keys(), IsEmpty());
    for (const auto& value : cluster_->MultiGet({"", "0", "2999", "hash"})) {
      EXPECT_THAT(value, IsMissing());
    }
    // What comes afterwards stays.
    Set({"0", "new"}, "again");
    EXPECT_THAT(Keys(), ElementsAre("0", "new"));
    Open();
    EXPECT_THAT(Keys(), ElementsAre("0", "new"));
    EXPECT_THAT(cluster_->Get("0"), HoldsValue("again"));
    EXPECT_THAT(cluster_->HashGet("hash", "f"), IsMissing());
    EXPECT_THAT(cluster_->Verify(), IsOk());
  }
}

TEST_F(KeyspaceDeleteTest, InStepsOfBoundedSize) {
  std::vector<std::string> keys, others;
  for (int i = 0; i < 3500; ++i) keys.push_back(absl::StrCat("{t}", i));
  for (int i = 0; i < 100; ++i) others.push_back(absl::StrCat("{t", i));
  Set(keys);
  Set(others);
  const uint64_t before = WriteCalls();
  EXPECT_THAT(cluster_->DeletePrefix("{t}"), IsOk());
  EXPECT_EQ(WriteCalls() - before, 4u) << "a thousand keys at a time";
  EXPECT_EQ(Keys(), std::set<std::string>(others.begin(), others.end()));
}

TEST_F(KeyspaceDeleteTest, InStepsOfBoundedBytes) {
  std::vector<std::string> keys;
  for (int i = 0; i < 30; ++i) keys.push_back(absl::StrCat("{t}", i, std::string(60000, 'k')));
  Set(keys);
  const uint64_t before = WriteCalls();
  EXPECT_THAT(cluster_->DeletePrefix("{t}"), IsOk());
  EXPECT_EQ(WriteCalls() - before, 6u) << "five such keys come to 256 KiB";
  EXPECT_THAT(Keys(), IsEmpty());
}

TEST_F(KeyspaceDeleteTest, OverManySlots) {
  std::vector<std::string> keys;
  for (int i = 0; i < 5000; ++i) keys.push_back(absl::StrCat("user:", i));
  Set(keys);
  Set({"other"});
  EXPECT_THAT(cluster_->DeletePrefix("user:"), IsOk());
  EXPECT_THAT(Keys(), ElementsAre("other"));
}

TEST_F(KeyspaceDeleteTest, HashesAndWhatHasExpired) {
  ASSERT_THAT(cluster_->HashSet("{t}hash", {{"f", "v"}}), IsOk());
  SetOptions brief;
  brief.ttl = absl::Seconds(1);
  ASSERT_THAT(cluster_->Set("{t}brief", "v", brief), IsOk());
  clock_->Advance(absl::Seconds(1));
  EXPECT_THAT(cluster_->DeletePrefix("{t}"), IsOk());
  EXPECT_THAT(Keys(), IsEmpty());
  EXPECT_THAT(cluster_->HashGet("{t}hash", "f"), IsMissing());
}

TEST_F(KeyspaceDeleteTest, WithoutKeysNothingIsWritten) {
  Set({"other"});
  SetOptions brief;
  brief.ttl = absl::Seconds(1);
  ASSERT_THAT(cluster_->Set("{t}brief", "v", brief), IsOk());
  clock_->Advance(absl::Seconds(1));
  const uint64_t before = WriteCalls();
  EXPECT_THAT(cluster_->DeletePrefix("user:"), IsOk());
  EXPECT_THAT(cluster_->DeletePrefix("{t}"), IsOk());
  EXPECT_EQ(WriteCalls(), before);
}

TEST_F(KeyspaceDeleteTest, RefusesAPrefixThatNoKeyCanHave) {
  Set({"k"});
  EXPECT_THAT(cluster_->DeletePrefix(std::string(kMaxKeyBytes + 1, 'k')),
              HasError(absl::StatusCode::kInvalidArgument, "a key of 65537 bytes"));
  const std::string longest(kMaxKeyBytes, 'k');
  Set({longest});
  EXPECT_THAT(cluster_->DeletePrefix(longest), IsOk());
  EXPECT_THAT(Keys(), ElementsAre("k"));
}

// After an error some are deleted, and the rest can be deleted later.
TEST_F(KeyspaceDeleteTest, TellsOfADiskThatFills) {
  Close();
  const auto hook = std::make_shared<TestHook>();
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options_, path_, hook);
  ASSERT_THAT(cluster, IsOk());
  cluster_ = *std::move(cluster);
  std::vector<std::string> keys;
  for (int i = 0; i < 40; ++i) keys.push_back(absl::StrCat("{t}", i, std::string(60000, 'k')));
  Set(keys);
  Set({"other"});
  hook->Fail(FileOp::kReserve, absl::ResourceExhaustedError("no space"));
  // Until the segment that is open is full.
  absl::Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) {
    status = cluster_->DeletePrefix("{t}");
    if (status.ok()) {
      for (size_t k = 0; k < keys.size() && status.ok(); ++k) status = cluster_->Set(keys[k], "v");
    }
  }
  EXPECT_THAT(status, HasCode(absl::StatusCode::kResourceExhausted));
  hook->Heal();
  EXPECT_THAT(cluster_->DeletePrefix("{t}"), IsOk());
  EXPECT_THAT(Keys(), ElementsAre("other"));
}

TEST_F(KeyspaceDeleteTest, AClosedClusterDeletesNothing) {
  Set({"k"});
  ASSERT_THAT(cluster_->Close(), IsOk());
  EXPECT_THAT(cluster_->DeletePrefix("k"), HasCode(absl::StatusCode::kCancelled));
  EXPECT_THAT(cluster_->DeletePrefix(""), HasCode(absl::StatusCode::kCancelled));
  EXPECT_THAT(cluster_->DeleteAll(), HasCode(absl::StatusCode::kCancelled));
  Open();
  EXPECT_THAT(Keys(), ElementsAre("k"));
}

}  // namespace
}  // namespace slotkv
