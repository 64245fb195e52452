// slotkv: Redis Cluster as a library.
//
// A Cluster is a key-value store with expiry that lives in one process and one directory. Its
// keyspace is split into 16384 hash slots (exactly Redis Cluster's), the slots are spread over
// shards, and each shard keeps its data in a write-ahead log and a RocksDB store.
//
//   absl::StatusOr<std::unique_ptr<slotkv::Cluster>> cluster =
//       slotkv::Cluster::Open(slotkv::Options(), "/var/lib/app/sessions");
//   if (!cluster.ok()) return cluster.status();
//   slotkv::SetOptions half_an_hour;
//   half_an_hour.ttl = absl::Minutes(30);
//   absl::Status status = (*cluster)->Set("session:42", "alice", half_an_hour);
//   absl::StatusOr<std::string> session = (*cluster)->Get("session:42");
//
// A write that returned ok survives the death of the process (kill -9 included) under every
// setting, and power failure as Options::fsync says.
//
// Keys are 0 to 65536 bytes, values 0 to 512 MiB; both are binary-safe and copied. Every call is
// linearizable for its key. A key whose expiry has passed is missing to every call at once;
// expiry counts in milliseconds.
//
// Thread safety: any number of threads may call any member but the destructor. A write waits for
// other writes, for room in the log and for a store that is compacting, each for up to
// Options::operation_timeout. A device that hangs in a read, or in the sync of Fsync::kAlways,
// holds up the calls of its own shard until it answers.
//
// Errors, by code:
//   NotFound            the key is missing (no text, no allocation)
//   FailedPrecondition  a condition failed, or the value is not a number
//   OutOfRange          arithmetic overflow
//   InvalidArgument     bad input; the text names it
//   ResourceExhausted   the disk is full or a limit is reached; nothing was changed
//   DataLoss            damage on disk; the text names file and offset; never served
//   Unavailable         certainly not applied
//   DeadlineExceeded    the outcome is unknown: the write may be applied or not, as a whole
//   Cancelled           the cluster is closed
//
// After fork(2) the child must not touch a Cluster. No signal handlers are installed.
#ifndef SLOTKV_SHARD_CLUSTER_H_
#define SLOTKV_SHARD_CLUSTER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "slotkv/options.h"
#include "slotkv/slot.h"
#include "slotkv/topology.h"

namespace slotkv {

class ClusterImpl;
class FileHook;

// Limits, in bytes.
inline constexpr size_t kMaxKeyBytes = 65536;
inline constexpr size_t kMaxValueBytes = size_t{512} << 20;

class Cluster {
 public:
  // Opens the cluster at `path`, or creates it there. One process at a time: a second one gets
  // Unavailable. Bad options are InvalidArgument; a damaged directory is DataLoss and is left as
  // it was found.
  static absl::StatusOr<std::unique_ptr<Cluster>> Open(const Options& options,
                                                       const std::string& path);

  // Deletes the cluster at `path`, its zones included. Ok if there is none; Unavailable if it is
  // open. Files that are not the cluster's are left, and their directories with them.
  static absl::Status Destroy(const std::string& path);

  // Closes (see Close) and frees. No other call may be running.
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Refuses new calls with Cancelled, waits for running ones, syncs and closes all files. Returns
  // the first error met; the cluster is closed all the same. A second call returns ok.
  absl::Status Close();

  // ---- Strings ----

  // FailedPrecondition if `options.condition` does not hold.
  absl::Status Set(std::string_view key, std::string_view value, const SetOptions& options = {});

  absl::StatusOr<std::string> Get(std::string_view key);
  // As above, into `*value`, whose buffer is reused. A missing key leaves it as it was.
  absl::Status Get(std::string_view key, std::string* value);

  // True if the key existed.
  absl::StatusOr<bool> Delete(std::string_view key);
  absl::StatusOr<bool> Exists(std::string_view key);

  // Adds `delta` to the decimal integer at `key` (missing: 0) and returns the sum; the expiry
  // stays. FailedPrecondition if the value is not a 64-bit decimal integer, OutOfRange if the sum
  // is not. (Redis: INCRBY.)
  absl::StatusOr<int64_t> Increment(std::string_view key, int64_t delta);

  // Appends to the value at `key` (missing: empty) and returns the new length; the expiry stays.
  // (Redis: APPEND.)
  absl::StatusOr<uint64_t> Append(std::string_view key, std::string_view suffix);

  // Replaces `expected` by `desired`, keeping the expiry; FailedPrecondition if the key is
  // missing or holds something else.
  absl::Status CompareAndSet(std::string_view key, std::string_view expected,
                             std::string_view desired);

  // ---- Expiry ----

  // The key will live `ttl` from now; a ttl that is not positive deletes it. True if the key
  // existed. (Redis: PEXPIRE.)
  absl::StatusOr<bool> Expire(std::string_view key, absl::Duration ttl);
  // Removes the expiry. True if there was one.
  absl::StatusOr<bool> Persist(std::string_view key);
  // What is left; InfiniteDuration for a key without expiry; NotFound for a missing key.
  absl::StatusOr<absl::Duration> TimeToLive(std::string_view key);
  // Get, and Expire(key, ttl) as one step (sliding sessions). `ttl` must be positive.
  absl::StatusOr<std::string> GetAndTouch(std::string_view key, absl::Duration ttl);

  // ---- Look ----

  Topology GetTopology() const;
  // Live keys of the slot; reads all of them.
  absl::StatusOr<uint64_t> CountKeysInSlot(Slot slot);
  // Up to `limit` live keys of the slot, in bytewise order.
  absl::StatusOr<std::vector<std::string>> KeysInSlot(Slot slot, size_t limit);
  // Reads everything: checksums of tables and logs, every record's form, every key in its slot,
  // each slot owned once, no keys of a slot that its shard does not own. DataLoss names the first
  // damage found.
  absl::Status Verify();

 private:
  // For tests: shard/cluster_testing.h.
  friend absl::StatusOr<std::unique_ptr<Cluster>> OpenClusterWithHook(
      const Options& options, const std::string& path, std::shared_ptr<FileHook> hook);
  friend absl::Status FlushStores(Cluster* cluster);

  explicit Cluster(std::unique_ptr<ClusterImpl> impl);

  absl::Status VisitSlot(Slot slot, absl::FunctionRef<bool(std::string_view)> visit);

  const std::unique_ptr<ClusterImpl> impl_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_CLUSTER_H_
