#include "engine/clock.h"

#include <ctime>

#include "absl/time/clock.h"

namespace slotkv {
namespace {

class SystemClock final : public Clock {
 public:
  absl::Time Wall() override { return absl::Now(); }

  absl::Duration Monotonic() override {
    timespec now;
    // CLOCK_BOOTTIME, not CLOCK_MONOTONIC: sessions expire while a laptop sleeps, too.
    clock_gettime(CLOCK_BOOTTIME, &now);
    return absl::DurationFromTimespec(now);
  }
};

}  // namespace

Clock* Clock::System() {
  static SystemClock* const clock = new SystemClock;
  return clock;
}

}  // namespace slotkv
