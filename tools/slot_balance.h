// How evenly a quantity (keys, say, or bytes) is spread over the slots.
#ifndef SLOTKV_TOOLS_SLOT_BALANCE_H_
#define SLOTKV_TOOLS_SLOT_BALANCE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "slotkv/slot.h"

namespace slotkv::tools {

// What each slot has, by slot.
using SlotValues = absl::Span<const uint64_t>;

struct SlotBalance {
  uint64_t min = 0;
  uint64_t max = 0;
  uint64_t sum = 0;
  double mean = 0;
  size_t empty_slots = 0;
  // The mean of the slots that are not empty; 0 if all are.
  double mean_of_used = 0;
};

SlotBalance BalanceOf(SlotValues values);

// At most `count` slots that are not empty, the heaviest first, the lower of two that are equal.
std::vector<Slot> HeaviestSlots(SlotValues values, size_t count);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_SLOT_BALANCE_H_
