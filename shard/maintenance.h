// The cluster's housekeeping: one thread that looks at every shard ten times a second and gives
// what is due to the zones' workers.
//
// Due is: a sync, half a second after the oldest record that is not durable; a note of what callers
// were told of expiry; each second, the removal of log segments that the store has outlived; a
// flush, when the memtables of all stores together want it. A disk that hangs holds up the workers
// of its own zone only.
#ifndef SLOTKV_SHARD_MAINTENANCE_H_
#define SLOTKV_SHARD_MAINTENANCE_H_

#include <array>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/expiry_clock.h"
#include "engine/worker_pool.h"
#include "replication/group.h"

namespace slotkv {

class Maintenance {
 public:
  struct Member {
    Group* group = nullptr;
    WorkerPool* workers = nullptr;  // of the zone that its node is in
  };

  // All must outlive this. `look` is called at each look, on the thread; it must not wait.
  Maintenance(std::vector<Member> members, const ExpiryClock* clock, size_t memtable_budget_bytes,
              std::function<void()> look);
  // Waits for the jobs under way.
  ~Maintenance();
  Maintenance(const Maintenance&) = delete;
  Maintenance& operator=(const Maintenance&) = delete;

 private:
  enum Job { kSync, kNoteExpiry, kTruncate, kFlush, kJobs };

  void Run();
  void Tick(bool full_second);
  void Start(size_t member, Job job, std::function<void()> run) ABSL_LOCKS_EXCLUDED(mu_);
  // A flush takes long: at most one worker of a zone is to wait for one.
  bool ZoneIsFlushing(const WorkerPool* workers) ABSL_LOCKS_EXCLUDED(mu_);

  const std::vector<Member> members_;
  const ExpiryClock* const clock_;
  const size_t memtable_budget_bytes_;
  const std::function<void()> look_;
  uint64_t noted_expiry_ms_ = 0;  // the thread's own

  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // For each member, which jobs are queued or running.
  std::vector<std::array<bool, kJobs>> busy_ ABSL_GUARDED_BY(mu_);
  int jobs_ ABSL_GUARDED_BY(mu_) = 0;
  std::thread thread_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_MAINTENANCE_H_
