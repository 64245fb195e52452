// How a cluster is opened. Plain structs: each field has a default, a unit and a reason to change
// it. `Cluster::Open` validates all of them once and names the offending field.
#ifndef SLOTKV_SHARD_OPTIONS_H_
#define SLOTKV_SHARD_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "slotkv/clock.h"
#include "slotkv/event_listener.h"
#include "slotkv/log_io.h"
#include "slotkv/logger.h"

namespace slotkv {

// When the log is made durable against power or kernel failure. A process that dies, kill -9
// included, loses no acknowledged write under any of them.
enum class Fsync {
  kAlways,       // before a write is acknowledged, once for each group of writes
  kEverySecond,  // at most the last second is lost, and never a write in the middle
  kNever,        // whenever it happens
};

// A failure domain: a directory root, normally one disk.
struct Zone {
  std::string name;  // 1 to 64 of a-z A-Z 0-9 _ -; unique in the cluster
  // Where its copies live; created if missing. A relative one is below the cluster's directory. Not
  // empty; unique in the cluster.
  std::string path;
};

// How Cluster::Open opens or creates a cluster.
struct Options {
  // Creates the cluster if the path holds none; otherwise that is NotFound.
  bool create_if_missing = true;
  // Refuses a path that holds a cluster already (AlreadyExists).
  bool error_if_exists = false;

  // Primaries over which the slots are spread evenly: 1 to 1024. Read at creation only;
  // afterwards the topology on disk wins.
  int shards = 3;
  // Copies of each shard besides the primary, each in another zone: 0 to 63, and fewer than there
  // are zones. A write is on all of them that are in sync before it is acknowledged. Without any,
  // one copy is all there is: half the disk and the work, and a disk that is lost takes its shards
  // with it. Read at creation only.
  int replicas_per_shard = 1;

  // Failure domains, up to 64. Empty: three, named zone-a, zone-b and zone-c, below the cluster's
  // own directory. For an existing cluster a zone named here is looked for at this path (a disk
  // that is mounted elsewhere now); a name that the cluster does not know is InvalidArgument.
  std::vector<Zone> zones;
  // Refuses zones that share a device (FailedPrecondition), for they would be lost together.
  bool require_distinct_devices = false;

  // See Fsync. kAlways costs one device flush for each group of concurrent writes.
  Fsync fsync = Fsync::kEverySecond;

  // Applied to writes that set no ttl of their own; infinite: keys stay until deleted. Positive.
  absl::Duration default_ttl = absl::InfiniteDuration();

  // Bound on block cache and memtables together, in bytes: at least 16 MiB. More memory answers
  // more reads without touching the disk.
  size_t memory_bytes = size_t{256} << 20;

  // How long a call waits for room, for a device or for other writers before it gives up with
  // Unavailable (certainly not applied) or DeadlineExceeded (outcome unknown): 1 ms to 1 h.
  absl::Duration operation_timeout = absl::Seconds(10);

  // How long one step on a copy may take, a sync say, before the copy is given up: it leaves the
  // in-sync set, and if it was the primary another takes over. The last copy is never given up for
  // being slow. 1 ms to 1 h.
  absl::Duration node_timeout = absl::Seconds(2);

  // Fewer replicas in sync than this, besides the primary: writes are refused with Unavailable, and
  // one that is under way when the last is lost has an unknown outcome. 0 to 63; 0: the primary
  // alone may take writes.
  int min_in_sync_replicas = 0;

  // A replica takes over by itself when the primary fails, be it that a read finds it damaged. Off:
  // Cluster::Promote says when.
  bool auto_failover = true;

  // How log files are written. kAuto is right but for measurements and odd file systems.
  LogIo log_io = LogIo::kAuto;

  // By which keys expire, and nothing else: timeouts and syncs go by the machine's own. Null: the
  // machine's clocks.
  std::shared_ptr<Clock> clock;

  // Told of what happens to the cluster (event_listener.h). Null: nobody is.
  std::shared_ptr<EventListener> listener;
  // Gets a line for whatever an operator should know, RocksDB's warnings included (logger.h). Null:
  // slotkv is silent, and RocksDB writes a file LOG in each store.
  std::shared_ptr<Logger> logger;
};

// Which writes SetOptions lets through.
enum class SetCondition {
  kAlways,
  kIfAbsent,   // only if the key does not exist (Redis: NX)
  kIfPresent,  // only if the key exists (Redis: XX)
};

// How Set writes.
struct SetOptions {
  // The key lives this long from now; positive. Infinite: Options::default_ttl applies, which is
  // infinite by itself.
  absl::Duration ttl = absl::InfiniteDuration();
  // Keeps the expiry that the key has (none, if it does not exist). Excludes `ttl`.
  bool keep_ttl = false;
  SetCondition condition = SetCondition::kAlways;
};

// How HashSet writes.
struct HashSetOptions {
  // The whole hash lives this long from now; positive. Infinite: a hash that is there keeps its
  // expiry, a new one gets Options::default_ttl.
  absl::Duration ttl = absl::InfiniteDuration();
};

// How GetOrLoad loads.
struct LoadOptions {
  // A value that was loaded lives this long; positive. Infinite: Options::default_ttl applies.
  absl::Duration ttl = absl::InfiniteDuration();
  // How long a call waits while another loads the same key; not negative.
  absl::Duration wait_timeout = absl::Seconds(10);
};

// What Scan returns.
struct ScanOptions {
  // Empty: from the beginning. Otherwise ScanPage::cursor of the page before; the other options are
  // to be the same.
  std::string cursor;
  // Keys on a page, 1 to kMaxScanLimit. A page has fewer if it is the last, which may be empty, or
  // if its keys and values come to more than 8 MiB.
  size_t limit = 1000;
  // Only keys that begin with this, of up to kMaxKeyBytes. With a whole hash tag in it only that
  // slot is looked at.
  std::string prefix;
  // The values of strings, too.
  bool values = false;
};

// Ok, or InvalidArgument naming the field and what it may hold.
absl::Status ValidateOptions(const Options& options);

}  // namespace slotkv

#endif  // SLOTKV_SHARD_OPTIONS_H_
