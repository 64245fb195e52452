#include "slotkv/rebalance.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace slotkv {
namespace {

const char* Name(RebalanceBy by) {
  switch (by) {
    case RebalanceBy::kSlots:
      return "slots";
    case RebalanceBy::kKeys:
      return "keys";
    case RebalanceBy::kBytes:
      return "bytes";
  }
  return "";
}

int Size(const SlotRange& range) { return range.last - range.first + 1; }

std::string Count(size_t number, const char* noun) {
  return absl::StrCat(number, " ", noun, number == 1 ? "" : "s");
}

// "+33.3%"; without a target there is no such number.
std::string OffText(uint64_t load, double target) {
  if (target > 0) {
    // Not "-0.0%".
    const double percent = 100 * (static_cast<double>(load) - target) / target;
    return absl::StrFormat("%+.1f%%", percent > -0.05 && percent < 0.05 ? 0.0 : percent);
  }
  return load == 0 ? "-" : "all";
}

// Numbers of any size stay in their columns; slots have theirs even where they are the load.
std::string ShardsText(const RebalancePlan& plan) {
  const bool by_slots = plan.by == RebalanceBy::kSlots;
  size_t width = 8;
  for (const ShardBalance& shard : plan.shards) {
    width = std::max(width, absl::StrCat(std::max(shard.load_before, shard.load_after)).size() + 2);
  }
  const int load_width = static_cast<int>(width);
  std::string text = absl::StrFormat("%-11s %7s %8s %8s", "shard", "weight", "slots", "after");
  if (!by_slots) {
    absl::StrAppendFormat(&text, "%*s%*s", load_width, Name(plan.by), load_width, "after");
  }
  absl::StrAppendFormat(&text, "%*s %9s %9s\n", load_width, "target", "off by", "after");
  for (const ShardBalance& shard : plan.shards) {
    absl::StrAppendFormat(&text, "%-11s %7.4g %8d %8d", shard.id.ToString(), shard.weight,
                          shard.slots_before, shard.slots_after);
    if (!by_slots) {
      absl::StrAppendFormat(&text, "%*d%*d", load_width, shard.load_before, load_width,
                            shard.load_after);
    }
    absl::StrAppendFormat(&text, "%*.0f %9s %9s\n", load_width, shard.target,
                          OffText(shard.load_before, shard.target),
                          OffText(shard.load_after, shard.target));
  }
  return text;
}

}  // namespace

int RebalancePlan::SlotCount() const {
  int count = 0;
  for (const SlotMove& move : moves) count += Size(move.slots);
  return count;
}

std::string RebalancePlan::ToString() const {
  if (moves.empty()) return "balanced: nothing to move\n";
  std::string text =
      absl::StrCat(ShardsText(*this), "\n", Count(static_cast<size_t>(SlotCount()), "slot"),
                   " to move, in ", Count(moves.size(), "range"), "\n");
  for (const SlotMove& move : moves) {
    const std::string range = move.slots.first == move.slots.last
                                  ? absl::StrCat(move.slots.first)
                                  : absl::StrCat(move.slots.first, "-", move.slots.last);
    absl::StrAppendFormat(&text, "%-11s to %-11s %-12s %6d\n", move.from.ToString(),
                          move.to.ToString(), range, Size(move.slots));
  }
  return text;
}

}  // namespace slotkv
