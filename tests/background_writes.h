// A thread that writes while a test does something to the cluster, and knows what it was told is
// written.
#ifndef SLOTKV_TESTS_BACKGROUND_WRITES_H_
#define SLOTKV_TESTS_BACKGROUND_WRITES_H_

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_support.h"

namespace slotkv {

// No write may fail.
class BackgroundWrites {
 public:
  // The cluster outlives this. Keys begin with `prefix`.
  BackgroundWrites(Cluster* cluster, std::string prefix)
      : cluster_(cluster), prefix_(std::move(prefix)), thread_([this] { Run(); }) {}
  ~BackgroundWrites() { Stop(); }

  void Stop() {
    if (!thread_.joinable()) return;
    stop_ = true;
    thread_.join();
  }
  // Acknowledged so far.
  int count() const { return count_; }
  // Once it has been stopped: each key holds what was written last.
  void ExpectAllThere(Cluster* cluster) const {
    for (int key = 0; key < kKeys; ++key) {
      if (last_[key] == 0) continue;
      EXPECT_THAT(cluster->Get(Key(key)), HoldsValue(absl::StrCat(last_[key])));
    }
  }

 private:
  static constexpr int kKeys = 40;

  std::string Key(int key) const { return absl::StrCat(prefix_, key); }
  void Run() {
    for (int i = 1; !stop_; ++i) {
      ASSERT_THAT(cluster_->Set(Key(i % kKeys), absl::StrCat(i)), IsOk());
      last_[i % kKeys] = i;
      ++count_;
    }
  }

  Cluster* const cluster_;
  const std::string prefix_;
  std::atomic<bool> stop_{false};
  std::atomic<int> count_{0};
  std::array<int, kKeys> last_{};  // the thread's own until it has ended
  std::thread thread_;
};

}  // namespace slotkv

#endif  // SLOTKV_TESTS_BACKGROUND_WRITES_H_
