// The cluster's housekeeping: one thread that looks at every copy ten times a second and gives
// what is due to the zones' workers.
//
// Due is: a sync, half a second after the oldest record that is not durable; a note of what callers
// were told of expiry; each second, the removal of log segments that the store has outlived; a
// flush, when the memtables of all stores together want it; what a replica has not applied yet;
// care for a shard with a copy that has failed; and the return of copies that are not in sync. A
// disk that hangs holds up the workers of its own zone only.
#ifndef SLOTKV_SHARD_MAINTENANCE_H_
#define SLOTKV_SHARD_MAINTENANCE_H_

#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/expiry_clock.h"
#include "engine/worker_pool.h"
#include "shard/open_zone.h"
#include "shard/shard_host.h"

namespace slotkv {

class Maintenance {
 public:
  // All must outlive this. `look` is called at each look, on the thread; it must not wait.
  Maintenance(std::vector<ShardHost*> hosts, const HostContext* context,
              size_t memtable_budget_bytes, std::function<void()> look);
  // Waits for the jobs under way.
  ~Maintenance();
  Maintenance(const Maintenance&) = delete;
  Maintenance& operator=(const Maintenance&) = delete;

 private:
  enum Job { kSync, kNoteExpiry, kTruncate, kFlush, kCare, kReclaim, kRejoin, kCloseZones };
  // A job of a copy, of a shard, of a shard in a zone, or of the zones.
  struct JobKey {
    const void* whose;
    Job job;
    // What hangs in a zone that was replaced keeps none from what is there now.
    const OpenZone* zone = nullptr;

    friend bool operator==(const JobKey& a, const JobKey& b) {
      return a.whose == b.whose && a.job == b.job && a.zone == b.zone;
    }
    template <typename H>
    friend H AbslHashValue(H h, const JobKey& key) {
      return H::combine(std::move(h), key.whose, key.job, key.zone);
    }
  };

  void Run();
  void Tick(bool full_second);
  // Unless that job is queued or running.
  void Start(JobKey key, WorkerPool* pool, std::function<void()> run) ABSL_LOCKS_EXCLUDED(mu_);
  // For how long it has been queued or running; zero: it is not.
  absl::Duration BusyFor(JobKey key) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status GoOn() ABSL_LOCKS_EXCLUDED(mu_);

  const std::vector<ShardHost*> hosts_;
  const HostContext* const context_;
  const size_t memtable_budget_bytes_;
  const std::function<void()> look_;
  uint64_t noted_expiry_ms_ = 0;  // the thread's own

  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // Since when.
  absl::flat_hash_map<JobKey, absl::Time> busy_ ABSL_GUARDED_BY(mu_);

  // A promotion waits for the topology; who closes a copy, for the calls that may read it.
  WorkerPool caretakers_{4};
  WorkerPool reclaimer_{1};
  std::thread thread_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_MAINTENANCE_H_
