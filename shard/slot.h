// Hash slots: the unit in which slotkv places, moves and serves keys.
//
// The keyspace is cut into 16384 slots. Every key belongs to exactly one of them:
//
//   slot = CRC16(hash tag of the key, or the whole key) & 0x3FFF
//
// This is the rule of the Redis Cluster specification ("Key distribution model" and "Hash tags"),
// bit for bit, so a key has the same slot here and in a Redis or Valkey Cluster.
//
// Hash tags put different keys into one slot, which is what operations on several keys need:
//
//   slotkv::SlotForKey("{user1000}.following") == slotkv::SlotForKey("{user1000}.followers")
//
// All functions here are pure: safe from any thread, and from static initialisers. Keys are
// byte strings of any length; no byte value is special but '{' and '}' in hash tags.

#ifndef SLOTKV_SHARD_SLOT_H_
#define SLOTKV_SHARD_SLOT_H_

#include <cstdint>
#include <string_view>

#include "absl/types/span.h"

namespace slotkv {

// A slot number, 0 to kSlotCount - 1.
using Slot = uint16_t;

// How many slots there are. Fixed by the Redis Cluster specification.
inline constexpr int kSlotCount = 16384;

// The slots from `first` to `last`, both included: {5, 5} is one slot and
// {0, kSlotCount - 1} is all of them. There is no empty range. A range is valid if
// first <= last < kSlotCount; whoever takes a range checks that, the struct does not.
struct SlotRange {
  Slot first = 0;
  Slot last = 0;
};

inline bool operator==(const SlotRange& a, const SlotRange& b) {
  return a.first == b.first && a.last == b.last;
}
inline bool operator!=(const SlotRange& a, const SlotRange& b) { return !(a == b); }

// Returns the slot that `key` belongs to. The empty key belongs to slot 0.
Slot SlotForKey(std::string_view key);

// Sets slots[i] to SlotForKey(keys[i]) for every i.
// The spans must be of equal size; otherwise the process is aborted with a message.
void SlotsForKeys(absl::Span<const std::string_view> keys, absl::Span<Slot> slots);

// Returns the bytes of `key` that decide its slot, as a view into `key`.
//
// These are the bytes between the first '{' and the first '}' after it, if there is at least one;
// otherwise the whole key. Only that one pair is looked at:
//
//   {user1000}.following    user1000
//   foo{bar}{zap}           bar
//   foo{{bar}}zap           {bar
//   foo{}{bar}              foo{}{bar}  (nothing inside the first pair)
//   }foo{bar                }foo{bar    (never closed)
std::string_view HashTag(std::string_view key);

// Returns the CRC-16/XMODEM of `data`: polynomial 0x1021, initial value 0, no reflection and no
// final xor. The check value, of "123456789", is 0x31C3; the CRC of no bytes is 0.
// It looks at all of `data`: hash tags are none of its business.
uint16_t Crc16(std::string_view data);

}  // namespace slotkv

#endif  // SLOTKV_SHARD_SLOT_H_
