#include "slotkv/options.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "shard/cluster_state.h"

namespace slotkv {
namespace {

template <typename... Text>
absl::Status Bad(const Text&... text) {
  return absl::InvalidArgumentError(absl::StrCat("Options.", text...));
}

absl::Status ValidateZones(const std::vector<Zone>& zones) {
  if (zones.size() > kMaxZones) {
    return Bad("zones has ", zones.size(), " entries, may have ", kMaxZones);
  }
  std::set<std::string> names, paths;
  for (const Zone& zone : zones) {
    if (!IsZoneName(zone.name)) {
      return Bad("zones: the name \"", zone.name, "\" is not 1 to 64 of a-z A-Z 0-9 _ -");
    }
    if (zone.path.empty()) return Bad("zones: zone ", zone.name, " has no path");
    if (!names.insert(zone.name).second) return Bad("zones: ", zone.name, " stands twice");
    if (!paths.insert(zone.path).second) {
      return Bad("zones: ", zone.name, " has the path of another zone, ", zone.path);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateOptions(const Options& options) {
  if (options.shards < 1 || options.shards > static_cast<int>(kMaxShards)) {
    return Bad("shards is ", options.shards, ", must be 1 to ", kMaxShards);
  }
  if (options.replicas_per_shard < 0 ||
      options.replicas_per_shard >= static_cast<int>(kMaxNodesPerShard)) {
    return Bad("replicas_per_shard is ", options.replicas_per_shard, ", must be 0 to ",
               kMaxNodesPerShard - 1);
  }
  if (options.min_in_sync_replicas < 0 ||
      options.min_in_sync_replicas >= static_cast<int>(kMaxNodesPerShard)) {
    return Bad("min_in_sync_replicas is ", options.min_in_sync_replicas, ", must be 0 to ",
               kMaxNodesPerShard - 1);
  }
  if (options.node_timeout < absl::Milliseconds(1) || options.node_timeout > absl::Hours(1)) {
    return Bad("node_timeout is ", absl::FormatDuration(options.node_timeout),
               ", must be 1ms to 1h");
  }
  if (options.fsync != Fsync::kAlways && options.fsync != Fsync::kEverySecond &&
      options.fsync != Fsync::kNever) {
    return Bad("fsync is ", static_cast<int>(options.fsync), ", which is no Fsync");
  }
  if (options.log_io != LogIo::kAuto && options.log_io != LogIo::kMapped &&
      options.log_io != LogIo::kWrite) {
    return Bad("log_io is ", static_cast<int>(options.log_io), ", which is no LogIo");
  }
  if (options.default_ttl <= absl::ZeroDuration()) {
    return Bad("default_ttl is ", absl::FormatDuration(options.default_ttl), ", must be positive");
  }
  constexpr size_t kMinMemory = size_t{16} << 20;
  if (options.memory_bytes < kMinMemory) {
    return Bad("memory_bytes is ", options.memory_bytes, ", must be at least ", kMinMemory);
  }
  if (options.operation_timeout < absl::Milliseconds(1) ||
      options.operation_timeout > absl::Hours(1)) {
    return Bad("operation_timeout is ", absl::FormatDuration(options.operation_timeout),
               ", must be 1ms to 1h");
  }
  return ValidateZones(options.zones);
}

}  // namespace slotkv
