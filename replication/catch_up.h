// Gives a copy what it misses of a shard's log.
#ifndef SLOTKV_REPLICATION_CATCH_UP_H_
#define SLOTKV_REPLICATION_CATCH_UP_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "engine/ids.h"
#include "engine/log.h"
#include "engine/node.h"
#include "engine/record.h"

namespace slotkv {

// Ok: what a log that ends at `position` misses can be read from `log`, for it has that very record
// or begins just behind it. DataLoss: it cannot; the copy is to be built anew.
absl::Status CheckHas(const Log& log, LogPosition position);

// Appends the records of `from` behind the last one of `to`, up to `upto`, to the log of `to`; and,
// if `apply`, to its store, which has all that its log has. Nothing is synced. `go_on` is asked now
// and then; its error ends it.
absl::Status CatchUp(const Log& from, LogIndex upto, Node* to, bool apply,
                     absl::FunctionRef<absl::Status()> go_on);

// Appends records that follow those of `to`, and applies them.
absl::Status AppendAndApply(absl::Span<const Record> records, Node* to);

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_CATCH_UP_H_
