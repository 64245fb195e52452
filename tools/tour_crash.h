// The tour's fifth step: a process that writes is killed with kill -9, and what it had been told
// is kept is looked for.
//
//   the tour                                   the writer, a process of its own
//     starts it with a pipe -----------------> opens the cluster
//                                              each thread: Set, Increment, then reports the pair
//     counts reports <------------------------ through the pipe
//     SIGKILL -------------------------------> dies where it stands
//     reads what is left in the pipe
//     opens the cluster, checks every write that was reported
#ifndef SLOTKV_TOOLS_TOUR_CRASH_H_
#define SLOTKV_TOOLS_TOUR_CRASH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "slotkv/cluster.h"
#include "tools/interrupt.h"

namespace slotkv::tools {

// The hidden subcommand that the writer is.
inline constexpr const char* kTourWriterCommand = "tour-writer";

// How far each of the writer's threads had got: the sequence number of its last report, from 1;
// 0 for none. A report stands for two writes.
using Acknowledged = std::vector<uint64_t>;

// Runs the writer on the cluster in `dir`, which must be closed, kills it after `reports_min`
// reports, and returns what it had reported.
absl::StatusOr<Acknowledged> WriteUntilKilled(const std::string& dir, int threads,
                                              uint64_t reports_min, const Interrupt& interrupt);

struct CrashCheck {
  uint64_t acknowledged = 0;  // writes
  uint64_t lost = 0;          // of these, not in the cluster, or with another value
  // Writes that were under way when the writer died and are in the cluster, each as a whole.
  uint64_t unacknowledged = 0;
};

// An error if a write is there twice or in part.
absl::StatusOr<CrashCheck> CheckAcknowledged(Cluster* cluster, const Acknowledged& acknowledged,
                                             const Interrupt& interrupt);

// What the hidden subcommand runs. Ends by being killed.
absl::Status RunTourWriter(const std::string& dir, int threads);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_TOUR_CRASH_H_
