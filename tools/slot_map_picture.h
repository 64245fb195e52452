// A picture, in text, of which shard owns which slots.
#ifndef SLOTKV_TOOLS_SLOT_MAP_PICTURE_H_
#define SLOTKV_TOOLS_SLOT_MAP_PICTURE_H_

#include <string>

#include "slotkv/cluster.h"

namespace slotkv::tools {

// A character is 8 slots, those from 8 * i on the i-th.
inline constexpr int kOwnersColumns = 64;
inline constexpr int kSlotsACharacter = 8;

// The character of a shard's slots: shards 1 to 61 have 1-9, a-z and A-Z, and then again from 1. So
// a shard keeps its own when others come and go. `id` is not 0.
char ShardCharacter(ShardId id);

// A line that explains the map; 32 lines of it, each with its first slot, '+' where 8 slots are not
// all of one shard, '.' where they have none; and a line for each shard: its character, slots, the
// primary and its zone, and its ranges, of which a few alone if they are many. ASCII, but for the
// names of zones.
std::string SlotMapPicture(const Topology& topology);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_SLOT_MAP_PICTURE_H_
