// Threads that share plain memory and synchronize in each of the ways that slotkv does.
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace {

constexpr int kThreads = 4;
constexpr int kEach = 1000;

class Program {
 public:
  // Returns the sum of what all threads have added.
  int Run() {
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) threads.emplace_back([this] { Add(); });
    settings_ = 1;
    start_.Notify();
    const int sum = WaitForAll();
    for (std::thread& thread : threads) thread.join();
    return sum;
  }

 private:
  void Add() {
    start_.WaitForNotification();
    for (int i = 0; i < kEach; ++i) {
      {
        absl::MutexLock lock(&mutex_);
        sum_ += settings_;
      }
      absl::ReaderMutexLock lock(&mutex_);
      if (sum_ < 0) std::abort();
    }
    absl::MutexLock lock(&mutex_);
    ++ended_;
    one_ended_.Signal();
  }

  int WaitForAll() {
    {
      absl::MutexLock lock(&mutex_);
      while (ended_ == 0) one_ended_.Wait(&mutex_);
    }
    const auto all_ended = [this]()
                               ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ended_ == kThreads; };
    absl::MutexLock lock(&mutex_, absl::Condition(&all_ended));
    return sum_;
  }

  // Written before start_ is notified, then only read.
  int settings_ = 0;
  absl::Notification start_;

  absl::Mutex mutex_;
  absl::CondVar one_ended_;
  int sum_ ABSL_GUARDED_BY(mutex_) = 0;
  int ended_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

int main() { std::printf("%d\n", Program().Run()); }
