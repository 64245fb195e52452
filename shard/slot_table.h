// Which shard serves a slot right now: one atomic word for each of the 16384 slots.
//
// A word is {version, state, shard}. A reader loads it, works, and loads it again: the same word
// means that nothing about the slot has changed in between, since every change of a slot raises
// its version. Nothing is allocated or reclaimed; a word is all there is.
//
// The table is a cache of the topology: the topology decides who owns a slot, durably, and only
// then the words are published.
#ifndef SLOTKV_SHARD_SLOT_TABLE_H_
#define SLOTKV_SHARD_SLOT_TABLE_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "slotkv/ids.h"
#include "slotkv/slot.h"

namespace slotkv {

enum class SlotState : uint8_t {
  kUnassigned = 0,  // no shard: before the cluster has opened and after it has closed
  kServing = 1,     // the shard serves reads and writes
  kFrozen = 2,      // the shard serves reads; writes wait until the word changes
};

// The largest shard number that a word has room for.
inline constexpr uint32_t kMaxShardNumber = (uint32_t{1} << 24) - 1;

// The content of a word: 36 bits version, 4 bits state, 24 bits shard, from the highest bit down.
class SlotWord {
 public:
  // The word of a slot that was never published.
  constexpr SlotWord() = default;
  // `version` below 2^36, `shard` at most kMaxShardNumber.
  constexpr SlotWord(uint64_t version, SlotState state, ShardId shard)
      : bits_(version << 28 | static_cast<uint64_t>(state) << 24 | shard.value()) {}
  static constexpr SlotWord FromBits(uint64_t bits) {
    SlotWord word;
    word.bits_ = bits;
    return word;
  }

  constexpr uint64_t bits() const { return bits_; }
  // Raised by each change of the slot; 0 before the first.
  constexpr uint64_t version() const { return bits_ >> 28; }
  constexpr SlotState state() const { return static_cast<SlotState>(bits_ >> 24 & 0xf); }
  constexpr ShardId shard() const {
    return ShardId(static_cast<uint32_t>(bits_ & kMaxShardNumber));
  }

  friend constexpr bool operator==(SlotWord a, SlotWord b) { return a.bits_ == b.bits_; }
  friend constexpr bool operator!=(SlotWord a, SlotWord b) { return a.bits_ != b.bits_; }

 private:
  uint64_t bits_ = 0;
};

// Safe for any number of threads. Slots passed in are below kSlotCount.
class SlotTable {
 public:
  SlotTable() = default;
  SlotTable(const SlotTable&) = delete;
  SlotTable& operator=(const SlotTable&) = delete;

  // What was written before the word was published is visible to whoever has loaded it.
  SlotWord Load(Slot slot) const {
    return SlotWord::FromBits(words_[slot].load(std::memory_order_acquire));
  }

  // For those who keep a word's bits and compare them again later.
  const std::atomic<uint64_t>* word(Slot slot) const { return &words_[slot]; }

  // Gives the slot a new word, of the next version, even if state and shard are what they were.
  // Aborts on a shard number above kMaxShardNumber.
  SlotWord Publish(Slot slot, SlotState state, ShardId shard);
  // The same for each slot of the range, one after the other: a reader may see some of them
  // changed and others not yet.
  void Publish(SlotRange range, SlotState state, ShardId shard);

 private:
  std::array<std::atomic<uint64_t>, kSlotCount> words_ = {};
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_SLOT_TABLE_H_
