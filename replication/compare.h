// Whether the copies of a shard hold the same.
#ifndef SLOTKV_REPLICATION_COMPARE_H_
#define SLOTKV_REPLICATION_COMPARE_H_

#include "absl/status/status.h"
#include "engine/expiry_clock.h"
#include "replication/group.h"

namespace slotkv {

// Compares the stores of the in-sync copies, key by key, as of one record; keys that have expired
// aside. Writers wait only until replicas have applied what they have. DataLoss names the first
// difference. Unavailable: it could not be done now.
absl::Status CompareCopies(Group* group, const ExpiryClock& clock);

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_COMPARE_H_
