// Threads that apply operations to a cluster: those on one key in order, those on keys of
// different slots side by side.
//
// The caller's thread -> one bounded queue for each worker, chosen by the key's slot -> worker.
// Operations travel in batches, so that a queue's lock is taken once for many of them. A write to a
// hash costs as much as the hash is large; so of those that set fields of one hash in succession,
// as they do in a rewritten append-only file, a worker makes one.
#ifndef SLOTKV_TOOLS_OPERATION_POOL_H_
#define SLOTKV_TOOLS_OPERATION_POOL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "tools/operation.h"

namespace slotkv::tools {

// A command that Redis would have answered with an error.
struct CommandFailure {
  uint64_t offset = 0;
  std::string command;
  std::string message;
};

// The first failures by offset, of any number. Thread-safe.
class FailureLog {
 public:
  static constexpr size_t kKept = 10;

  void Add(CommandFailure failure);
  uint64_t count() const;
  // Ascending by offset; at most kKept.
  std::vector<CommandFailure> first() const;

 private:
  mutable absl::Mutex mutex_;
  uint64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  // By offset. Two failures of one command are kept as one.
  std::map<uint64_t, CommandFailure> first_ ABSL_GUARDED_BY(mutex_);
};

// All members but the workers' own are for one thread, the caller's.
class OperationPool {
 public:
  // What a worker does with each operation. FailedPrecondition, OutOfRange and InvalidArgument go
  // to the failure log; any other error stops the pool.
  using Apply = std::function<absl::Status(const Operation&)>;

  // One thread for each element of `workers`. `failures` must outlive the pool.
  OperationPool(std::vector<Apply> workers, FailureLog* failures);
  // Waits for what was submitted.
  ~OperationPool();
  OperationPool(const OperationPool&) = delete;
  OperationPool& operator=(const OperationPool&) = delete;

  // Waits while the worker's queue is full. Offsets must not descend.
  void Submit(Operation operation);

  // Waits until everything submitted is applied, or the pool has stopped.
  void Drain();

  // Drain, then `work` on the caller's thread, unless the pool has stopped; an error stops it.
  // `offset` is that of the command.
  void RunAlone(uint64_t offset, absl::FunctionRef<absl::Status()> work);

  // The worker that has the key, for use on the caller's thread after Drain.
  const Apply& WorkerFor(const Operation& operation) const;

  // Ok, or the error that stopped the pool.
  absl::Status status() const;
  // Everything submitted with a lower offset is applied; the maximum if the pool has not stopped.
  uint64_t first_unapplied() const;
  // How many offsets were submitted with operations that are not applied, or may be not.
  uint64_t unapplied() const;

 private:
  using Batch = std::vector<Operation>;

  struct Worker {
    Apply apply;
    // The caller's: not handed over yet.
    Batch pending;
    size_t pending_bytes = 0;

    absl::Mutex mutex;
    Batch queue ABSL_GUARDED_BY(mutex);
    size_t queue_bytes ABSL_GUARDED_BY(mutex) = 0;
    // The worker has taken a batch that it has not finished.
    bool busy ABSL_GUARDED_BY(mutex) = false;
    bool closed ABSL_GUARDED_BY(mutex) = false;

    std::thread thread;
  };

  size_t WorkerIndex(const Operation& operation) const;
  void HandOver(Worker* worker);
  void Run(Worker* worker);
  // Applies the first operation, and those after it that can be applied together with it; returns
  // how many.
  size_t ApplySome(Worker* worker, absl::Span<const Operation> operations);
  // All of them set fields of the same hash.
  void ApplyTogether(Worker* worker, absl::Span<const Operation> operations);
  void ApplyOne(Worker* worker, const Operation& operation);
  // The pool takes no more, because of `status`.
  void Stop(uint64_t offset, absl::Status status);
  void NoteUnapplied(uint64_t offset);

  std::vector<std::unique_ptr<Worker>> workers_;
  FailureLog* const failures_;

  mutable absl::Mutex status_mutex_;
  absl::Status status_ ABSL_GUARDED_BY(status_mutex_);
  absl::flat_hash_set<uint64_t> unapplied_ ABSL_GUARDED_BY(status_mutex_);  // offsets
  std::atomic<bool> stopped_{false};
};

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_OPERATION_POOL_H_
