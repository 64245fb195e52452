// What failovers and rebuilds are measured on: one shard with a replica in another zone, and
// threads that write to it all the time.
#ifndef SLOTKV_BENCHMARKS_REPLICATED_SHARD_H_
#define SLOTKV_BENCHMARKS_REPLICATED_SHARD_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "benchmarks/workload.h"
#include "slotkv/cluster.h"
#include "tests/test_hook.h"

namespace slotkv {

// Errors end the process, as they do in subjects.h.
class ReplicatedShard {
 public:
  // One shard with one replica; the rest as in `options`.
  explicit ReplicatedShard(Options options = {});

  Cluster* cluster() { return cluster_.get(); }
  // Asked around every file operation.
  TestHook* hook() { return hook_.get(); }
  ShardId id() const { return ShardId(1); }

  NodeInfo Find(Role role) const;
  // "…/zone-b"
  std::string ZonePath(const NodeInfo& node) const;
  // "…/zone-b/node-2.1"
  std::string NodePath(const NodeInfo& node) const;

  void Set(const std::string& key, const std::string& value);
  void Flush();
  // Waits until both copies are in sync.
  void AwaitInSync() const;

 private:
  const ScratchDirectory directory_;
  const std::shared_ptr<TestHook> hook_ = std::make_shared<TestHook>();
  std::unique_ptr<Cluster> cluster_;
};

// Threads that set keys one after the other, from the beginning of the object's life to its end. No
// set may fail.
class Writers {
 public:
  // Both must outlive it.
  Writers(ReplicatedShard* shard, const std::vector<std::string>* keys, int threads);
  ~Writers();
  Writers(const Writers&) = delete;
  Writers& operator=(const Writers&) = delete;

  // Each waits for so long between two sets; zero, as it is at first: not at all.
  void SetPause(absl::Duration pause) { pause_us_ = absl::ToInt64Microseconds(pause); }

  // The first end of a set that begins after the call.
  absl::Time AwaitNextSet() ABSL_LOCKS_EXCLUDED(mu_);

  // The longest set of those that end after the one call and begin before the other.
  void BeginLongest();
  absl::Duration EndLongest();

 private:
  struct Writer {
    std::atomic<int64_t> longest_ns{0};
    std::atomic<uint64_t> sets{0};
    std::thread thread;
  };

  void Run(size_t writer);

  ReplicatedShard* const shard_;
  const std::vector<std::string>* const keys_;
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> pause_us_{0};
  std::vector<std::unique_ptr<Writer>> writers_;

  // Counts the calls of AwaitNextSet; odd while there is one.
  std::atomic<int> asked_{0};
  absl::Mutex mu_;
  int answered_ ABSL_GUARDED_BY(mu_) = 0;  // what asked_ was
  absl::Time next_set_ ABSL_GUARDED_BY(mu_);
};

}  // namespace slotkv

#endif  // SLOTKV_BENCHMARKS_REPLICATED_SHARD_H_
