// One request under way: where its answer is put, and waited for by the one who has asked.
#ifndef SLOTKV_SHARD_EXCHANGE_H_
#define SLOTKV_SHARD_EXCHANGE_H_

#include <atomic>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/check.h"
#include "slotkv/endpoint.h"

namespace slotkv {

// One thread asks; one, perhaps the same, answers. An answer that is there before it is waited for
// costs one atomic exchange: what waiting takes is made by who waits.
class Exchange {
 public:
  Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // Once.
  void Answer(Response&& response) {
    response_ = std::move(response);
    const int before = state_.exchange(kAnswered, std::memory_order_acq_rel);
    SLOTKV_CHECK(before != kAnswered);
    if (before == kAwaited) waiting_->Wake();
  }

  bool answered() const { return state_.load(std::memory_order_acquire) == kAnswered; }

  // Waits for the answer; false: there is none after `timeout`. Once.
  bool Await(absl::Duration timeout) {
    waiting_ = std::make_unique<Waiting>();
    int expected = kSent;
    if (state_.compare_exchange_strong(expected, kAwaited, std::memory_order_acq_rel)) {
      waiting_->Await(timeout);
    }
    return answered();
  }

  // Once it is answered.
  Response& response() { return response_; }

 private:
  enum State { kSent, kAwaited, kAnswered };

  class Waiting {
   public:
    void Wake() {
      absl::MutexLock lock(&mu_);
      woken_ = true;
    }
    void Await(absl::Duration timeout) {
      absl::MutexLock lock(&mu_);
      mu_.AwaitWithTimeout(absl::Condition(&woken_), timeout);
    }

   private:
    absl::Mutex mu_;
    bool woken_ ABSL_GUARDED_BY(mu_) = false;
  };

  std::atomic<int> state_{kSent};
  Response response_;                 // the answerer's until state_ is kAnswered, then the asker's
  std::unique_ptr<Waiting> waiting_;  // the asker's until state_ is kAwaited, then not changed
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_EXCHANGE_H_
