// The clock by which keys expire, one for a cluster.
//
// Wall time is read once, at Open, and never taken as earlier than any time that the cluster's
// logs have seen; from there the monotonic clock advances it. So a wall clock that steps back,
// while the cluster is open or between two opens, brings no expired key back. Logs that could not
// be read at Open raise it when they are.
#ifndef SLOTKV_ENGINE_EXPIRY_CLOCK_H_
#define SLOTKV_ENGINE_EXPIRY_CLOCK_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "absl/time/time.h"
#include "engine/clock.h"

namespace slotkv {

class ExpiryClock {
 public:
  // `clock` must outlive this. `floor_ms`: the highest time found in the logs.
  ExpiryClock(Clock* clock, uint64_t floor_ms)
      : clock_(clock),
        start_(clock->Monotonic()),
        start_ms_(std::max(floor_ms, static_cast<uint64_t>(std::max<int64_t>(
                                         0, absl::ToUnixMillis(clock->Wall()))))) {}

  // Milliseconds since 1970; never less than any earlier answer in this cluster's life.
  uint64_t NowMs() const {
    const int64_t since = absl::ToInt64Milliseconds(clock_->Monotonic() - start_);
    return start_ms_.load(std::memory_order_relaxed) +
           static_cast<uint64_t>(std::max<int64_t>(0, since));
  }

  // It is at least so late: a log that is read only now has seen it.
  void RaiseTo(uint64_t floor_ms) {
    uint64_t start_ms = start_ms_.load(std::memory_order_relaxed);
    while (true) {
      const int64_t since = absl::ToInt64Milliseconds(clock_->Monotonic() - start_);
      const uint64_t now_ms = start_ms + static_cast<uint64_t>(std::max<int64_t>(0, since));
      if (floor_ms <= now_ms) return;
      if (start_ms_.compare_exchange_weak(start_ms, start_ms + (floor_ms - now_ms),
                                          std::memory_order_relaxed)) {
        return;
      }
    }
  }

  // Some caller was told that a key had expired by `now_ms`: the logs are to remember that much.
  void NoteObserved(uint64_t now_ms) {
    uint64_t seen = observed_ms_.load(std::memory_order_relaxed);
    while (seen < now_ms &&
           !observed_ms_.compare_exchange_weak(seen, now_ms, std::memory_order_relaxed)) {
    }
  }
  uint64_t observed_ms() const { return observed_ms_.load(std::memory_order_relaxed); }

 private:
  Clock* const clock_;
  const absl::Duration start_;
  std::atomic<uint64_t> start_ms_;  // only grows
  std::atomic<uint64_t> observed_ms_{0};
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_EXPIRY_CLOCK_H_
