#include "shard/slot_table.h"

#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace slotkv {
namespace {

TEST(SlotWordTest, RoundTripsAtTheEdges) {
  const uint64_t last_version = (uint64_t{1} << 36) - 1;
  for (uint64_t version : {uint64_t{0}, uint64_t{1}, last_version}) {
    for (SlotState state : {SlotState::kUnassigned, SlotState::kServing, SlotState::kFrozen}) {
      for (uint32_t shard : {0u, 1u, kMaxShardNumber}) {
        const SlotWord word(version, state, ShardId(shard));
        EXPECT_EQ(word.version(), version);
        EXPECT_EQ(word.state(), state);
        EXPECT_EQ(word.shard(), ShardId(shard));
        EXPECT_EQ(SlotWord::FromBits(word.bits()), word);
      }
    }
  }
  EXPECT_EQ(SlotWord(), SlotWord(0, SlotState::kUnassigned, ShardId(0)));
}

TEST(SlotTableTest, StartsUnassigned) {
  auto table = std::make_unique<SlotTable>();
  for (int slot = 0; slot < kSlotCount; ++slot) {
    ASSERT_EQ(table->Load(static_cast<Slot>(slot)), SlotWord());
  }
}

TEST(SlotTableTest, EveryPublishIsANewWord) {
  auto table = std::make_unique<SlotTable>();
  const std::atomic<uint64_t>* word = table->word(16383);
  const SlotWord first = table->Publish(16383, SlotState::kServing, ShardId(3));
  EXPECT_EQ(first, SlotWord(1, SlotState::kServing, ShardId(3)));
  EXPECT_EQ(word->load(), first.bits());
  const SlotWord second = table->Publish(16383, SlotState::kServing, ShardId(3));
  EXPECT_NE(first, second);
  EXPECT_EQ(second.version(), 2u);
  EXPECT_EQ(table->Load(16383), second);
  EXPECT_EQ(table->Load(16382), SlotWord());
}

TEST(SlotTableTest, PublishesRanges) {
  auto table = std::make_unique<SlotTable>();
  table->Publish({0, 16383}, SlotState::kServing, ShardId(1));
  table->Publish({5, 7}, SlotState::kFrozen, ShardId(1));
  EXPECT_EQ(table->Load(4).state(), SlotState::kServing);
  EXPECT_EQ(table->Load(5).state(), SlotState::kFrozen);
  EXPECT_EQ(table->Load(7).state(), SlotState::kFrozen);
  EXPECT_EQ(table->Load(7).version(), 2u);
  EXPECT_EQ(table->Load(8).state(), SlotState::kServing);
  EXPECT_EQ(table->Load(0).shard(), ShardId(1));
  EXPECT_EQ(table->Load(16383).shard(), ShardId(1));
}

TEST(SlotTableTest, ConcurrentPublishersLoseNoVersion) {
  auto table = std::make_unique<SlotTable>();
  constexpr int kThreads = 4;
  constexpr int kEach = 5000;
  std::vector<std::thread> threads;
  for (int i = 1; i <= kThreads; ++i) {
    threads.emplace_back([&table, i] {
      for (int n = 0; n < kEach; ++n) table->Publish(9, SlotState::kServing, ShardId(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(table->Load(9).version(), uint64_t{kThreads} * kEach);
}

TEST(SlotTableDeathTest, RefusesAShardNumberWithoutRoom) {
  auto table = std::make_unique<SlotTable>();
  EXPECT_DEATH(table->Publish(0, SlotState::kServing, ShardId(kMaxShardNumber + 1)), "");
}

}  // namespace
}  // namespace slotkv
