// Makes a copy one of those that are in sync, while writes go on.
#ifndef SLOTKV_REPLICATION_JOIN_H_
#define SLOTKV_REPLICATION_JOIN_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "engine/node.h"
#include "replication/group.h"
#include "replication/local_replica.h"

namespace slotkv {

struct JoiningCopy {
  NodeId id;
  uint32_t incarnation = 1;
  std::string zone;
  uint64_t disk = 0;  // see InSyncCopy
  // Recovered; its log is the beginning of the shard's (CheckHas), and its store has all of it.
  std::unique_ptr<Node> node;
};

// Gives the copy what it misses, first from the log of the primary, then from memory; then ships it
// every record, makes its log durable, and then has it in sync. `make` wraps its node; `go_on` is
// asked now and then, and its error ends the attempt. Writers wait for moments only. On an error
// the copy is not in sync, unless that is DeadlineExceeded: then it may come to be. DataLoss: the
// primary's log is damaged (Node::Damage tells), or else what the copy has.
absl::Status JoinCopy(Group* group, JoiningCopy joining,
                      absl::FunctionRef<std::shared_ptr<LocalReplica>(std::unique_ptr<Node>)> make,
                      absl::FunctionRef<absl::Status()> go_on);

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_JOIN_H_
