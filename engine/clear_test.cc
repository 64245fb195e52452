// Clearing slots: in memory and in tables, for every way to read, and over recovery.
#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/node_test_support.h"
#include "engine/store_test_support.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv {
namespace {

constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;

using Content = std::map<std::string, std::string>;

// What the slot holds, by a reader.
Content ContentOf(const Store& store, uint16_t slot) {
  Content content;
  const std::unique_ptr<Store::Reader> reader = store.NewReader();
  for (reader->Seek(slot, ""); reader->Valid(); reader->Next()) {
    EXPECT_TRUE(content.emplace(std::string(reader->key()), std::string(reader->payload())).second);
  }
  EXPECT_THAT(reader->status(), IsOk());
  return content;
}

// Every way to read `slot` finds just `content`, of the keys in `keys`.
void ExpectContent(const Store& store, uint64_t now_ms, uint16_t slot, const Content& content,
                   const std::vector<std::string>& keys) {
  EXPECT_EQ(ContentOf(store, slot), content) << "slot " << slot;
  std::vector<std::string> payloads(keys.size());
  std::vector<std::string> store_keys;
  for (const std::string& key : keys) store_keys.emplace_back(StoreKey(slot, key).view());
  std::vector<Store::Lookup> lookups(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    lookups[i].store_key = store_keys[i];
    lookups[i].payload = &payloads[i];
  }
  store.MultiGet(absl::MakeSpan(lookups), now_ms);
  for (size_t i = 0; i < keys.size(); ++i) {
    const std::string& key = keys[i];
    ValueHeader header;
    std::string payload;
    const absl::Status status = store.Get(slot, key, now_ms, &header, &payload);
    const auto it = content.find(key);
    if (it == content.end()) {
      EXPECT_THAT(status, HasCode(kNotFound)) << slot << " " << key;
      EXPECT_THAT(lookups[i].status, HasCode(kNotFound)) << slot << " " << key;
    } else {
      EXPECT_THAT(status, IsOk()) << slot << " " << key;
      EXPECT_EQ(payload, it->second) << slot << " " << key;
      EXPECT_THAT(lookups[i].status, IsOk()) << slot << " " << key;
      EXPECT_EQ(payloads[i], it->second) << slot << " " << key;
    }
  }
}

class StoreClearTest : public testing::Test {
 protected:
  StoreClearTest() { EXPECT_THAT(t_.Open(), IsOk()); }

  void Flush() { ASSERT_THAT(t_.store->Flush(/*wait=*/true), IsOk()); }
  void Expect(uint16_t slot, const Content& content) {
    ExpectContent(*t_.store, t_.expiry_clock.NowMs(), slot, content,
                  {"", "a", "b", "c", std::string(20, '\xff')});
  }

  TestStore t_;
};

TEST_F(StoreClearTest, EndsAtItsSlotsBorders) {
  const std::string last(20, '\xff');
  const std::vector<uint16_t> slots = {0, 1, 255, 256, 16382, 16383};
  for (const bool flush : {false, true}) {
    for (const uint16_t cleared : slots) {
      for (const uint16_t slot : slots) {
        ASSERT_THAT(t_.Put(slot, "", "first"), IsOk());
        ASSERT_THAT(t_.Put(slot, last, "last"), IsOk());
      }
      ASSERT_THAT(t_.Note(17), IsOk());
      if (flush) Flush();
      ASSERT_THAT(t_.Apply(ClearEffect(cleared)), IsOk());
      if (flush) Flush();
      for (const uint16_t slot : slots) {
        Expect(slot, slot == cleared ? Content() : Content{{"", "first"}, {last, "last"}});
      }
    }
  }
  EXPECT_EQ(*t_.store->PersistedProgress(), LogIndex(17)) << "metadata is behind the last slot";
}

TEST_F(StoreClearTest, TakesARunOfSlots) {
  const std::string last(20, '\xff');
  const std::vector<uint16_t> slots = {0, 1, 255, 256, 257, 16382, 16383};
  for (const bool flush : {false, true}) {
    for (const auto& [from, to] : std::vector<std::pair<uint16_t, uint16_t>>{
             {0, 0}, {0, 255}, {1, 256}, {256, 16382}, {257, 16383}, {0, 16383}, {16383, 16383}}) {
      for (const uint16_t slot : slots) {
        ASSERT_THAT(t_.Apply(PutEffect(slot, "", "first") + PutEffect(slot, last, "last")), IsOk());
      }
      ASSERT_THAT(t_.Note(17), IsOk());
      if (flush) Flush();
      ASSERT_THAT(t_.Apply(ClearEffect(from, to)), IsOk());
      for (const uint16_t slot : slots) {
        const bool cleared = from <= slot && slot <= to;
        Expect(slot, cleared ? Content() : Content{{"", "first"}, {last, "last"}});
      }
    }
  }
  EXPECT_EQ(*t_.store->PersistedProgress(), LogIndex(17)) << "metadata is behind the last slot";
}

TEST_F(StoreClearTest, TakesWhatCameBeforeItInItsOwnPayload) {
  ASSERT_THAT(t_.Apply(PutEffect(1, "a", "before") + PutEffect(1, "b", "before") + ClearEffect(1) +
                       PutEffect(1, "b", "after") + PutEffect(1, "c", "after")),
              IsOk());
  Expect(1, {{"b", "after"}, {"c", "after"}});
  Store::Batch batch;
  ASSERT_THAT(batch.Add(PutEffect(1, "a", "before") + PutEffect(2, "a", "kept")), IsOk());
  ASSERT_THAT(batch.Add(ClearEffect(1)), IsOk());
  ASSERT_THAT(batch.Add(PutEffect(1, "c", "later")), IsOk());
  ASSERT_THAT(t_.store->Apply(&batch), IsOk());
  Expect(1, {{"c", "later"}});
  Expect(2, {{"a", "kept"}});
}

// Of what is put, cleared and put again each step may be in memory or in a table, and tables may
// have been merged.
TEST_F(StoreClearTest, BetweenMemoryAndTables) {
  for (int flushes = 0; flushes < 8; ++flushes) {
    SCOPED_TRACE(flushes);
    const auto slot = static_cast<uint16_t>(100 + flushes);
    ASSERT_THAT(t_.Apply(PutEffect(slot, "a", "old") + PutEffect(slot, "b", "old")), IsOk());
    if ((flushes & 1) != 0) Flush();
    ASSERT_THAT(t_.Apply(ClearEffect(slot)), IsOk());
    Expect(slot, {});
    if ((flushes & 2) != 0) Flush();
    Expect(slot, {});
    ASSERT_THAT(t_.Apply(PutEffect(slot, "b", "new") + PutEffect(slot, "c", "new")), IsOk());
    Expect(slot, {{"b", "new"}, {"c", "new"}});
    if ((flushes & 4) != 0) Flush();
    Expect(slot, {{"b", "new"}, {"c", "new"}});
  }
  // Until tables have been merged.
  size_t tables = 0;
  for (uint64_t i = 1; TableFiles(t_.directory).size() >= tables; ++i) {
    tables = TableFiles(t_.directory).size();
    ASSERT_THAT(t_.Note(i), IsOk());
    Flush();
  }
  ASSERT_THAT(t_.Open(), IsOk());
  for (int flushes = 0; flushes < 8; ++flushes) {
    Expect(static_cast<uint16_t>(100 + flushes), {{"b", "new"}, {"c", "new"}});
  }
}

// A reader keeps the moment at which it was made.
TEST_F(StoreClearTest, AReaderThatWasThereBeforeSeesTheSlotAsItWas) {
  ASSERT_THAT(t_.Apply(PutEffect(1, "a", "1") + PutEffect(1, "b", "2")), IsOk());
  const std::unique_ptr<Store::Reader> reader = t_.store->NewReader();
  reader->Seek(1, "");
  ASSERT_TRUE(reader->Valid());
  ASSERT_THAT(t_.Apply(ClearEffect(1)), IsOk());
  Flush();
  Expect(1, {});
  EXPECT_EQ(reader->key(), "a");
  reader->Next();
  ASSERT_TRUE(reader->Valid());
  EXPECT_EQ(reader->key(), "b");
  reader->Next();
  EXPECT_FALSE(reader->Valid());
  EXPECT_THAT(reader->status(), IsOk());
}

TEST_F(StoreClearTest, RandomEffectsAgainstAMap) {
  std::mt19937_64 random(TestSeed());
  const std::vector<uint16_t> slots = {0, 1, 2, 16383};
  std::vector<std::string> keys;
  for (int i = 100; i < 140; ++i) keys.push_back("key" + std::to_string(i));
  std::map<uint16_t, Content> model;
  uint64_t notes = 0;
  for (int i = 0; i < 4000; ++i) {
    const uint16_t slot = slots[random() % slots.size()];
    const std::string& key = keys[random() % keys.size()];
    const uint64_t dice = random() % 1000;
    if (dice < 15) {
      const uint16_t last = std::max(slot, slots[random() % slots.size()]);
      ASSERT_THAT(t_.Apply(ClearEffect(slot, last)), IsOk());
      for (auto& [s, content] : model) {
        if (slot <= s && s <= last) content.clear();
      }
    } else if (dice < 300) {
      ASSERT_THAT(t_.Apply(DeleteEffect(slot, key)), IsOk());
      model[slot].erase(key);
    } else {
      const std::string value = std::to_string(random());
      ASSERT_THAT(t_.Put(slot, key, value), IsOk());
      model[slot][key] = value;
    }
    if (random() % 100 != 0) continue;
    ASSERT_THAT(t_.Note(++notes), IsOk());
    Flush();
    if (random() % 4 == 0) {
      ASSERT_THAT(t_.Open(), IsOk());
    }
    for (const uint16_t s : slots) {
      ExpectContent(*t_.store, t_.expiry_clock.NowMs(), s, model[s], keys);
    }
    if (HasFailure()) return;
  }
}

// ---- Recovery ----

class NodeClearTest : public testing::Test {
 protected:
  NodeClearTest() { EXPECT_THAT(t_.Create(), IsOk()); }

  TestNode t_;
};

TEST_F(NodeClearTest, ReplayKeepsTheOrder) {
  for (const bool flush : {false, true}) {
    ASSERT_THAT(t_.Put(1, "z", "old"), IsOk());
    ASSERT_THAT(t_.Put(1, "a", "old"), IsOk());
    ASSERT_THAT(t_.Put(2, "a", "of another slot"), IsOk());
    if (flush) {
      ASSERT_THAT(t_.node->Flush(/*wait=*/true), IsOk());
    }
    ASSERT_THAT(t_.Write(ClearEffect(1)), IsOk());
    ASSERT_THAT(t_.Put(1, "a", "new"), IsOk());
    for (int opens = 0; opens < 2; ++opens) {
      ASSERT_THAT(t_.Open(), IsOk());
      EXPECT_EQ(ContentOf(t_.node->store(), 1), (Content{{"a", "new"}}));
      EXPECT_EQ(*t_.Get(2, "a"), "of another slot");
    }
  }
}

// The store has the records already, but its note of it is older: what is replayed again must not
// bring back what a later clear has taken.
TEST_F(NodeClearTest, ReplayingAgainChangesNothing) {
  ASSERT_THAT(t_.Put(1, "a", "old"), IsOk());
  ASSERT_THAT(t_.Write(ClearEffect(1)), IsOk());
  ASSERT_THAT(t_.Put(1, "b", "new"), IsOk());
  ASSERT_THAT(t_.node->Sync(), IsOk());
  // Past the node, so that the store knows nothing of how far it has come.
  ASSERT_THAT(const_cast<Store&>(t_.node->store()).Flush(/*wait=*/true), IsOk());
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.node->replayed(), 3u);
  EXPECT_EQ(ContentOf(t_.node->store(), 1), (Content{{"b", "new"}}));
}

TEST_F(NodeClearTest, VerifyPasses) {
  ASSERT_THAT(t_.PutMany(50), IsOk());
  ASSERT_THAT(t_.node->Flush(/*wait=*/true), IsOk());
  ASSERT_THAT(t_.Write(ClearEffect(1)), IsOk());
  ASSERT_THAT(t_.Put(1, "key0", "again"), IsOk());
  for (int round = 0; round < 2; ++round) {
    std::vector<std::string> keys;
    ASSERT_THAT(t_.node->Verify([&](uint16_t, std::string_view key) {
      keys.emplace_back(key);
      return absl::OkStatus();
    }),
                IsOk());
    EXPECT_THAT(keys, testing::ElementsAre("key0"));
    ASSERT_THAT(t_.node->Flush(/*wait=*/true), IsOk());
  }
}

TEST_F(NodeClearTest, RandomLivesAgainstAMap) {
  std::mt19937_64 random(TestSeed());
  std::map<uint16_t, Content> model;
  for (int life = 0; life < 15; ++life) {
    for (uint64_t i = random() % 300; i > 0; --i) {
      const uint64_t dice = random() % 100;
      const auto slot = static_cast<uint16_t>(random() % (dice < 2 ? 2 : 3));
      const std::string key = "key" + std::to_string(random() % 40);
      if (dice < 2) {
        ASSERT_THAT(t_.Write(ClearEffect(slot, 1)), IsOk());
        for (uint16_t s = slot; s <= 1; ++s) model[s].clear();
      } else if (dice < 25) {
        ASSERT_THAT(t_.Write(DeleteEffect(slot, key)), IsOk());
        model[slot].erase(key);
      } else {
        const std::string value(random() % 1000, static_cast<char>('a' + random() % 26));
        ASSERT_THAT(t_.Put(slot, key, value), IsOk());
        model[slot][key] = value;
      }
      const uint64_t choice = random() % 100;
      if (choice < 3) {
        ASSERT_THAT(t_.node->Flush(/*wait=*/choice == 0), IsOk());
      } else if (choice < 6) {
        ASSERT_THAT(t_.node->Maintain(), IsOk());
      }
    }
    ASSERT_THAT(t_.Open(), IsOk());
    for (const uint16_t slot : {0, 1, 2}) {
      ASSERT_EQ(ContentOf(t_.node->store(), slot), model[slot]) << "life " << life;
    }
  }
}

}  // namespace
}  // namespace slotkv
