#include "replication/catch_up.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "replication/record_tap.h"

namespace slotkv {
namespace {

constexpr size_t kShipBytes = size_t{1} << 20;
constexpr absl::Duration kShipTimeout = absl::Seconds(60);

absl::Status Append(absl::Span<const Record> records, Node* to) {
  size_t bytes = 0;
  for (const Record& record : records) bytes += EncodedRecordSize(record.payload.size());
  const absl::Status status = to->Reserve(bytes, kShipTimeout);
  return status.ok() ? to->Append(records) : status;
}

}  // namespace

absl::Status CheckHas(const Log& log, LogPosition position) {
  const absl::StatusOr<LogPosition> there = log.PositionOf(position.index);
  if (there.ok() && *there == position && log.first() <= position.index.Next()) {
    return absl::OkStatus();
  }
  if (!there.ok() && !absl::IsNotFound(there.status())) return there.status();
  return absl::DataLossError(absl::StrCat("its log ends with record ", position.index.ToString(),
                                          " of epoch ", position.epoch.ToString(),
                                          ", which the shard's log has not"));
}

absl::Status AppendAndApply(absl::Span<const Record> records, Node* to) {
  if (records.empty()) return absl::OkStatus();
  const absl::Status status = Append(records, to);
  return status.ok() ? to->ApplySorted(records) : status;
}

absl::Status CatchUp(const Log& from, LogIndex upto, Node* to, bool apply,
                     absl::FunctionRef<absl::Status()> go_on) {
  RecordBuffer buffer;
  const auto ship = [&]() -> absl::Status {
    if (buffer.empty()) return absl::OkStatus();
    const absl::Status status =
        apply ? AppendAndApply(buffer.View(), to) : Append(buffer.View(), to);
    buffer.Clear();
    return status.ok() ? go_on() : status;
  };
  const LogIndex next = to->log().last().index.Next();
  if (upto < next) return absl::OkStatus();
  const absl::Status status = from.Read(next, [&](const Record& record) {
    if (upto < record.position.index) return absl::CancelledError();  // that is all
    buffer.Add(record);
    return buffer.bytes() < kShipBytes ? absl::OkStatus() : ship();
  });
  if (!status.ok() && !absl::IsCancelled(status)) return status;
  return ship();
}

}  // namespace slotkv
