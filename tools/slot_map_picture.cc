#include "tools/slot_map_picture.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/command_line.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

constexpr std::string_view kCharacters =
    "123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr char kSeveralShards = '+';
constexpr char kNobody = '.';
// Of a shard's ranges so many are shown.
constexpr size_t kRangesMax = 6;

// Of the slots from `first` on.
char CharacterOf(const Topology& topology, int first) {
  const ShardId owner = topology.OwnerOf(static_cast<Slot>(first));
  for (int slot = first + 1; slot < first + kSlotsACharacter; ++slot) {
    if (topology.OwnerOf(static_cast<Slot>(slot)) != owner) return kSeveralShards;
  }
  return owner == ShardId() ? kNobody : ShardCharacter(owner);
}

std::string MapText(const Topology& topology) {
  constexpr int kSlotsALine = kOwnersColumns * kSlotsACharacter;
  std::string text;
  for (int line = 0; line < kSlotCount; line += kSlotsALine) {
    absl::StrAppendFormat(&text, "%5d  ", line);
    for (int slot = line; slot < line + kSlotsALine; slot += kSlotsACharacter) {
      text.push_back(CharacterOf(topology, slot));
    }
    text.push_back('\n');
  }
  return text;
}

// "0-5460,7000", "0,2,4,6,8,10 and 12 more".
std::string RangesText(const ShardInfo& shard) {
  if (shard.slots.empty()) return "none";
  if (shard.slots.size() <= kRangesMax) return SlotsText(shard);
  ShardInfo some = shard;
  some.slots.resize(kRangesMax);
  return absl::StrCat(SlotsText(some), " and ", WithCommas(shard.slots.size() - kRangesMax),
                      " more");
}

std::string PrimaryText(const ShardInfo& shard) {
  const NodeInfo& primary = shard.primary();
  return absl::StrCat(primary.id.ToString(), " ", primary.zone, primary.up ? "" : " down");
}

std::string LegendText(const Topology& topology) {
  size_t primary_width = 0;
  for (const ShardInfo& shard : topology.shards()) {
    primary_width = std::max(primary_width, PrimaryText(shard).size());
  }
  std::string text;
  for (const ShardInfo& shard : topology.shards()) {
    const int slots = shard.SlotCount();
    absl::StrAppendFormat(&text, "%c  %-11s %5d slots %5.1f%%  %-*s  %s\n",
                          ShardCharacter(shard.id), shard.id.ToString(), slots,
                          100.0 * slots / kSlotCount, static_cast<int>(primary_width),
                          PrimaryText(shard), RangesText(shard));
  }
  return text;
}

}  // namespace

char ShardCharacter(ShardId id) { return kCharacters[(id.value() - 1) % kCharacters.size()]; }

std::string SlotMapPicture(const Topology& topology) {
  return absl::StrCat("epoch ", topology.epoch().value(), ", ",
                      Count(topology.shards().size(), "shard"), "; a character is ",
                      kSlotsACharacter, " slots, ", std::string(1, kSeveralShards),
                      " of several shards\n\n", MapText(topology), "\n", LegendText(topology));
}

}  // namespace slotkv::tools
