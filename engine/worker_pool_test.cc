#include "engine/worker_pool.h"

#include <atomic>
#include <vector>

#include "absl/synchronization/barrier.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv {
namespace {

TEST(WorkerPoolTest, OneThreadRunsJobsInOrder) {
  std::vector<int> order;
  {
    WorkerPool pool(1);
    for (int i = 0; i < 100; ++i) pool.Schedule([&order, i] { order.push_back(i); });
  }
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(WorkerPoolTest, AHungJobLeavesTheOtherThreads) {
  absl::Notification go_on, other_ran;  // outlive the jobs
  WorkerPool pool(2);
  pool.Schedule([&] { go_on.WaitForNotification(); });
  pool.Schedule([&] { other_ran.Notify(); });
  other_ran.WaitForNotification();
  go_on.Notify();
}

TEST(WorkerPoolTest, JobsRunAtOnceOnAllThreads) {
  absl::Notification done;
  WorkerPool pool(3);
  auto* const barrier = new absl::Barrier(3);
  for (int i = 0; i < 3; ++i) {
    pool.Schedule([&] {
      if (!barrier->Block()) return;  // the last one out deletes it
      delete barrier;
      done.Notify();
    });
  }
  done.WaitForNotification();
}

TEST(WorkerPoolTest, TheEndWaitsForWhatIsQueued) {
  std::atomic<int> ran{0};
  {
    absl::Notification started;
    WorkerPool pool(2);
    pool.Schedule([&] {
      started.Notify();
      ++ran;
    });
    started.WaitForNotification();
    for (int i = 0; i < 50; ++i) pool.Schedule([&] { ++ran; });
  }
  EXPECT_EQ(ran, 51);
}

TEST(WorkerPoolTest, AJobMaySchedule) {
  std::atomic<int> ran{0};
  {
    WorkerPool pool(1);
    pool.Schedule([&] { pool.Schedule([&] { ++ran; }); });
  }
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace slotkv
