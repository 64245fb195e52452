// A copy that is not on a disk: it keeps what it is given in memory and answers when, and how, a
// test wants.
#ifndef SLOTKV_REPLICATION_FAKE_REPLICA_H_
#define SLOTKV_REPLICATION_FAKE_REPLICA_H_

#include <deque>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "replication/replica_link.h"

namespace slotkv {

// Answers come from a thread of its own, after up to `max_delay`, in any order.
class FakeReplica final : public ReplicaLink {
 public:
  FakeReplica(uint64_t seed, absl::Duration max_delay)
      : random_(seed), max_delay_(max_delay), thread_([this] { Run(); }) {}
  ~FakeReplica() override {
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
    }
    thread_.join();
  }

  void Append(LogPosition previous, absl::Span<const Record> records, bool, Done done) override {
    absl::MutexLock lock(&mu_);
    const LogPosition last = records_.empty() ? LogPosition() : records_.back().first;
    absl::Status status;
    if (!(last == previous)) status = absl::FailedPreconditionError("a gap");
    for (const Record& record : records) {
      records_.emplace_back(record.position, std::string(record.payload));
    }
    Answer(std::move(done), std::move(status));
  }
  void Sync(Done done) override {
    absl::MutexLock lock(&mu_);
    Answer(std::move(done), absl::OkStatus());
  }
  void Commit(LogIndex index) override {
    absl::MutexLock lock(&mu_);
    committed_ = index;
  }
  ReplicaProgress Progress() const override {
    absl::MutexLock lock(&mu_);
    ReplicaProgress progress;
    if (!records_.empty()) progress.last = records_.back().first;
    progress.synced = progress.last.index;
    progress.applied = committed_;
    progress.persisted = committed_;
    return progress;
  }

  // From here on nothing is answered, or everything with an error.
  void LoseAnswers() {
    absl::MutexLock lock(&mu_);
    lost_ = true;
  }
  void Fail(const absl::Status& status) {
    absl::MutexLock lock(&mu_);
    failure_ = status;
  }

  LogIndex committed() const {
    absl::MutexLock lock(&mu_);
    return committed_;
  }
  std::vector<std::pair<LogPosition, std::string>> records() const {
    absl::MutexLock lock(&mu_);
    return records_;
  }

 private:
  struct Pending {
    absl::Time when;
    Done done;
    absl::Status status;
  };

  void Answer(Done done, absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (status.ok()) status = failure_;
    const absl::Duration delay = max_delay_ * std::uniform_real_distribution<double>(0, 1)(random_);
    pending_.push_back({absl::Now() + delay, std::move(done), std::move(status)});
  }

  void Run() {
    while (true) {
      std::vector<Pending> due;
      {
        absl::MutexLock lock(&mu_);
        mu_.AwaitWithTimeout(absl::Condition(&stopping_), absl::Microseconds(200));
        if (stopping_) return;
        if (lost_) continue;
        for (auto it = pending_.begin(); it != pending_.end();) {
          if (it->when > absl::Now()) {
            ++it;
            continue;
          }
          due.push_back(std::move(*it));
          it = pending_.erase(it);
        }
      }
      for (Pending& answer : due) answer.done(std::move(answer.status));
    }
  }

  mutable absl::Mutex mu_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mu_);
  const absl::Duration max_delay_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool lost_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  std::vector<std::pair<LogPosition, std::string>> records_ ABSL_GUARDED_BY(mu_);
  LogIndex committed_ ABSL_GUARDED_BY(mu_);
  std::deque<Pending> pending_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_FAKE_REPLICA_H_
