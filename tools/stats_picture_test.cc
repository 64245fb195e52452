#include "tools/stats_picture.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv::tools {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

using Values = std::vector<uint64_t>;

std::string Number(uint64_t value) { return absl::StrCat(value); }

// Without the empty one after the last newline.
std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  EXPECT_EQ(lines.back(), "");
  lines.pop_back();
  return lines;
}

bool IsAscii(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char byte) { return byte == '\n' || (byte >= ' ' && byte <= '~'); });
}

// Characters of UTF-8.
size_t Length(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xc0) != 0x80; }));
}

// Without the terminal's colours.
std::string Plain(std::string text) {
  for (size_t at; (at = text.find('\x1b')) != std::string::npos;) {
    text.erase(at, text.find('m', at) + 1 - at);
  }
  return text;
}

TEST(BarTest, Length) {
  EXPECT_EQ(Bar(0, 10, 20), "");
  EXPECT_EQ(Bar(0, 0, 20), "");
  EXPECT_EQ(Bar(0.001, 10, 20), "#");
  EXPECT_EQ(Bar(5, 10, 20), std::string(10, '#'));
  EXPECT_EQ(Bar(10, 10, 20), std::string(20, '#'));
  EXPECT_EQ(Bar(11, 10, 20), std::string(20, '#'));
}

TEST(SlotMapTest, HasEverySlot) {
  for (const MapStyle style : {MapStyle::kColours, MapStyle::kShades}) {
    for (const uint64_t value : {0, 1, 1000}) {
      std::vector<std::string> lines = LinesOf(Plain(SlotMap(Values(kSlotCount, value), style)));
      ASSERT_EQ(lines.size(), 65);
      EXPECT_LE(Length(lines.back()), 128);
      lines.pop_back();
      for (const std::string& line : lines) {
        EXPECT_EQ(Length(line), 128);
        EXPECT_EQ(line, lines[0]);
      }
    }
  }
}

TEST(SlotMapTest, AHotSlotStandsOutWhereItIs) {
  Values values(kSlotCount, 60);
  // The lower half of the character in row 1, column 5.
  values[3 * 128 + 5] = 100'000;
  std::vector<std::string> lines = LinesOf(SlotMap(values, MapStyle::kColours));
  EXPECT_THAT(lines[1], HasSubstr("48;5;201m"));
  EXPECT_THAT(lines[1], Not(HasSubstr("38;5;201m")));
  const std::string before = Plain(lines[1].substr(0, lines[1].find("\x1b[48;5;201m")));
  EXPECT_EQ(Length(before), 5);
  lines.erase(lines.begin() + 1);
  lines.pop_back();
  EXPECT_THAT(lines, Each(AllOf(lines[0], Not(HasSubstr("201")))));

  lines = LinesOf(SlotMap(values, MapStyle::kShades));
  EXPECT_EQ(Length(lines[1].substr(0, lines[1].find("█"))), 5);
  EXPECT_THAT(lines[0], Not(HasSubstr("█")));
}

TEST(SlotMapTest, AnEvenClusterLooksEvenHoweverFull) {
  const auto rows = [](uint64_t value, MapStyle style) {
    return SlotMap(Values(kSlotCount, value), style);
  };
  for (const MapStyle style : {MapStyle::kColours, MapStyle::kShades}) {
    EXPECT_EQ(rows(1, style), rows(1'000'000, style));
    EXPECT_NE(rows(0, style), rows(1, style));
  }
}

TEST(SlotMapTest, WritesAColourOnlyWhereItChanges) {
  EXPECT_LT(SlotMap(Values(kSlotCount, 7), MapStyle::kColours).size(), 64 * (128 * 3 + 40) + 1000);
}

TEST(RangeBarsTest, SumsRanges) {
  Values values(kSlotCount);
  values[255] = 10;
  values[256] = 20;
  values[300] = 20;
  values[16383] = 1;
  const std::string bars = RangeBars(values, Number, [](SlotRange range) {
    return absl::StrCat("owner of ", range.first, " to ", range.last);
  });
  EXPECT_TRUE(IsAscii(bars));
  const std::vector<std::string> lines = LinesOf(bars);
  ASSERT_EQ(lines.size(), 64);
  EXPECT_THAT(lines, Each(SizeIs(testing::Le(128))));
  EXPECT_THAT(lines[0], AllOf(HasSubstr("0-255 "), HasSubstr(" 10 "),
                              HasSubstr(" ############### "), HasSubstr("owner of 0 to 255")));
  EXPECT_THAT(lines[1], AllOf(HasSubstr("256-511 "), HasSubstr(" 40 "),
                              HasSubstr(" " + std::string(60, '#') + " ")));
  EXPECT_THAT(lines[2], AllOf(HasSubstr(" 0 "), Not(HasSubstr("#"))));
  EXPECT_THAT(lines[63], AllOf(HasSubstr("16128-16383 "), HasSubstr(" 1 "), HasSubstr(" ## ")));
}

// The sum of the second column.
uint64_t SlotsIn(const std::vector<std::string>& lines) {
  uint64_t slots = 0;
  for (const std::string& line : lines) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    // "3", or "3 - 5".
    slots += std::stoull(words[words[1] == "-" ? 3 : 1]);
  }
  return slots;
}

TEST(SlotHistogramTest, OneValue) {
  const std::vector<std::string> lines = LinesOf(SlotHistogram(Values(kSlotCount, 7), Number));
  ASSERT_EQ(lines.size(), 1);
  EXPECT_THAT(lines[0], AllOf(HasSubstr(" 7 "), HasSubstr(" 16384 ")));
}

TEST(SlotHistogramTest, EqualRanges) {
  Values values(kSlotCount);
  for (size_t slot = 0; slot < values.size(); ++slot) values[slot] = 40 + slot % 41;
  const std::string histogram = SlotHistogram(values, Number);
  EXPECT_TRUE(IsAscii(histogram));
  const std::vector<std::string> lines = LinesOf(histogram);
  ASSERT_EQ(lines.size(), 9);
  EXPECT_THAT(lines[0], HasSubstr(" 40 - 44 "));
  EXPECT_THAT(lines[7], HasSubstr(" 75 - 79 "));
  EXPECT_THAT(lines[8], HasSubstr(" 80 "));
  EXPECT_EQ(SlotsIn(lines), kSlotCount);
}

TEST(SlotHistogramTest, RangesThatDouble) {
  for (const uint64_t most : {uint64_t{1000}, uint64_t{1} << 50}) {
    Values values(kSlotCount, 3);
    values[0] = 0;
    values[1] = most;
    const std::vector<std::string> lines = LinesOf(SlotHistogram(values, Number));
    EXPECT_LE(lines.size(), 20);
    EXPECT_EQ(SlotsIn(lines), kSlotCount);
    EXPECT_THAT(lines.back(), AllOf(HasSubstr(absl::StrCat(" - ", most, " ")), HasSubstr(" 1 ")));
  }
  Values values(kSlotCount, 100);
  values[1] = 100'000;
  const std::vector<std::string> lines = LinesOf(SlotHistogram(values, Number));
  EXPECT_THAT(lines.front(), HasSubstr(" 100 - 127 "));
}

TEST(SlotHistogramTest, AllInOneSlot) {
  Values values(kSlotCount);
  values[9] = 1'000'000;
  const std::vector<std::string> lines = LinesOf(SlotHistogram(values, Number));
  EXPECT_EQ(SlotsIn(lines), kSlotCount);
  EXPECT_LE(lines.size(), 20);
}

}  // namespace
}  // namespace slotkv::tools
