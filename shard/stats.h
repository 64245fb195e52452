// What a cluster has done since it was opened, and what it holds: Cluster::GetStats.
//
// Counts are of this process and begin at 0 with every Open. They are read one after the other, not
// as of one moment.
#ifndef SLOTKV_SHARD_STATS_H_
#define SLOTKV_SHARD_STATS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "slotkv/histogram.h"
#include "slotkv/ids.h"
#include "slotkv/slot.h"
#include "slotkv/topology.h"

namespace slotkv {

// What GetStats is to find out beyond what is cheap to tell.
struct StatsOptions {
  // SlotStats::keys: reads every key of the cluster.
  bool count_keys = false;
  // SlotStats::bytes: about 0.1 s for all slots.
  bool slot_bytes = false;
};

// One copy of one shard.
struct NodeStats {
  NodeInfo info;
  // Records: the last in the log, the last that is durable there, the last in the store.
  LogIndex last, synced, applied;
  // Effects in the log that are not in the store yet, which a promotion would have to wait for.
  size_t lag_bytes = 0;
  // Why the node is about to be given up or, if it is not in sync, why that is so or why it could
  // not be brought back the last time; ok: nothing is known to be wrong.
  absl::Status failure;
  // While its copy is built anew: how much of the primary's data is copied, and how much there is.
  // Both 0 otherwise.
  uint64_t copied_bytes = 0;
  uint64_t bytes_to_copy = 0;
  // Records that Open applied to the store, which had not yet had them.
  uint64_t replayed = 0;
  uint64_t log_bytes = 0;  // records of segments that no longer grow
  size_t log_segments = 0;
  uint64_t table_bytes = 0;  // RocksDB's table files
  uint64_t memtable_bytes = 0;
};

// One zone.
struct ZoneStats {
  std::string name;
  std::string path;
  // Why it is down; ok: it is in use.
  absl::Status status;
  // Why its copy of the topology is not current; ok: it is.
  absl::Status topology;
};

// One shard: what its callers asked for, and the copies that it has.
struct ShardStats {
  ShardId id;
  int slots = 0;  // owned
  // Keys asked for, found, and written: each key of a call on many keys, and each write of a batch.
  uint64_t reads = 0;
  uint64_t hits = 0;
  uint64_t writes = 0;
  // Of values found; of keys and values, or whatever else was logged.
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  // Of calls at this shard: a call on many keys counts once for each shard it goes to.
  Histogram read_latency;
  Histogram write_latency;
  // About how many keys the primary's store holds, expired ones included, by RocksDB's counts.
  uint64_t estimated_keys = 0;
  // Copies that were found damaged (a bad checksum in a log or a table), were built anew from a
  // sound one and are in sync again.
  uint64_t repairs = 0;
  // Why the shard takes no writes now; ok: it does.
  absl::Status write_status;
  std::vector<NodeStats> nodes;
};

// One slot: its owner, and keys read and written in it, counted as ShardStats counts them.
struct SlotStats {
  ShardId shard;
  uint64_t reads = 0;
  uint64_t writes = 0;
  // Live keys, if StatsOptions::count_keys.
  std::optional<uint64_t> keys;
  // About how many bytes they take in table files, if StatsOptions::slot_bytes: what is in memory
  // alone does not count, and a few keys may count as none.
  std::optional<uint64_t> bytes;
};

// The whole cluster; `epoch` is its topology's.
struct ClusterStats {
  Epoch epoch;
  std::vector<ShardStats> shards;  // ascending by id
  std::vector<SlotStats> slots;    // kSlotCount
  std::vector<ZoneStats> zones;
  // GetOrLoad: loaders that ran, calls that waited for another's, and values loaded but not stored.
  uint64_t loads = 0;
  uint64_t load_waits = 0;
  uint64_t loads_not_stored = 0;
  // Bytes of blocks and memtables in memory, and their bound (Options::memory_bytes).
  uint64_t memory_bytes_used = 0;
  uint64_t memory_bytes = 0;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_STATS_H_
