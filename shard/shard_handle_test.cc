// Shard handles: the calls of Keyspace for one shard's keys, and redirects for all others.
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

using testing::Each;
using testing::ElementsAre;

// {06S} is slot 0, the first shard's; {6ZJ} is slot 16383, the last's.
constexpr std::string_view kFirstTag = "{06S}", kLastTag = "{6ZJ}";

class ShardHandleTest : public ClusterFixture {
 protected:
  void SetUp() override { Open(); }

  Shard Handle(ShardId id) {
    absl::StatusOr<Shard> shard = cluster_->shard(id);
    EXPECT_THAT(shard, IsOk());
    return *shard;
  }
  ShardId FirstId() { return cluster_->GetTopology().shards().front().id; }
  ShardId LastId() { return cluster_->GetTopology().shards().back().id; }
};

MATCHER_P2(IsMovedTo, slot, shard, "") {
  *result_listener << StatusOf(arg);
  const std::optional<Redirect> redirect = GetRedirect(StatusOf(arg));
  return absl::IsAborted(StatusOf(arg)) && redirect.has_value() &&
         *redirect == Redirect{Redirect::kMoved, slot, shard} &&
         StatusOf(arg).message() == absl::StrCat("MOVED ", slot, " ", shard.ToString());
}

// Each call on a key, its outcome as a Status. All succeed where there is nothing yet, but for
// those that find nothing.
std::vector<std::function<absl::Status(Keyspace*, std::string_view)>> EveryCall() {
  using K = Keyspace*;
  using S = std::string_view;
  return {
      [](K k, S key) { return k->Set(key, "1"); },
      [](K k, S key) { return k->Get(key).status(); },
      [](K k, S key) {
        std::string value;
        return k->Get(key, &value);
      },
      [](K k, S key) { return k->Exists(key).status(); },
      [](K k, S key) { return k->Increment(key, 1).status(); },
      [](K k, S key) { return k->Append(key, "0").status(); },
      [](K k, S key) { return k->SetRange(key, 0, "3").status(); },
      [](K k, S key) { return k->CompareAndSet(key, "30", "31"); },
      [](K k, S key) { return k->Expire(key, absl::Hours(1)).status(); },
      [](K k, S key) { return k->TimeToLive(key).status(); },
      [](K k, S key) { return k->Persist(key).status(); },
      [](K k, S key) { return k->GetAndTouch(key, absl::Hours(1)).status(); },
      [](K k, S key) {
        return k->MultiGet({key, key})[1].status();
      },
      [](K k, S key) {
        return k->MultiSet({{key, "1"}, {key, "2"}})[1];
      },
      [](K k, S key) {
        WriteBatch batch;
        batch.Set(key, "3");
        return k->Write(batch);
      },
      [](K k, S key) { return k->Delete(key).status(); },
      [](K k, S key) {
        return k
            ->GetOrLoad(key,
                        [](std::string_view) -> absl::StatusOr<std::string> { return "loaded"; })
            .status();
      },
      [](K k, S key) { return k->DeletePrefix(key); },
      [](K k, S key) {
        return k->HashSet(key, {{"f", "v"}}).status();
      },
      [](K k, S key) { return k->HashGet(key, "f").status(); },
      [](K k, S key) { return k->HashGetAll(key).status(); },
      [](K k, S key) { return k->HashDelete(key, {"f"}).status(); },
      [](K k, S key) { return k->CountKeysInSlot(SlotForKey(key)).status(); },
      [](K k, S key) { return k->KeysInSlot(SlotForKey(key), 5).status(); },
  };
}

TEST_F(ShardHandleTest, EveryCallAnswersForItsOwnKeys) {
  Shard first = Handle(FirstId()), last = Handle(LastId());
  EXPECT_EQ(first.id(), FirstId());
  int call_number = 0;
  for (const auto& call : EveryCall()) {
    SCOPED_TRACE(call_number++);
    const absl::Status status = call(&first, "{06S}key");
    EXPECT_FALSE(absl::IsAborted(status));
    EXPECT_EQ(status.code(), call(cluster_.get(), "{06S}twin").code());
    EXPECT_THAT(call(&last, "{06S}key"), IsMovedTo(Slot{0}, FirstId()));
  }
  ASSERT_THAT(cluster_->DeleteAll(), IsOk());
  for (const auto& call : EveryCall()) {
    EXPECT_THAT(call(&first, "{6ZJ}key"), IsMovedTo(Slot{16383}, LastId()));
  }
  EXPECT_THAT(cluster_->Scan()->entries, testing::IsEmpty()) << "a foreign key was written";
}

TEST_F(ShardHandleTest, ALoaderOfAForeignKeyDoesNotRun) {
  Shard first = Handle(FirstId());
  EXPECT_THAT(first.GetOrLoad("{6ZJ}key",
                              [](std::string_view) -> absl::StatusOr<std::string> {
                                ADD_FAILURE();
                                return "loaded";
                              }),
              IsMovedTo(Slot{16383}, LastId()));
}

// As a server of Redis Cluster: the keys of one call are of one slot, wherever they are.
TEST_F(ShardHandleTest, KeysOfSeveralSlotsAreRefused) {
  Shard first = Handle(FirstId());
  const auto cross_slot = HasError(absl::StatusCode::kInvalidArgument, "CROSSSLOT Keys in request");
  std::string second;  // of slot 1, which is the first shard's, too
  for (int i = 0; second.empty() || SlotForKey(second) != 1; ++i) second = absl::StrCat(i);
  const std::vector<std::string_view> here = {"{06S}a", second};
  EXPECT_THAT(first.MultiGet(here), Each(cross_slot));
  EXPECT_THAT(first.MultiGet({"{06S}a", "{6ZJ}a"}), Each(cross_slot));
  EXPECT_THAT(first.MultiSet({{here[0], "1"}, {here[1], "2"}}), Each(cross_slot));
  WriteBatch batch;
  batch.Set(here[0], "1");
  batch.Set(here[1], "2");
  EXPECT_THAT(first.Write(batch), cross_slot);
  EXPECT_THAT(cluster_->Scan()->entries, testing::IsEmpty());
  // The cluster itself does not mind, but for batches.
  EXPECT_THAT(cluster_->MultiSet({{here[0], "1"}, {here[1], "2"}}), Each(IsOk()));
  EXPECT_THAT(cluster_->Write(batch), cross_slot);
  // Of one slot.
  EXPECT_THAT(first.MultiSet({{"{06S}a", "3"}, {"{06S}b", "4"}}), Each(IsOk()));
  const auto values = first.MultiGet({"{06S}b", "{06S}none", "{06S}a"});
  EXPECT_THAT(values[0], HoldsValue("4"));
  EXPECT_THAT(values[1], IsMissing());
  EXPECT_THAT(values[2], HoldsValue("3"));
  EXPECT_THAT(first.MultiGet({}), testing::IsEmpty());
  EXPECT_THAT(first.MultiSet({}), testing::IsEmpty());
  EXPECT_THAT(first.Write(WriteBatch()), IsOk());
}

TEST_F(ShardHandleTest, ScansAndDeletesKeepToItsSlots) {
  std::set<std::string> all;
  for (int i = 0; i < 500; ++i) {
    all.insert(absl::StrCat("key", i));
    ASSERT_THAT(cluster_->Set(absl::StrCat("key", i), "v"), IsOk());
  }
  const auto keys = [](Keyspace* keyspace) {
    std::set<std::string> found;
    ScanOptions options;
    options.limit = 7;
    do {
      const absl::StatusOr<ScanPage> page = keyspace->Scan(options);
      EXPECT_THAT(page, IsOk());
      for (const ScanEntry& entry : page->entries) EXPECT_TRUE(found.insert(entry.key).second);
      options.cursor = page->cursor;
    } while (!options.cursor.empty());
    return found;
  };
  const Topology topology = cluster_->GetTopology();
  std::set<std::string> together;
  for (const ShardInfo& info : topology.shards()) {
    Shard shard = Handle(info.id);
    for (const std::string& key : keys(&shard)) {
      EXPECT_EQ(topology.OwnerOf(SlotForKey(key)), info.id);
      EXPECT_TRUE(together.insert(key).second);
    }
  }
  EXPECT_EQ(together, all);
  // A prefix of another shard's slot: nothing is there.
  Shard first = Handle(FirstId()), last = Handle(LastId());
  ASSERT_THAT(cluster_->Set("{6ZJ}key", "v"), IsOk());
  ScanOptions of_last;
  of_last.prefix = "{6ZJ}";
  EXPECT_THAT(first.Scan(of_last)->entries, testing::IsEmpty());
  EXPECT_EQ(last.Scan(of_last)->entries.size(), 1u);

  EXPECT_THAT(first.DeletePrefix("key1"), IsOk());
  std::set<std::string> left;
  for (const std::string& key : all) {
    const bool of_first = topology.OwnerOf(SlotForKey(key)) == FirstId();
    if (!(of_first && key.substr(0, 4) == "key1")) left.insert(key);
  }
  left.insert("{6ZJ}key");
  EXPECT_EQ(keys(cluster_.get()), left);
  EXPECT_THAT(first.DeleteAll(), IsOk());
  for (auto it = left.begin(); it != left.end();) {
    it = topology.OwnerOf(SlotForKey(*it)) == FirstId() ? left.erase(it) : std::next(it);
  }
  EXPECT_EQ(keys(cluster_.get()), left);
  EXPECT_TRUE(keys(&first).empty());
  EXPECT_THAT(last.DeletePrefix(""), IsOk());
  EXPECT_TRUE(keys(&last).empty());
}

TEST_F(ShardHandleTest, OnlyForShardsThatAreThere) {
  EXPECT_THAT(cluster_->shard(ShardId(0)), HasError(absl::StatusCode::kNotFound, "shard-0"));
  EXPECT_THAT(cluster_->shard(ShardId(4)), HasError(absl::StatusCode::kNotFound, "shard-4"));
  EXPECT_THAT(cluster_->shard(ShardId(0xffffffff)), HasCode(absl::StatusCode::kNotFound));
}

TEST_F(ShardHandleTest, CopiesAreTheSameShard) {
  Shard first = Handle(FirstId());
  Shard copy = first;
  ASSERT_THAT(first.Set("{06S}a", "1"), IsOk());
  EXPECT_THAT(copy.Get("{06S}a"), HoldsValue("1"));
  copy = Handle(LastId());
  EXPECT_EQ(copy.id(), LastId());
  EXPECT_THAT(copy.Get("{06S}a"), IsMovedTo(Slot{0}, FirstId()));
  EXPECT_EQ(first.id(), FirstId());
}

TEST_F(ShardHandleTest, OutlivesItsCluster) {
  Shard first = Handle(FirstId());
  const ShardId id = first.id();
  ASSERT_THAT(first.Set("{06S}a", "1"), IsOk());
  const auto expect_cancelled = [&] {
    for (const std::string_view tag : {kFirstTag, kLastTag}) {
      for (const auto& call : EveryCall()) {
        EXPECT_THAT(call(&first, tag), HasError(absl::StatusCode::kCancelled, "closed"));
      }
    }
    EXPECT_THAT(first.Scan(), HasCode(absl::StatusCode::kCancelled));
    EXPECT_THAT(first.DeleteAll(), HasCode(absl::StatusCode::kCancelled));
  };
  ASSERT_THAT(cluster_->Close(), IsOk());
  expect_cancelled();
  EXPECT_THAT(cluster_->shard(id), HasCode(absl::StatusCode::kCancelled));
  cluster_.reset();
  expect_cancelled();
  // The directory is free, though the handle is there.
  Open();
  EXPECT_THAT(cluster_->Get("{06S}a"), HoldsValue("1"));
  cluster_.reset();
  expect_cancelled();
}

}  // namespace
}  // namespace slotkv
