#include "tools/stats_picture.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace slotkv::tools {
namespace {

constexpr int kRanges = 64;
constexpr int kRangeBarWidth = 60;
constexpr int kHistogramBarWidth = 60;
constexpr uint64_t kHistogramRows = 16;
// Beyond so many means the ranges of a histogram double.
constexpr double kFarMore = 8;

// The first bound that exceeds a slot's share of the mean gives its level, from 1; 0 is for an
// empty slot.
constexpr double kColourBounds[] = {0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 5};
constexpr const char* kColourBoundNames[] = {"1/4",   "1/2", "3/4", "1", "1 1/4",
                                             "1 1/2", "2",   "3",   "5"};
// From cold to hot, of a terminal's 256 colours; the first is for an empty slot.
constexpr int kColours[] = {234, 18, 25, 31, 36, 71, 148, 220, 208, 196, 201};
static_assert(std::size(kColours) == std::size(kColourBounds) + 2);

constexpr double kShadeBounds[] = {0.5, 1.5, 3};
constexpr const char* kShades[] = {" ", "░", "▒", "▓", "█"};
static_assert(std::size(kShades) == std::size(kShadeBounds) + 2);

template <size_t n>
int Level(double value, double mean, const double (&bounds)[n]) {
  if (value == 0) return 0;
  return 1 + static_cast<int>(std::upper_bound(bounds, bounds + n, value / mean) - bounds);
}

// Changes of colour alone are written.
class ColourWriter {
 public:
  void Half(int upper, int lower) {
    if (upper != upper_) absl::StrAppend(&text_, "\x1b[38;5;", upper, "m");
    if (lower != lower_) absl::StrAppend(&text_, "\x1b[48;5;", lower, "m");
    upper_ = upper;
    lower_ = lower;
    text_ += "▀";
  }
  void Reset(const char* then) {
    absl::StrAppend(&text_, "\x1b[0m", then);
    upper_ = lower_ = -1;
  }
  std::string& text() { return text_; }

 private:
  std::string text_;
  int upper_ = -1;
  int lower_ = -1;
};

std::string ColourMap(SlotValues values, double mean) {
  const auto colour = [&](int row, int column) {
    const uint64_t value = values[static_cast<size_t>(row * kMapColumns + column)];
    return kColours[Level(static_cast<double>(value), mean, kColourBounds)];
  };
  ColourWriter writer;
  for (int row = 0; row < kMapRows; row += 2) {
    for (int column = 0; column < kMapColumns; ++column) {
      writer.Half(colour(row, column), colour(row + 1, column));
    }
    writer.Reset("\n");
  }
  // 0 # up to 1/4 # ... 5 # more
  absl::StrAppend(&writer.text(), "none ");
  for (size_t level = 0; level < std::size(kColours); ++level) {
    writer.Half(kColours[level], kColours[level]);
    writer.Half(kColours[level], kColours[level]);
    const bool bound = level >= 1 && level <= std::size(kColourBoundNames);
    writer.Reset(level == 0 ? " " : bound ? "" : " more");
    if (bound) absl::StrAppend(&writer.text(), " ", kColourBoundNames[level - 1], " ");
  }
  return absl::StrCat(writer.text(), ", times the mean\n");
}

std::string ShadeMap(SlotValues values, double mean) {
  std::string text;
  for (int row = 0; row < kMapRows; row += 2) {
    for (int column = 0; column < kMapColumns; ++column) {
      const size_t slot = static_cast<size_t>(row * kMapColumns + column);
      const double both =
          static_cast<double>(values[slot]) + static_cast<double>(values[slot + kMapColumns]);
      text += kShades[Level(both / 2, mean, kShadeBounds)];
    }
    text.push_back('\n');
  }
  return text + "none '" + kShades[0] + "' " + kShades[1] + " 1/2 " + kShades[2] + " 1 1/2 " +
         kShades[3] + " 3 " + kShades[4] +
         " more, times the mean; a character is two slots, 128 apart\n";
}

// The least of 1, 2, 5, 10, 20, ... with which `rows` steps cover `count` numbers.
uint64_t StepOf(uint64_t count, uint64_t rows) {
  uint64_t step = 1;
  for (int i = 0; count > rows * step; ++i) step = i % 3 == 1 ? step / 2 * 5 : step * 2;
  return step;
}

// The last number of each range; the first begins with `min`.
std::vector<uint64_t> RangeEnds(const SlotBalance& balance) {
  std::vector<uint64_t> ends;
  if (static_cast<double>(balance.max) > kFarMore * std::max(balance.mean_of_used, 1.0)) {
    uint64_t end = balance.max >> (kHistogramRows + 2);
    for (; end < balance.max; end = 2 * end + 1) ends.push_back(end);
    // Those that end before the first slot's.
    while (ends.size() > 1 && ends[0] < balance.min) ends.erase(ends.begin());
    ends.push_back(balance.max);
    return ends;
  }
  const uint64_t step = StepOf(balance.max - balance.min + 1, kHistogramRows);
  for (uint64_t end = balance.min / step * step + step - 1; end < balance.max; end += step) {
    ends.push_back(end);
  }
  ends.push_back(balance.max);
  return ends;
}

}  // namespace

std::string SlotMap(SlotValues values, MapStyle style) {
  const double mean = BalanceOf(values).mean_of_used;
  return style == MapStyle::kColours ? ColourMap(values, mean) : ShadeMap(values, mean);
}

std::string Bar(double value, double full, int width) {
  if (value <= 0 || full <= 0) return "";
  const double length = std::round(value / full * width);
  return std::string(static_cast<size_t>(std::clamp<double>(length, 1, width)), '#');
}

std::string RangeBars(SlotValues values, const std::function<std::string(uint64_t)>& text,
                      const std::function<std::string(SlotRange)>& owner) {
  constexpr size_t kSlots = kSlotCount / kRanges;
  std::vector<uint64_t> sums;
  for (size_t first = 0; first < kSlotCount; first += kSlots) {
    sums.push_back(BalanceOf(values.subspan(first, kSlots)).sum);
  }
  const double most = static_cast<double>(*std::max_element(sums.begin(), sums.end()));
  std::string lines;
  for (size_t i = 0; i < sums.size(); ++i) {
    const SlotRange range = {static_cast<Slot>(i * kSlots),
                             static_cast<Slot>((i + 1) * kSlots - 1)};
    absl::StrAppendFormat(&lines, "%5d-%-5d %12s  %-*s  %s\n", range.first, range.last,
                          text(sums[i]), kRangeBarWidth,
                          Bar(static_cast<double>(sums[i]), most, kRangeBarWidth), owner(range));
  }
  return lines;
}

std::string SlotHistogram(SlotValues values, const std::function<std::string(uint64_t)>& text) {
  const SlotBalance balance = BalanceOf(values);
  const std::vector<uint64_t> ends = RangeEnds(balance);
  std::vector<uint64_t> counts(ends.size());
  for (const uint64_t value : values) {
    ++counts[static_cast<size_t>(std::lower_bound(ends.begin(), ends.end(), value) - ends.begin())];
  }
  const double most = static_cast<double>(*std::max_element(counts.begin(), counts.end()));
  std::string lines;
  uint64_t first = balance.min;
  for (size_t i = 0; i < ends.size(); ++i) {
    const std::string range =
        first == ends[i] ? text(first) : absl::StrCat(text(first), " - ", text(ends[i]));
    absl::StrAppendFormat(&lines, "%25s %6d  %s\n", range, counts[i],
                          Bar(static_cast<double>(counts[i]), most, kHistogramBarWidth));
    first = ends[i] + 1;
  }
  return lines;
}

}  // namespace slotkv::tools
