// Where slotkv reads the time: a seam, so that a program under test can turn time by hand.
#ifndef SLOTKV_ENGINE_CLOCK_H_
#define SLOTKV_ENGINE_CLOCK_H_

#include "absl/time/time.h"

namespace slotkv {

// The two clocks of a machine. Thread-safe. An implementation must outlive every Cluster that
// was opened with it (Options holds it by shared_ptr for this).
class Clock {
 public:
  virtual ~Clock() = default;

  // The wall clock. Read when a cluster opens; it may step backwards between two calls.
  virtual absl::Time Wall() = 0;

  // Time since some fixed point; it never steps backwards. Advances expiry while a cluster is
  // open.
  virtual absl::Duration Monotonic() = 0;

  // The machine's clocks. Never destroyed.
  static Clock* System();
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_CLOCK_H_
