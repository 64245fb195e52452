// Pictures, in text, of how a quantity is spread over the slots.
//
// How much a slot has is told by comparing it with the mean of the slots that have anything: so a
// balanced cluster looks even, be it full or nearly empty, and a hot slot stands out.
#ifndef SLOTKV_TOOLS_STATS_PICTURE_H_
#define SLOTKV_TOOLS_STATS_PICTURE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "slotkv/slot.h"
#include "tools/slot_balance.h"

namespace slotkv::tools {

// Slot s is in row s / kMapColumns, column s % kMapColumns.
inline constexpr int kMapColumns = 128;
inline constexpr int kMapRows = kSlotCount / kMapColumns;

enum class MapStyle {
  kColours,  // each half of a character is a slot, in one of 256 colours of a terminal
  kShades,   // each character is two slots, one above the other, without colours
};

// kMapRows / 2 lines of kMapColumns characters, and one that explains them. UTF-8. `values` are
// those of all slots.
std::string SlotMap(SlotValues values, MapStyle style);

// A line for each of 64 ranges of slots: the range, `text` of its sum, a bar, `owner` of its slots.
// ASCII.
std::string RangeBars(SlotValues values, const std::function<std::string(uint64_t)>& text,
                      const std::function<std::string(SlotRange)>& owner);

// How many slots have how much: a line for each of at most 20 ranges of it, of the same width or,
// if one slot has far more than most, each twice as wide as the one before. ASCII.
std::string SlotHistogram(SlotValues values, const std::function<std::string(uint64_t)>& text);

// `value` of `full`, as a bar of at most `width` characters; something, if it is not 0. ASCII.
std::string Bar(double value, double full, int width);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_STATS_PICTURE_H_
