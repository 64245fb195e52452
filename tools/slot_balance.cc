#include "tools/slot_balance.h"

#include <algorithm>

namespace slotkv::tools {

SlotBalance BalanceOf(SlotValues values) {
  SlotBalance balance;
  if (values.empty()) return balance;
  balance.min = *std::min_element(values.begin(), values.end());
  balance.max = *std::max_element(values.begin(), values.end());
  for (const uint64_t value : values) {
    balance.sum += value;
    balance.empty_slots += value == 0 ? 1 : 0;
  }
  const double sum = static_cast<double>(balance.sum);
  balance.mean = sum / static_cast<double>(values.size());
  const size_t used = values.size() - balance.empty_slots;
  if (used != 0) balance.mean_of_used = sum / static_cast<double>(used);
  return balance;
}

std::vector<Slot> HeaviestSlots(SlotValues values, size_t count) {
  std::vector<Slot> slots;
  for (size_t slot = 0; slot < values.size(); ++slot) {
    if (values[slot] != 0) slots.push_back(static_cast<Slot>(slot));
  }
  const size_t kept = std::min(count, slots.size());
  std::partial_sort(
      slots.begin(), slots.begin() + static_cast<ptrdiff_t>(kept), slots.end(),
      [values](Slot a, Slot b) { return values[a] != values[b] ? values[a] > values[b] : a < b; });
  slots.resize(kept);
  return slots;
}

}  // namespace slotkv::tools
