// A node: one copy of one shard's data, a log and a store in a directory.
//
//   DIRECTORY/log/    the segments (engine/log.h)
//   DIRECTORY/store/  the RocksDB store (engine/store.h)
//
// The store is a function of the log: recovery opens the log, then the store, and applies every
// record above the store's persisted progress. A store that is gone is built anew as long as the
// log reaches back to its first record.
//
// Thread safety: Reserve, Append and Apply belong to one thread at a time (the group's leader),
// every other member to any thread.
#ifndef SLOTKV_ENGINE_NODE_H_
#define SLOTKV_ENGINE_NODE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/disk.h"
#include "engine/expiry_clock.h"
#include "engine/log.h"
#include "engine/store.h"
#include "engine/store_resources.h"
#include "engine/worker_pool.h"

namespace slotkv {

// The pointers must outlive the node.
struct NodeOptions {
  const Disk* disk = nullptr;
  WorkerPool* workers = nullptr;
  const StoreResources* resources = nullptr;
  std::string directory;
  LogIdentity identity;
  LogOptions log;
};

class Node {
 public:
  // An empty node in a directory that does not exist yet, durable when this returns.
  static absl::Status Create(const NodeOptions& options);

  // Finds the log's end. The node serves nothing before Recover.
  static absl::StatusOr<std::unique_ptr<Node>> Open(const NodeOptions& options);

  // The highest time in the log: what the cluster's expiry clock must not fall behind.
  uint64_t highest_clock_ms() const { return recovery_.highest_clock_ms; }

  // Opens the store and applies what the log has and the store has not. `clock` must outlive the
  // node. DataLoss if log and store do not fit together.
  absl::Status Recover(const ExpiryClock* clock);

  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  absl::Status Reserve(size_t bytes, absl::Time deadline) { return log_->Reserve(bytes, deadline); }
  absl::Status Append(absl::Span<const Record> records);
  // Makes everything appended durable.
  absl::Status Sync();
  // Applies records that were appended, in order.
  absl::Status Apply(absl::Span<const Record> records);

  // Why a write cannot be taken now (see Store::WriteError). Ok: it can.
  absl::Status WriteError() const { return store_->WriteError(); }

  // The flush of what was applied so far: begins it, or waits for its end.
  absl::Status Flush(bool wait);
  // Deletes log segments that the store no longer needs, retries after a full disk, and notes in
  // the log what callers were told of expiry.
  absl::Status Maintain();
  // Reads log and store and checks every checksum and form. `owns(slot)`: whether keys of that
  // slot belong here.
  absl::Status Verify(absl::FunctionRef<bool(uint16_t)> owns) const;

  const std::string& directory() const { return options_.directory; }
  const Log& log() const { return *log_; }
  const Store& store() const { return *store_; }
  LogIndex applied() const { return LogIndex(applied_.load(std::memory_order_acquire)); }
  // Records applied by Recover.
  uint64_t replayed() const { return replayed_; }

 private:
  explicit Node(const NodeOptions& options);

  absl::Status Replay(LogIndex from);
  absl::Status ApplyBatch(LogIndex last);

  const NodeOptions options_;
  LogRecovery recovery_;
  const ExpiryClock* clock_ = nullptr;
  std::unique_ptr<Log> log_;  // outlives the store, whose flushes sync it
  std::unique_ptr<Store> store_;
  std::atomic<uint64_t> applied_{0};
  uint64_t replayed_ = 0;

  // The applying thread's own.
  Store::Batch batch_;
  uint64_t bytes_since_note_ = 0;
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_NODE_H_
