#include "replication/loss.h"

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/log.h"
#include "replication/catch_up.h"

namespace slotkv {
namespace {

// The writes in the log behind a record; nullopt if it cannot tell.
std::optional<uint64_t> WritesBehind(const Log& log, LogPosition position) {
  uint64_t writes = 0;
  if (log.last().index <= position.index) return writes;
  const absl::Status status = log.Read(position.index.Next(), [&writes](const Record& record) {
    writes += record.kind == RecordKind::kWrite ? 1 : 0;
    return absl::OkStatus();
  });
  return status.ok() ? std::optional<uint64_t>(writes) : std::nullopt;
}

std::string LostText(uint64_t writes) {
  if (writes == 0) return "no acknowledged write would be lost";
  return absl::StrCat("up to ", writes, " acknowledged write", writes == 1 ? "" : "s",
                      " would be lost");
}

// The open copy in sync with the last record; null: there is none.
const RecoveringCopy* LastInSync(absl::Span<const RecoveringCopy> copies) {
  const RecoveringCopy* last = nullptr;
  for (const RecoveringCopy& copy : copies) {
    if (!copy.in_sync || copy.node == nullptr) continue;
    if (last == nullptr || last->node->log().last() < copy.node->log().last()) last = &copy;
  }
  return last;
}

// "; the copies in sync are not served (node-1: it is stopped)"
std::string InSyncText(absl::Span<const RecoveringCopy> copies) {
  std::string reasons;
  for (const RecoveringCopy& copy : copies) {
    if (!copy.in_sync || copy.status.ok()) continue;
    absl::StrAppend(&reasons, reasons.empty() ? "" : "; ", copy.id.ToString(), ": ",
                    copy.status.message());
  }
  return absl::StrCat("; the copies in sync are not served (", reasons, ")");
}

}  // namespace

std::string PositionText(LogPosition position) {
  return absl::StrCat(position.index.ToString(), " (epoch ", position.epoch.ToString(), ")");
}

bool HasRecords(const RecoveringCopy& copy) {
  return copy.node != nullptr && copy.node->log().last().index != LogIndex();
}

RecoveringCopy* LastOutOfSync(absl::Span<RecoveringCopy> copies) {
  RecoveringCopy* last = nullptr;
  for (RecoveringCopy& copy : copies) {
    if (copy.in_sync || !copy.status.ok() || !HasRecords(copy)) continue;
    if (last == nullptr || last->node->log().last() < copy.node->log().last()) last = &copy;
  }
  return last;
}

std::string DescribeLoss(ShardId shard, const RecoveringCopy& copy,
                         absl::Span<const RecoveringCopy> copies,
                         std::optional<LogIndex> acknowledged) {
  static constexpr char kForce[] = "; PromoteOptions.force promotes it all the same";
  const LogPosition has = copy.node->log().last();
  const std::string text =
      absl::StrCat(copy.id.ToString(), " is not in sync: it has the records of ", shard.ToString(),
                   " up to ", PositionText(has), InSyncText(copies));
  if (const RecoveringCopy* const whole = LastInSync(copies); whole != nullptr) {
    const Log& log = whole->node->log();
    const std::string known =
        absl::StrCat(text, "; the last record that may be acknowledged is ",
                     PositionText(log.last()), ", in the log of ", whole->id.ToString(), ": ");
    if (!CheckHas(log, has).ok()) {
      return absl::StrCat(known, "that log has not the last record of ", copy.id.ToString(),
                          ", so the acknowledged writes that would be lost cannot be counted",
                          kForce);
    }
    if (const auto writes = WritesBehind(log, has)) {
      return absl::StrCat(known, LostText(*writes), kForce);
    }
  }
  if (!acknowledged.has_value()) {
    return absl::StrCat(text, "; how many acknowledged writes would be lost is unknown", kForce);
  }
  const uint64_t lost =
      has.index < *acknowledged ? acknowledged->value() - has.index.value() : uint64_t{0};
  return absl::StrCat(text, "; the last record that may be acknowledged is ",
                      acknowledged->ToString(), ": ", LostText(lost), kForce);
}

}  // namespace slotkv
