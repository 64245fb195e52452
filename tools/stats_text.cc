#include "tools/stats_text.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tools/command_line.h"
#include "tools/replicas_text.h"
#include "tools/slot_balance.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

constexpr size_t kHeaviest = 10;
constexpr size_t kExampleKeys = 1000;  // looked at for one
constexpr int kShardBarWidth = 30;
constexpr size_t kRangesTextMax = 27;

struct Measured {
  std::vector<uint64_t> keys;   // by slot
  std::vector<uint64_t> bytes;  // by slot
};

Measured Measure(const ClusterStats& stats) {
  Measured measured;
  for (const SlotStats& slot : stats.slots) {
    measured.keys.push_back(slot.keys.value_or(0));
    measured.bytes.push_back(slot.bytes.value_or(0));
  }
  return measured;
}

uint64_t SumOf(const std::vector<uint64_t>& values, const ShardInfo& shard) {
  uint64_t sum = 0;
  for (const SlotRange& range : shard.slots) {
    for (size_t slot = range.first; slot <= range.last; ++slot) sum += values[slot];
  }
  return sum;
}

double Percent(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string ShardsText(const Measured& measured, const Topology& topology, Drawn drawn) {
  const SlotBalance keys = BalanceOf(measured.keys);
  const SlotBalance bytes = BalanceOf(measured.bytes);
  const uint64_t whole = drawn == Drawn::kKeys ? keys.sum : bytes.sum;
  const double ideal = 100 / static_cast<double>(topology.shards().size());
  std::string text = absl::StrFormat(
      "%-11s %5s %6s %14s %6s %12s %6s  %-*s  %s\n", "shard", "slots", "", "keys", "", "bytes", "",
      kShardBarWidth,
      absl::StrFormat("%s (even: %.1f%%)", drawn == Drawn::kKeys ? "keys" : "bytes", ideal),
      "slots");
  double largest = ideal;
  for (const ShardInfo& shard : topology.shards()) {
    const auto& values = drawn == Drawn::kKeys ? measured.keys : measured.bytes;
    largest = std::max(largest, Percent(SumOf(values, shard), whole));
  }
  for (const ShardInfo& shard : topology.shards()) {
    const uint64_t shard_keys = SumOf(measured.keys, shard);
    const uint64_t shard_bytes = SumOf(measured.bytes, shard);
    const double share = Percent(drawn == Drawn::kKeys ? shard_keys : shard_bytes, whole);
    std::string ranges = SlotsText(shard);
    if (ranges.size() > kRangesTextMax) ranges = ranges.substr(0, kRangesTextMax - 3) + "...";
    absl::StrAppendFormat(&text, "%-11s %5d %5.1f%% %14s %5.1f%% %12s %5.1f%%  %-*s  %s\n",
                          shard.id.ToString(), shard.SlotCount(),
                          Percent(static_cast<uint64_t>(shard.SlotCount()), kSlotCount),
                          WithCommas(shard_keys), Percent(shard_keys, keys.sum),
                          ByteSize(shard_bytes), Percent(shard_bytes, bytes.sum), kShardBarWidth,
                          Bar(share, largest, kShardBarWidth), ranges);
  }
  return text;
}

std::string NodesText(const ClusterStats& stats) {
  constexpr char kNodeRow[] =
      "%-11s %-11s %-7s %-8s %-4s %-7s %12s %12s %12s %10s %10s %10s %10s\n";
  std::string text =
      absl::StrFormat(kNodeRow, "node", "shard", "role", "zone", "up", "in sync", "log: last",
                      "synced", "in store", "lag", "log", "tables", "memtables");
  std::string failures;
  for (const ShardStats& shard : stats.shards) {
    for (const NodeStats& node : shard.nodes) {
      const bool known = HasNumbers(node);
      const auto number = [known](uint64_t value) { return known ? WithCommas(value) : "-"; };
      const auto bytes = [known](uint64_t value) { return known ? ByteSize(value) : "-"; };
      absl::StrAppendFormat(&text, kNodeRow, node.info.id.ToString(), shard.id.ToString(),
                            RoleName(node.info.role), node.info.zone, node.info.up ? "yes" : "no",
                            node.info.in_sync ? "yes" : "no", number(node.last.value()),
                            number(node.synced.value()), number(node.applied.value()),
                            bytes(node.lag_bytes), bytes(node.log_bytes), bytes(node.table_bytes),
                            bytes(node.memtable_bytes));
      if (node.failure.ok()) continue;
      absl::StrAppend(&failures, node.info.id.ToString(),
                      node.info.in_sync ? " is failing: " : " is not in sync: ",
                      Escaped(MessageOf(node.failure)), "\n");
    }
  }
  return absl::StrCat(text, failures, RefusalsText(stats), RepairsText(stats),
                      ZonesDownText(stats));
}

// A key of those that are the most in the slot: of the commonest hash tag.
std::string ExampleKey(Cluster* cluster, Slot slot) {
  absl::StatusOr<std::vector<std::string>> keys = cluster->KeysInSlot(slot, kExampleKeys);
  if (!keys.ok() || keys->empty()) return "";
  absl::flat_hash_map<std::string_view, size_t> counts;
  for (const std::string& key : *keys) ++counts[HashTag(key)];
  return *std::max_element(keys->begin(), keys->end(),
                           [&counts](const std::string& a, const std::string& b) {
                             return counts[HashTag(a)] < counts[HashTag(b)];
                           });
}

std::string HeaviestText(const Measured& measured, const ClusterStats& stats, Cluster* cluster,
                         Drawn drawn) {
  const std::vector<uint64_t>& values = drawn == Drawn::kKeys ? measured.keys : measured.bytes;
  const uint64_t sum = BalanceOf(values).sum;
  std::string text =
      absl::StrFormat("%-7s %-11s %14s %12s %8s  %s\n", "slot", "shard", "keys", "bytes",
                      drawn == Drawn::kKeys ? "of keys" : "of bytes", "for example");
  for (const Slot slot : HeaviestSlots(values, kHeaviest)) {
    absl::StrAppendFormat(&text, "%-7d %-11s %14s %12s %7.2f%%  %s\n", slot,
                          stats.slots[slot].shard.ToString(), WithCommas(measured.keys[slot]),
                          ByteSize(measured.bytes[slot]), Percent(values[slot], sum),
                          Quoted(ExampleKey(cluster, slot)));
  }
  return text;
}

// The owners of a range's slots.
std::string OwnersText(const ClusterStats& stats, SlotRange range) {
  std::vector<std::string> owners;
  for (size_t slot = range.first; slot <= range.last; ++slot) {
    std::string owner = stats.slots[slot].shard.ToString();
    if (std::find(owners.begin(), owners.end(), owner) == owners.end()) owners.push_back(owner);
  }
  if (owners.size() > 3) return absl::StrCat(owners.size(), " shards");
  return absl::StrJoin(owners, " ");
}

// "6.1", or "3.1 KiB".
std::string MeanText(double mean, Drawn drawn) {
  return drawn == Drawn::kBytes ? ByteSize(static_cast<uint64_t>(mean))
                                : absl::StrFormat("%.1f", mean);
}

std::string PictureText(const Measured& measured, const ClusterStats& stats,
                        const StatsTextOptions& options) {
  const bool of_keys = options.drawn == Drawn::kKeys;
  const char* const what = of_keys ? "keys" : "bytes";
  const std::vector<uint64_t>& values = of_keys ? measured.keys : measured.bytes;
  const auto number = [of_keys](uint64_t value) {
    return of_keys ? WithCommas(value) : ByteSize(value);
  };
  const SlotBalance balance = BalanceOf(values);
  std::string text = absl::StrCat(
      what, " in a slot: ", number(balance.min), " at least, ",
      MeanText(balance.mean, options.drawn), " on average, ", number(balance.max), " at most",
      balance.sum == 0 ? ""
                       : absl::StrFormat(" (%.1f times the average)",
                                         static_cast<double>(balance.max) / balance.mean),
      "; ", Count(balance.empty_slots, "slot"), " of ", kSlotCount, " empty\n");
  if (balance.sum == 0) return text;
  if (options.map.has_value()) {
    return absl::StrCat(text, "\n", what, " in each slot, slots 0 to 127 in the first row:\n",
                        SlotMap(values, *options.map));
  }
  return absl::StrCat(
      text, "\n", absl::StrFormat("%-11s %12s\n", "slots", what),
      RangeBars(values, number, [&stats](SlotRange range) { return OwnersText(stats, range); }),
      "\n", absl::StrFormat("%25s %6s\n", absl::StrCat(what, " in a slot"), "slots"),
      SlotHistogram(values, number));
}

}  // namespace

int UnreadableSlots(const ClusterStats& stats) {
  return static_cast<int>(std::count_if(
      stats.slots.begin(), stats.slots.end(),
      [](const SlotStats& slot) { return !slot.keys.has_value() || !slot.bytes.has_value(); }));
}

std::string StatsText(const ClusterStats& stats, Cluster* cluster,
                      const StatsTextOptions& options) {
  const Topology topology = cluster->GetTopology();
  const Measured measured = Measure(stats);
  const uint64_t keys = BalanceOf(measured.keys).sum;
  const uint64_t bytes = BalanceOf(measured.bytes).sum;
  uint64_t table_bytes = 0, memtable_bytes = 0;
  for (const ShardStats& shard : stats.shards) {
    for (const NodeStats& node : shard.nodes) {
      table_bytes += node.table_bytes;
      memtable_bytes += node.memtable_bytes;
    }
  }
  return absl::StrCat(
      "epoch ", stats.epoch.value(), ", ", Count(topology.shards().size(), "shard"), ", ",
      kSlotCount, " slots, ", Count(keys, "key"), "; ", ByteSize(table_bytes), " in tables, ",
      ByteSize(memtable_bytes), " in memtables\n",
      // RocksDB's estimate is of blocks, and of memtables by chance.
      2 * bytes < table_bytes + memtable_bytes
          ? "The bytes of slots are estimates; those of new and of small slots may count as none.\n"
          : "",
      "\n", ShardsText(measured, topology, options.drawn), "\n", NodesText(stats), "\n",
      PictureText(measured, stats, options),
      keys == 0 && bytes == 0
          ? ""
          : absl::StrCat("\n", HeaviestText(measured, stats, cluster, options.drawn)));
}

}  // namespace slotkv::tools
