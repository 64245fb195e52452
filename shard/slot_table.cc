#include "shard/slot_table.h"

#include "engine/check.h"

namespace slotkv {

static_assert(std::atomic<uint64_t>::is_always_lock_free, "readers must not meet a lock");

SlotWord SlotTable::Publish(Slot slot, SlotState state, ShardId shard) {
  SLOTKV_CHECK(shard.value() <= kMaxShardNumber);
  std::atomic<uint64_t>& word = words_[slot];
  uint64_t old = word.load(std::memory_order_relaxed);
  SlotWord next;
  do {
    next = SlotWord(SlotWord::FromBits(old).version() + 1, state, shard);
  } while (!word.compare_exchange_weak(old, next.bits(), std::memory_order_seq_cst));
  return next;
}

void SlotTable::Publish(SlotRange range, SlotState state, ShardId shard) {
  SLOTKV_CHECK(range.first <= range.last && range.last < kSlotCount);
  for (int slot = range.first; slot <= range.last; ++slot) {
    Publish(static_cast<Slot>(slot), state, shard);
  }
}

}  // namespace slotkv
