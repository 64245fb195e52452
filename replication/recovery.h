// Makes the copies of a shard equal before it is served again.
#ifndef SLOTKV_REPLICATION_RECOVERY_H_
#define SLOTKV_REPLICATION_RECOVERY_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/expiry_clock.h"
#include "engine/ids.h"
#include "engine/node.h"

namespace slotkv {

struct RecoveringCopy {
  NodeId id;
  // By the topology. Every acknowledged write is on all that are, so any of them that can be
  // reached will do; one that is not may have missed some.
  bool in_sync = true;
  // Open, not recovered. Null if it cannot be reached.
  std::unique_ptr<Node> node;
  // Why the copy cannot be used. Ok: it can.
  absl::Status status;
};

// Among the copies that are in sync the one with the last record wins, though nobody may have been
// told of that record: the others get what they miss from its log. If they cannot, because that log
// cannot be read, the next one wins. Afterwards those with an ok status are equal, in log and
// store, and ready for a group; the others are to be dropped, durably, before anything is served.
// An error, the winner's, if there would be none left. `clock` must outlive the nodes.
absl::Status RecoverCopies(absl::Span<RecoveringCopy> copies, ExpiryClock* clock);

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_RECOVERY_H_
