// A few threads that run queued jobs: where a zone's slow disk operations happen, so that no
// caller's thread depends on them.
#ifndef SLOTKV_ENGINE_WORKER_POOL_H_
#define SLOTKV_ENGINE_WORKER_POOL_H_

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace slotkv {

class WorkerPool {
 public:
  explicit WorkerPool(int threads);
  // Runs what is queued, then joins.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Jobs start in order. The queue is bounded by its users: each keeps at most one job of a kind
  // queued.
  void Schedule(std::function<void()> job);

 private:
  void Work();

  absl::Mutex mu_;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_WORKER_POOL_H_
