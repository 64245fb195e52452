#include "tools/slot_map_picture.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv::tools {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

ShardInfo Shard(uint32_t number, std::vector<SlotRange> slots, const std::string& zone) {
  NodeInfo replica;
  replica.id = NodeId(2 * number);
  replica.shard = ShardId(number);
  replica.role = Role::kReplica;
  replica.zone = "zone-r";
  NodeInfo primary = replica;
  primary.id = NodeId(2 * number + 1);
  primary.role = Role::kPrimary;
  primary.zone = zone;
  return {ShardId(number), std::move(slots), {replica, primary}};
}

// Without the empty one after the last newline.
std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  EXPECT_EQ(lines.back(), "");
  lines.pop_back();
  return lines;
}

TEST(SlotMapPictureTest, DrawsEverySlot) {
  ShardInfo down = Shard(36, {{8, 15}, {16376, 16383}}, "zone-c");
  down.nodes[1].up = false;
  const Topology topology(
      Epoch(7), {Shard(1, {{0, 7}, {16, 1023}, {1025, 8191}}, "zone-a"),
                 Shard(10, {{1024, 1024}, {8192, 16375}}, "b"), down, Shard(37, {}, "zone-a")});
  const std::vector<std::string> lines = LinesOf(SlotMapPicture(topology));
  ASSERT_EQ(lines.size(), 2u + 32 + 1 + 4);
  EXPECT_EQ(lines[0], "epoch 7, 4 shards; a character is 8 slots, + of several shards");
  EXPECT_EQ(lines[1], "");
  EXPECT_EQ(lines[2], "    0  1A" + std::string(62, '1'));
  EXPECT_EQ(lines[3], "  512  " + std::string(64, '1'));
  EXPECT_EQ(lines[4], " 1024  +" + std::string(63, '1'));
  for (int line = 3; line < 32; ++line) {
    EXPECT_EQ(
        lines[static_cast<size_t>(2 + line)],
        absl::StrCat(line < 20 ? " " : "", 512 * line, "  ", std::string(63, line < 16 ? '1' : 'a'),
                     line == 31  ? "A"
                     : line < 16 ? "1"
                                 : "a"));
  }
  EXPECT_EQ(lines[34], "");
  EXPECT_EQ(lines[35],
            "1  shard-1      8183 slots  49.9%  node-3 zone-a        0-7,16-1023,1025-8191");
  EXPECT_EQ(lines[36], "a  shard-10     8185 slots  50.0%  node-21 b            1024,8192-16375");
  EXPECT_EQ(lines[37], "A  shard-36       16 slots   0.1%  node-73 zone-c down  8-15,16376-16383");
  EXPECT_EQ(lines[38], "B  shard-37        0 slots   0.0%  node-75 zone-a       none");
}

TEST(SlotMapPictureTest, CutsManyRanges) {
  std::vector<SlotRange> even, odd;
  for (int slot = 0; slot < kSlotCount; slot += 2) {
    even.push_back({static_cast<Slot>(slot), static_cast<Slot>(slot)});
    odd.push_back({static_cast<Slot>(slot + 1), static_cast<Slot>(slot + 1)});
  }
  const std::vector<std::string> lines =
      LinesOf(SlotMapPicture(Topology(Epoch(7), {Shard(1, even, "a"), Shard(2, odd, "a")})));
  EXPECT_EQ(lines[2], "    0  " + std::string(64, '+'));
  EXPECT_THAT(lines[36], EndsWith("  1,3,5,7,9,11 and 8,186 more"));

  even.resize(6);
  ShardInfo rest = Shard(2, {{1, 1}, {3, 3}, {5, 5}, {7, 7}, {9, 9}, {11, 16383}}, "a");
  EXPECT_THAT(SlotMapPicture(Topology(Epoch(7), {Shard(1, even, "a"), rest})),
              Not(HasSubstr("more")));
}

TEST(SlotMapPictureTest, CharactersOfShards) {
  std::string characters;
  for (uint32_t number = 1; number <= 63; ++number) characters += ShardCharacter(ShardId(number));
  EXPECT_EQ(characters, "123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ12");
}

TEST(SlotMapPictureTest, TakesAClosedCluster) {
  const std::vector<std::string> lines = LinesOf(SlotMapPicture(Topology()));
  ASSERT_EQ(lines.size(), 2u + 32 + 1);
  EXPECT_EQ(lines[2], "    0  " + std::string(64, '.'));
}

}  // namespace
}  // namespace slotkv::tools
