#include "engine/node.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/text.h"

namespace slotkv {
namespace {

// A progress note costs a memtable entry, its absence a longer log: one for so many bytes.
constexpr uint64_t kBytesPerProgressNote = uint64_t{256} << 10;
constexpr size_t kReplayBatchBytes = size_t{256} << 10;
// Every Open starts a segment; beyond so many the store is flushed so that they can go.
constexpr size_t kMaxSegmentsAfterOpen = 8;

}  // namespace

Node::Node(const NodeOptions& options) : options_(options) {}

Node::~Node() = default;

absl::Status Node::Create(const NodeOptions& options) {
  return Log::Create(options.disk, options.workers, JoinPath(options.directory, "log"),
                     options.identity, options.log)
      .status();
}

absl::StatusOr<std::unique_ptr<Node>> Node::Open(const NodeOptions& options) {
  std::unique_ptr<Node> node(new Node(options));
  absl::StatusOr<std::unique_ptr<Log>> log =
      Log::Open(options.disk, options.workers, JoinPath(options.directory, "log"), options.identity,
                options.log, &node->recovery_);
  if (!log.ok()) return log.status();
  node->log_ = *std::move(log);
  return node;
}

absl::Status Node::Recover(const ExpiryClock* clock) {
  clock_ = clock;
  const bool whole_log = log_->first() == LogIndex(1);
  StoreOptions store_options;
  store_options.disk = options_.disk;
  store_options.resources = options_.resources;
  store_options.clock = clock;
  store_options.directory = JoinPath(options_.directory, "store");
  store_options.create = whole_log;
  store_options.sync_log = [this] { return Sync(); };
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(store_options);
  if (!store.ok()) return store.status();
  store_ = *std::move(store);

  const absl::StatusOr<LogIndex> progress = store_->PersistedProgress();
  if (!progress.ok()) return progress.status();
  if (*progress > recovery_.last.index) {
    return absl::DataLossError(absl::StrCat(options_.directory, ": the store has record ",
                                            progress->ToString(), ", the log ends at ",
                                            recovery_.last.index.ToString()));
  }
  if (progress->Next() < log_->first()) {
    return absl::DataLossError(absl::StrCat(options_.directory, ": the store ends at record ",
                                            progress->ToString(), ", the log begins at ",
                                            log_->first().ToString()));
  }
  if (absl::Status status = Replay(progress->Next()); !status.ok()) return status;
  if (log_->segment_count() <= kMaxSegmentsAfterOpen) return absl::OkStatus();
  if (absl::Status status = Flush(/*wait=*/true); !status.ok()) return status;
  return Maintain();
}

absl::Status Node::Replay(LogIndex from) {
  applied_.store(from.value() - 1, std::memory_order_release);
  LogIndex last(from.value() - 1);
  const absl::Status status = log_->Read(from, [&](const Record& record) {
    if (record.kind == RecordKind::kWrite) {
      if (absl::Status added = batch_.Add(record.payload); !added.ok()) {
        return absl::DataLossError(absl::StrCat(options_.directory, ": record ",
                                                record.position.index.ToString(), ": ",
                                                added.message()));
      }
    } else if (record.kind != RecordKind::kEpochStart) {
      return absl::DataLossError(absl::StrCat(
          options_.directory, ": record ", record.position.index.ToString(), " is of kind ",
          static_cast<int>(record.kind), ", which this library does not know"));
    }
    last = record.position.index;
    ++replayed_;
    return batch_.bytes() < kReplayBatchBytes ? absl::OkStatus() : ApplyBatch(last);
  });
  if (!status.ok()) return status;
  return ApplyBatch(last);
}

absl::Status Node::ApplyBatch(LogIndex last) {
  bytes_since_note_ += batch_.bytes();
  if (bytes_since_note_ >= kBytesPerProgressNote) {
    batch_.NoteProgress(last);
    bytes_since_note_ = 0;
  }
  if (!batch_.empty()) {
    if (absl::Status status = store_->Apply(&batch_); !status.ok()) return status;
  }
  applied_.store(last.value(), std::memory_order_release);
  return absl::OkStatus();
}

absl::Status Node::Append(absl::Span<const Record> records) {
  return log_->Append(records, records.back().clock_ms);
}

absl::Status Node::Sync() { return log_->Sync(clock_->NowMs()); }

absl::Status Node::Apply(absl::Span<const Record> records) {
  for (const Record& record : records) {
    if (record.kind != RecordKind::kWrite) continue;
    if (absl::Status status = batch_.Add(record.payload); !status.ok()) return status;
  }
  return ApplyBatch(records.back().position.index);
}

absl::Status Node::Flush(bool wait) {
  Store::Batch note;
  note.NoteProgress(applied());
  if (absl::Status status = store_->Apply(&note); !status.ok()) return status;
  return store_->Flush(wait);
}

absl::Status Node::Maintain() {
  store_->TryResume();
  if (clock_->observed_ms() > 0) {
    if (absl::Status status = log_->NoteClock(clock_->observed_ms()); !status.ok()) return status;
  }
  const absl::StatusOr<LogIndex> progress = store_->PersistedProgress();
  if (!progress.ok()) return progress.status();
  return log_->TruncateFront(*progress);
}

absl::Status Node::Verify(absl::FunctionRef<bool(uint16_t)> owns) const {
  // First, and past the block cache: a cached block hides what happened to its file.
  if (absl::Status status = store_->VerifyChecksums(); !status.ok()) return status;
  const auto check_entry = [&](std::string_view key, std::string_view value) {
    if (key.size() < kSlotBytes) {
      return absl::DataLossError(absl::StrCat(options_.directory, ": a key without a slot"));
    }
    const uint16_t slot = SlotOf(key);
    if (slot >= kFirstMetadataSlot) return absl::OkStatus();
    if (!owns(slot)) {
      return absl::DataLossError(absl::StrCat(options_.directory, ": holds a key of slot ", slot,
                                              ", which its shard does not own"));
    }
    if (DecodeValueHeader(value).has_value()) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(options_.directory, ": the value of a key in slot ",
                                            slot, " has no sound header"));
  };
  if (absl::Status status = store_->VisitAll(check_entry); !status.ok()) return status;
  return log_->Read(log_->first(), [](const Record&) { return absl::OkStatus(); });
}

}  // namespace slotkv
