// What a shard loses when a copy that is not in sync goes on alone.
#ifndef SLOTKV_REPLICATION_LOSS_H_
#define SLOTKV_REPLICATION_LOSS_H_

#include <optional>
#include <string>

#include "absl/types/span.h"
#include "engine/ids.h"
#include "engine/record.h"
#include "replication/recovery.h"

namespace slotkv {

// "1234 (epoch 3)"
std::string PositionText(LogPosition position);

// Open, and with a record: one that was never built, or not to its end, is not.
bool HasRecords(const RecoveringCopy& copy);

// Of the copies that are not in sync and can be used, the one with the last record; null: there is
// none.
RecoveringCopy* LastOutOfSync(absl::Span<RecoveringCopy> copies);

// For people: up to where `copy`, which is not in sync and has records, has those of the shard, why
// the copies that are in sync are not served, how many acknowledged writes only those have, and
// that it can be promoted all the same.
// They are counted in the log of one that is in sync, if one is open; else by `acknowledged`, up
// to which callers may have been told of records, if that is known.
std::string DescribeLoss(ShardId shard, const RecoveringCopy& copy,
                         absl::Span<const RecoveringCopy> copies,
                         std::optional<LogIndex> acknowledged);

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_LOSS_H_
