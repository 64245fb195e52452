// The answers of several copies to one request. Outlives the wait for them: a copy may answer
// later, or never.
#ifndef SLOTKV_REPLICATION_ROUND_H_
#define SLOTKV_REPLICATION_ROUND_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace slotkv {

// Thread-safe. Counts its users, the receivers among them, and deletes itself with the last.
class Round {
 public:
  // What one copy answers to. Small enough to be kept in a ReplicaLink::Done without an allocation.
  class Receiver {
   public:
    Receiver(Round* round, uint32_t copy) : round_(round), copy_(copy) { round_->Ref(); }
    Receiver(Receiver&& other) noexcept
        : round_(std::exchange(other.round_, nullptr)), copy_(other.copy_) {}
    Receiver& operator=(Receiver&&) = delete;
    ~Receiver() {
      if (round_ != nullptr) round_->Unref();
    }
    void operator()(absl::Status status) { round_->Receive(copy_, std::move(status)); }

   private:
    Round* round_;
    const uint32_t copy_;
  };

  // One user. `copies`: how many are asked.
  explicit Round(size_t copies) : answers_(copies), waiting_(copies) {}

  void Ref() { references_.fetch_add(1, std::memory_order_relaxed); }
  void Unref() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  // Waits for all of them, as long as a copy may take from the beginning of the round; then for the
  // first that is ok, for the last copy is not given up for being slow; and a little longer for
  // those that are about as slow. False: that is not decided by the deadline.
  bool Await(absl::Duration node_timeout, absl::Time deadline) {
    absl::MutexLock lock(&mu_);
    const auto all = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return waiting_ == 0; };
    const auto some = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return waiting_ == 0 || ok_ > 0; };
    const absl::Time full = start_ + node_timeout;
    if (mu_.AwaitWithDeadline(absl::Condition(&all), std::min(full, deadline))) return true;
    if (deadline < full) return false;
    if (ok_ > 0) return true;
    if (!mu_.AwaitWithDeadline(absl::Condition(&some), deadline)) return false;
    mu_.AwaitWithTimeout(absl::Condition(&all), node_timeout / 8);
    return true;
  }

  // DeadlineExceeded if it has not answered.
  absl::Status AnswerOf(size_t copy) const {
    absl::MutexLock lock(&mu_);
    if (answers_[copy].has_value()) return *answers_[copy];
    return absl::DeadlineExceededError("the copy does not answer");
  }

 private:
  ~Round() = default;

  void Receive(size_t copy, absl::Status status) {
    absl::MutexLock lock(&mu_);
    if (status.ok()) ++ok_;
    answers_[copy] = std::move(status);
    --waiting_;
  }

  std::atomic<int> references_{1};
  mutable absl::Mutex mu_;
  const absl::Time start_ = absl::Now();
  absl::InlinedVector<std::optional<absl::Status>, 4> answers_ ABSL_GUARDED_BY(mu_);
  size_t waiting_ ABSL_GUARDED_BY(mu_);
  size_t ok_ ABSL_GUARDED_BY(mu_) = 0;
};

// Unrefs its round.
struct RoundUnref {
  void operator()(Round* round) const { round->Unref(); }
};

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_ROUND_H_
