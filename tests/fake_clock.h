// A clock that stands still until a test turns it.
#ifndef SLOTKV_TESTS_FAKE_CLOCK_H_
#define SLOTKV_TESTS_FAKE_CLOCK_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/clock.h"

namespace slotkv {

// Thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(uint64_t wall_ms = 1'700'000'000'000) { SetWallMs(wall_ms); }

  absl::Time Wall() override {
    absl::MutexLock lock(&mu_);
    return wall_;
  }
  absl::Duration Monotonic() override {
    absl::MutexLock lock(&mu_);
    return monotonic_;
  }

  // Steps the wall clock alone, backwards too.
  void SetWallMs(uint64_t wall_ms) {
    absl::MutexLock lock(&mu_);
    wall_ = absl::FromUnixMillis(static_cast<int64_t>(wall_ms));
  }
  // Time passes, on both clocks.
  void Advance(absl::Duration by) {
    absl::MutexLock lock(&mu_);
    wall_ += by;
    monotonic_ += by;
  }

 private:
  absl::Mutex mu_;
  absl::Time wall_ ABSL_GUARDED_BY(mu_);
  absl::Duration monotonic_ ABSL_GUARDED_BY(mu_) = absl::Seconds(1000);
};

}  // namespace slotkv

#endif  // SLOTKV_TESTS_FAKE_CLOCK_H_
