#include "tools/stats_json.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "tools/replicas_text.h"

namespace slotkv::tools {
namespace {

// Keeps the order in which members are added.
using Json = nlohmann::ordered_json;

Json OrNull(const std::optional<uint64_t>& number) {
  return number.has_value() ? Json(*number) : Json();
}

// Unknown if it is for one of them.
std::optional<uint64_t> Plus(std::optional<uint64_t> sum, std::optional<uint64_t> number) {
  if (!sum.has_value() || !number.has_value()) return std::nullopt;
  return *sum + *number;
}

Json LatencyJson(const Histogram& latency) {
  const auto us = [](absl::Duration duration) { return absl::ToDoubleMicroseconds(duration); };
  return {{"count", latency.count()},
          {"mean", us(latency.Mean())},
          {"p50", us(latency.Percentile(50))},
          {"p99", us(latency.Percentile(99))},
          {"p999", us(latency.Percentile(99.9))}};
}

// Null if it is ok.
Json FailureJson(const absl::Status& status) {
  return status.ok() ? Json() : Json(status.ToString());
}

std::string WriteStatus(const ShardStats& shard) {
  return shard.write_status.ok() ? "ok" : shard.write_status.ToString();
}

// Of a copy that is not in use there are no numbers.
Json NodeJson(const NodeStats& node) {
  const bool known = HasNumbers(node);
  const auto number = [known](uint64_t value) { return known ? Json(value) : Json(); };
  return {{"id", node.info.id.ToString()},
          {"role", RoleName(node.info.role)},
          {"zone", node.info.zone},
          {"up", node.info.up},
          {"in_sync", node.info.in_sync},
          {"failure", FailureJson(node.failure)},
          {"copied_bytes", node.copied_bytes},
          {"bytes_to_copy", node.bytes_to_copy},
          {"log_last", number(node.last.value())},
          {"log_synced", number(node.synced.value())},
          {"applied", number(node.applied.value())},
          {"lag_bytes", number(node.lag_bytes)},
          {"replayed", number(node.replayed)},
          {"log_bytes", number(node.log_bytes)},
          {"log_segments", number(node.log_segments)},
          {"table_bytes", number(node.table_bytes)},
          {"memtable_bytes", number(node.memtable_bytes)}};
}

Json ZonesJson(const ClusterStats& stats) {
  Json zones = Json::array();
  for (const ZoneStats& zone : stats.zones) {
    zones.push_back({{"name", zone.name},
                     {"path", zone.path},
                     {"failure", FailureJson(zone.status)},
                     {"topology_failure", FailureJson(zone.topology)}});
  }
  return zones;
}

Json NodesJson(const ShardStats& shard) {
  Json nodes = Json::array();
  for (const NodeStats& node : shard.nodes) nodes.push_back(NodeJson(node));
  return nodes;
}

// On one line. An error's text may have a path in it, in any bytes.
std::string TextOf(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json RangesJson(const ShardInfo& shard) {
  Json ranges = Json::array();
  for (const SlotRange& range : shard.slots) ranges.push_back({range.first, range.last});
  return ranges;
}

Json ShardJson(const ShardStats& shard, const ShardInfo* info, const ClusterStats& stats) {
  std::optional<uint64_t> keys = 0, bytes = 0;
  Json ranges = Json::array();
  if (info != nullptr) {
    ranges = RangesJson(*info);
    for (const SlotRange& range : info->slots) {
      for (size_t slot = range.first; slot <= range.last; ++slot) {
        keys = Plus(keys, stats.slots[slot].keys);
        bytes = Plus(bytes, stats.slots[slot].bytes);
      }
    }
  }
  return {{"id", shard.id.ToString()},
          {"slots", shard.slots},
          {"slot_ranges", std::move(ranges)},
          {"keys", OrNull(keys)},
          {"bytes", OrNull(bytes)},
          {"estimated_keys", shard.estimated_keys},
          {"write_status", WriteStatus(shard)},
          {"repairs", shard.repairs},
          {"reads", shard.reads},
          {"hits", shard.hits},
          {"writes", shard.writes},
          {"bytes_read", shard.bytes_read},
          {"bytes_written", shard.bytes_written},
          {"read_latency_us", LatencyJson(shard.read_latency)},
          {"write_latency_us", LatencyJson(shard.write_latency)},
          {"nodes", NodesJson(shard)}};
}

Json SlotsJson(const ClusterStats& stats) {
  Json shard = Json::array(), keys = Json::array(), bytes = Json::array();
  Json reads = Json::array(), writes = Json::array();
  for (const SlotStats& slot : stats.slots) {
    shard.push_back(slot.shard.ToString());
    keys.push_back(OrNull(slot.keys));
    bytes.push_back(OrNull(slot.bytes));
    reads.push_back(slot.reads);
    writes.push_back(slot.writes);
  }
  return {{"shard", std::move(shard)},
          {"keys", std::move(keys)},
          {"bytes", std::move(bytes)},
          {"reads", std::move(reads)},
          {"writes", std::move(writes)}};
}

}  // namespace

std::string StatsJson(const ClusterStats& stats, const Topology& topology) {
  std::optional<uint64_t> keys = 0, bytes = 0;
  for (const SlotStats& slot : stats.slots) {
    keys = Plus(keys, slot.keys);
    bytes = Plus(bytes, slot.bytes);
  }
  Json shards = Json::array();
  for (const ShardStats& shard : stats.shards) {
    shards.push_back(ShardJson(shard, topology.FindShard(shard.id), stats));
  }
  const Json json = {{"epoch", stats.epoch.value()},
                     {"keys", OrNull(keys)},
                     {"bytes", OrNull(bytes)},
                     {"memory_bytes_used", stats.memory_bytes_used},
                     {"memory_bytes", stats.memory_bytes},
                     {"loads", stats.loads},
                     {"load_waits", stats.load_waits},
                     {"loads_not_stored", stats.loads_not_stored},
                     {"zones", ZonesJson(stats)},
                     {"shards", std::move(shards)},
                     {"slots", SlotsJson(stats)}};
  return TextOf(json);
}

std::string ReplicasJson(const ClusterStats& stats) {
  Json shards = Json::array();
  for (const ShardStats& shard : stats.shards) {
    shards.push_back({{"id", shard.id.ToString()},
                      {"write_status", WriteStatus(shard)},
                      {"repairs", shard.repairs},
                      {"nodes", NodesJson(shard)}});
  }
  return TextOf(
      {{"epoch", stats.epoch.value()}, {"zones", ZonesJson(stats)}, {"shards", std::move(shards)}});
}

std::string SlotMapJson(const Topology& topology) {
  Json shards = Json::array();
  for (const ShardInfo& shard : topology.shards()) {
    const NodeInfo& primary = shard.primary();
    shards.push_back({{"id", shard.id.ToString()},
                      {"slots", shard.SlotCount()},
                      {"slot_ranges", RangesJson(shard)},
                      {"primary", {{"id", primary.id.ToString()}, {"zone", primary.zone}}}});
  }
  return TextOf({{"epoch", topology.epoch().value()}, {"shards", std::move(shards)}});
}

}  // namespace slotkv::tools
