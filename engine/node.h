// A node: one copy of one shard's data, a log and a store in a directory.
//
//   DIRECTORY/log/    the segments (engine/log.h); named log.unfinished while a copy is made
//   DIRECTORY/store/  the RocksDB store (engine/store.h)
//
// The store is a function of the log: recovery opens the log, then the store, and applies every
// record above the store's persisted progress. A store that is gone is built anew as long as the
// log reaches back to its first record.
//
// Thread safety: Reserve and Append belong to one thread at a time (the group's leader), and so do
// the functions that apply (the leader's, or a replica's applier); every other member to any
// thread.
#ifndef SLOTKV_ENGINE_NODE_H_
#define SLOTKV_ENGINE_NODE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/disk.h"
#include "engine/expiry_clock.h"
#include "engine/log.h"
#include "engine/replay_buffer.h"
#include "engine/store.h"
#include "engine/store_resources.h"
#include "engine/store_snapshot.h"
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

  // Makes a node of another copy's data, durable when this returns: a byte copy of the store of
  // `from`, and a log that begins behind what that store surely has and ends with the last record
  // that it may have. `options.directory` must not be below that of `from`; what is there is
  // deleted as debris. The answer keeps the records behind the new log's end in the log of `from`,
  // so that they can be appended to the new node, once it is open; it must not outlive `from`.
  //
  // `from` must have been recovered, and may go on meanwhile on other threads with all it does; it
  // is flushed, and else not changed. Blocks for long; `progress` is called on this thread. On an
  // error, which names the file of the disk at fault, the directory is deleted. DataLoss: the data
  // of `from` is damaged. ResourceExhausted: a disk is full. Unavailable, also while another copy
  // of `from` is being made.
  static absl::StatusOr<Log::Pin> CreateCopy(const NodeOptions& options, Node* from,
                                             CopyProgress progress);

  // Finds the log's end. The node serves nothing before Recover.
  static absl::StatusOr<std::unique_ptr<Node>> Open(const NodeOptions& options);

  // The highest time in the log: what the cluster's expiry clock must not fall behind.
  uint64_t highest_clock_ms() const { return recovery_.highest_clock_ms; }

  // Opens the store and makes the log ready for appending, which may go on before Replay. `clock`
  // must outlive the node. DataLoss if log and store do not fit together.
  absl::Status OpenStore(ExpiryClock* clock);
  // Applies what the log has and the store has not.
  absl::Status Replay();
  // Both of these.
  absl::Status Recover(ExpiryClock* clock);

  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  absl::Status Reserve(size_t bytes, absl::Duration timeout) {
    return log_->Reserve(bytes, timeout);
  }
  absl::Status Append(absl::Span<const Record> records);
  // Makes everything appended durable.
  absl::Status Sync();
  // How long the oldest record that is not durable has been so, in real time; 0: all are durable.
  uint64_t UnsyncedForMs() const;
  // Applies records that were appended, in order, and does not wait while the store stalls writes
  // (ResourceExhausted). If it fails they stay with the node, and must be applied by ApplyRest
  // before any others.
  absl::Status Apply(absl::Span<const Record> records);
  absl::Status ApplyRest();
  // The same as Apply for many records at once, in an order that suits the store; waits.
  absl::Status ApplySorted(absl::Span<const Record> records);

  // Why a write cannot be taken now (see Store::WriteError). Ok: it can.
  absl::Status WriteError() const { return store_->WriteError(); }

  // The flush of what was applied so far: begins it, or waits for its end. Nothing to do if that
  // was flushed before.
  absl::Status Flush(bool wait) ABSL_LOCKS_EXCLUDED(flush_mu_);
  // Up to where the store would still be if the log before were gone.
  absl::StatusOr<LogIndex> PersistedProgress() const { return store_->PersistedProgress(); }
  // A lower bound of it that is no reading of the disk.
  LogIndex persisted() const { return LogIndex(persisted_.load(std::memory_order_acquire)); }
  // Deletes log segments that neither the store needs nor others, who have all records up to
  // `others`; and retries after a full disk. One caller at a time.
  absl::Status Maintain(LogIndex others = LogIndex(UINT64_MAX));
  // Notes in the log what callers were told of expiry.
  absl::Status NoteExpiry();
  // Reads log and store and checks every checksum and form. `check(slot, key)`: whether that key
  // belongs there.
  absl::Status Verify(absl::FunctionRef<absl::Status(uint16_t, std::string_view)> check) const;

  // What a reading of log or store, whoever did it, has found: DataLoss, with the file, and for
  // good, if a checksum was bad or a file gone. Ok: nothing so far. Cheap.
  absl::Status Damage() const {
    absl::Status damage = store_->damage().Get();
    return damage.ok() ? log_->damage() : damage;
  }

  const std::string& directory() const { return options_.directory; }
  const Log& log() const { return *log_; }
  const Store& store() const { return *store_; }
  LogIndex applied() const { return LogIndex(applied_.load(std::memory_order_acquire)); }
  // Records applied by Recover.
  uint64_t replayed() const { return replayed_; }

 private:
  explicit Node(const NodeOptions& options);

  static absl::StatusOr<Log::Pin> CopyFrom(const NodeOptions& options, Node* from,
                                           CopyProgress progress);
  absl::Status AddToReplay(const Record& record);
  absl::Status DrainReplay(LogIndex last);
  absl::Status ApplyBatch(bool may_wait);

  const NodeOptions options_;
  LogRecovery recovery_;
  ExpiryClock* clock_ = nullptr;
  std::unique_ptr<Log> log_;  // outlives the store, whose flushes sync it
  std::unique_ptr<Store> store_;
  // The last record of which the store may have anything: stored before it is applied.
  std::atomic<uint64_t> applying_{0};
  std::atomic<uint64_t> applied_{0};
  std::atomic<uint64_t> persisted_{0};
  uint64_t replayed_ = 0;

  // The applying thread's own.
  ReplayBuffer replay_buffer_;
  Store::Batch batch_;
  LogIndex batch_last_;  // of the records in batch_
  uint64_t bytes_since_note_ = 0;

  absl::Mutex flush_mu_;
  LogIndex flushed_ ABSL_GUARDED_BY(flush_mu_);  // by the last Flush that was begun
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_NODE_H_
