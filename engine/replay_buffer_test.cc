#include "engine/replay_buffer.h"

#include <iterator>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/store_test_support.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv {
namespace {

class ReplayBufferTest : public testing::Test {
 protected:
  ReplayBufferTest() { EXPECT_THAT(t_.Open(), IsOk()); }

  // Applies what the buffer holds.
  void Drain() {
    Store::Batch batch;
    ASSERT_THAT(buffer_.DrainInto(&batch), IsOk());
    EXPECT_EQ(buffer_.bytes(), 0u);
    if (!batch.empty()) {
      ASSERT_THAT(t_.store->Apply(&batch), IsOk());
    }
  }

  TestStore t_;
  ReplayBuffer buffer_;
};

TEST_F(ReplayBufferTest, TheLastEffectOfEachKeyCounts) {
  ASSERT_THAT(t_.Put(1, "was there", "x"), IsOk());
  ASSERT_THAT(buffer_.Add(PutEffect(1, "a", "1") + PutEffect(1, "a", "2")), IsOk());
  ASSERT_THAT(buffer_.Add(PutEffect(1, "b", "3") + DeleteEffect(1, "c")), IsOk());
  ASSERT_THAT(buffer_.Add(DeleteEffect(1, "b") + PutEffect(1, "c", "4")), IsOk());
  ASSERT_THAT(buffer_.Add(DeleteEffect(1, "was there")), IsOk());
  EXPECT_GT(buffer_.bytes(), 0u);
  Drain();
  EXPECT_EQ(*t_.Get(1, "a"), "2");
  EXPECT_THAT(t_.Get(1, "b"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(*t_.Get(1, "c"), "4");
  EXPECT_THAT(t_.Get(1, "was there"), HasCode(absl::StatusCode::kNotFound));
}

TEST_F(ReplayBufferTest, KeysThatShareAPrefixAreApart) {
  const std::vector<std::string> keys = {"",
                                         std::string(1, '\0'),
                                         std::string(6, '\0'),
                                         std::string(7, '\0'),
                                         "abcdef",
                                         "abcdefg",
                                         "abcdefgh"};
  for (const std::string& key : keys) {
    ASSERT_THAT(buffer_.Add(PutEffect(1, key, "old")), IsOk());
  }
  for (const std::string& key : keys) {
    ASSERT_THAT(buffer_.Add(PutEffect(1, key, "of " + key)), IsOk());
  }
  Drain();
  for (const std::string& key : keys) EXPECT_EQ(*t_.Get(1, key), "of " + key);
}

TEST_F(ReplayBufferTest, AClearStandsBetweenWhatCameBeforeAndAfter) {
  for (const uint16_t slot : {0, 1, 2}) ASSERT_THAT(t_.Put(slot, "was there", "x"), IsOk());
  // By their names alone these would be put in another order.
  ASSERT_THAT(buffer_.Add(PutEffect(1, "z", "before") + PutEffect(1, "m", "before")), IsOk());
  ASSERT_THAT(buffer_.Add(PutEffect(2, "a", "before")), IsOk());
  ASSERT_THAT(buffer_.Add(ClearEffect(1) + PutEffect(1, "m", "after")), IsOk());
  ASSERT_THAT(buffer_.Add(PutEffect(1, "a", "after") + DeleteEffect(2, "a")), IsOk());
  ASSERT_THAT(buffer_.Add(PutEffect(0, "a", "after")), IsOk());
  Drain();
  EXPECT_EQ(*t_.Get(1, "a"), "after");
  EXPECT_EQ(*t_.Get(1, "m"), "after");
  EXPECT_THAT(t_.Get(1, "z"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(t_.Get(1, "was there"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(t_.Get(2, "a"), HasCode(absl::StatusCode::kNotFound));
  for (const uint16_t slot : {0, 2}) EXPECT_EQ(*t_.Get(slot, "was there"), "x");
}

TEST_F(ReplayBufferTest, AClearOfSeveralSlots) {
  for (const uint16_t slot : {0, 1, 2, 3}) ASSERT_THAT(t_.Put(slot, "was there", "x"), IsOk());
  ASSERT_THAT(buffer_.Add(PutEffect(2, "a", "before") + PutEffect(3, "a", "before")), IsOk());
  ASSERT_THAT(buffer_.Add(ClearEffect(1, 2) + PutEffect(2, "b", "after")), IsOk());
  Drain();
  for (const uint16_t slot : {0, 3}) EXPECT_EQ(*t_.Get(slot, "was there"), "x");
  for (const uint16_t slot : {1, 2}) {
    EXPECT_THAT(t_.Get(slot, "was there"), HasCode(absl::StatusCode::kNotFound));
  }
  EXPECT_THAT(t_.Get(2, "a"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(*t_.Get(2, "b"), "after");
  EXPECT_EQ(*t_.Get(3, "a"), "before");
}

TEST_F(ReplayBufferTest, ClearsInARowAndAtBothEnds) {
  ASSERT_THAT(t_.Put(1, "was there", "x"), IsOk());
  ASSERT_THAT(buffer_.Add(ClearEffect(1)), IsOk());
  Drain();
  EXPECT_THAT(t_.Get(1, "was there"), HasCode(absl::StatusCode::kNotFound));
  ASSERT_THAT(buffer_.Add(ClearEffect(1) + PutEffect(1, "a", "1") + ClearEffect(1) +
                          ClearEffect(2) + ClearEffect(1)),
              IsOk());
  Drain();
  EXPECT_THAT(t_.Get(1, "a"), HasCode(absl::StatusCode::kNotFound));
  ASSERT_THAT(buffer_.Add(PutEffect(1, "a", "2")), IsOk());
  Drain();
  EXPECT_EQ(*t_.Get(1, "a"), "2");
}

TEST_F(ReplayBufferTest, WhatIsNoEffectIsRefused) {
  EXPECT_THAT(buffer_.Add("\x09 nonsense"), HasCode(absl::StatusCode::kDataLoss));
}

TEST_F(ReplayBufferTest, RandomEffectsAgainstAMap) {
  std::mt19937_64 random(TestSeed());
  std::map<std::pair<uint16_t, std::string>, std::string> model;
  for (int i = 0; i < 5000; ++i) {
    std::string effects;
    for (uint64_t j = random() % 4; j > 0; --j) {
      const uint16_t slot = random() % 2 == 0 ? 7 : 16383;
      const std::string key(random() % 12, static_cast<char>('a' + random() % 2));
      if (random() % 50 == 0) {
        const uint16_t last = random() % 2 == 0 ? slot : 16383;
        effects += ClearEffect(slot, last);
        for (auto it = model.begin(); it != model.end();) {
          const bool cleared = slot <= it->first.first && it->first.first <= last;
          it = cleared ? model.erase(it) : std::next(it);
        }
      } else if (random() % 3 == 0) {
        effects += DeleteEffect(slot, key);
        model.erase({slot, key});
      } else {
        const std::string value = std::to_string(random());
        effects += PutEffect(slot, key, value);
        model[{slot, key}] = value;
      }
    }
    ASSERT_THAT(buffer_.Add(effects), IsOk());
    if (random() % 200 == 0) Drain();
  }
  Drain();
  size_t found = 0;
  for (const uint16_t slot : {7, 16383}) {
    ASSERT_THAT(t_.store->VisitSlot(
                    slot,
                    [&](std::string_view key, const ValueHeader&, std::string_view payload) {
                      ++found;
                      EXPECT_EQ((model[{slot, std::string(key)}]), payload);
                      return true;
                    }),
                IsOk());
  }
  EXPECT_EQ(found, model.size());
}

}  // namespace
}  // namespace slotkv
