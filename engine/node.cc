#include "engine/node.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/effects.h"
#include "engine/replay_buffer.h"
#include "engine/text.h"

namespace slotkv {
namespace {

// A progress note costs a memtable entry, its absence a longer log: one for so many bytes.
constexpr uint64_t kBytesPerProgressNote = uint64_t{256} << 10;
constexpr size_t kReplayBatchBytes = size_t{8} << 20;
// Every Open starts a segment; beyond so many the store is flushed so that they can go.
constexpr size_t kMaxSegmentsAfterOpen = 16;

// Real time, whatever clock the cluster was given: what is durable when is no matter of expiry.
uint64_t MonotonicMs() {
  return static_cast<uint64_t>(absl::ToInt64Milliseconds(Clock::System()->Monotonic()));
}

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
      Log::OpenForReading(options.disk, options.workers, JoinPath(options.directory, "log"),
                          options.identity, options.log, &node->recovery_);
  if (!log.ok()) return log.status();
  node->log_ = *std::move(log);
  return node;
}

absl::Status Node::Recover(ExpiryClock* clock) {
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
  // Only now is anything changed: log and store fit together.
  if (absl::Status status = log_->StartAppending(); !status.ok()) return status;
  if (absl::Status status = Replay(progress->Next()); !status.ok()) return status;
  if (log_->segment_count() <= kMaxSegmentsAfterOpen) return absl::OkStatus();
  if (absl::Status status = Flush(/*wait=*/true); !status.ok()) return status;
  return Maintain();
}

absl::Status Node::Replay(LogIndex from) {
  LogIndex last(from.value() - 1);
  applied_.store(last.value(), std::memory_order_release);
  ReplayBuffer buffer;
  const auto apply = [&]() -> absl::Status {
    if (absl::Status status = buffer.DrainInto(&batch_); !status.ok()) return status;
    batch_last_ = last;
    return ApplyBatch();
  };
  const absl::Status status = log_->Read(from, [&](const Record& record) {
    if (record.kind == RecordKind::kWrite) {
      if (absl::Status added = buffer.Add(record.payload); !added.ok()) {
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
    return buffer.bytes() < kReplayBatchBytes ? absl::OkStatus() : apply();
  });
  return status.ok() ? apply() : status;
}

absl::Status Node::ApplyBatch() {
  if (!batch_.empty()) {
    if (bytes_since_note_ + batch_.bytes() >= kBytesPerProgressNote) {
      batch_.NoteProgress(batch_last_);
      bytes_since_note_ = 0;
    }
    bytes_since_note_ += batch_.bytes();
    if (absl::Status status = store_->Apply(&batch_); !status.ok()) return status;
  }
  applied_.store(batch_last_.value(), std::memory_order_release);
  return absl::OkStatus();
}

absl::Status Node::Append(absl::Span<const Record> records) {
  return log_->Append(records, MonotonicMs());
}

absl::Status Node::Sync() { return log_->Sync(MonotonicMs()); }

uint64_t Node::UnsyncedForMs() const {
  const uint64_t since_ms = log_->unsynced_since_ms();
  const uint64_t now_ms = since_ms == 0 ? 0 : MonotonicMs();
  return now_ms > since_ms ? now_ms - since_ms : 0;
}

absl::Status Node::Apply(absl::Span<const Record> records) {
  for (const Record& record : records) {
    if (record.kind != RecordKind::kWrite) continue;
    if (absl::Status status = batch_.Add(record.payload); !status.ok()) return status;
  }
  batch_last_ = records.back().position.index;
  return ApplyBatch();
}

absl::Status Node::ApplyRest() { return batch_.empty() ? absl::OkStatus() : ApplyBatch(); }

absl::Status Node::Flush(bool wait) {
  {
    absl::MutexLock lock(&flush_mu_);
    const LogIndex upto = applied();
    if (upto == flushed_) return absl::OkStatus();
    // Under the lock, so that notes do not fall; it is a write to memory.
    if (absl::Status status = store_->NoteFlushed(upto); !status.ok()) return status;
    flushed_ = upto;
  }
  const absl::Status status = store_->Flush(wait);
  if (!status.ok()) {
    absl::MutexLock lock(&flush_mu_);
    flushed_ = LogIndex();  // to be tried again
  }
  return status;
}

absl::Status Node::Maintain() {
  store_->TryResume();
  const absl::StatusOr<LogIndex> progress = store_->PersistedProgress();
  if (!progress.ok()) return progress.status();
  return log_->TruncateFront(*progress);
}

absl::Status Node::NoteExpiry() {
  return clock_->observed_ms() == 0 ? absl::OkStatus() : log_->NoteClock(clock_->observed_ms());
}

absl::Status Node::Verify(absl::FunctionRef<absl::Status(uint16_t, std::string_view)> check) const {
  // First, and past the block cache: a cached block hides what happened to its file.
  if (absl::Status status = store_->VerifyChecksums(); !status.ok()) return status;
  const auto check_entry = [&](std::string_view key, std::string_view value) {
    if (key.size() < kSlotBytes) {
      return absl::DataLossError(absl::StrCat(options_.directory, ": a key without a slot"));
    }
    const uint16_t slot = SlotOf(key);
    if (slot >= kFirstMetadataSlot) return absl::OkStatus();
    if (absl::Status status = check(slot, UserKeyOf(key)); !status.ok()) {
      return absl::DataLossError(absl::StrCat(options_.directory, ": ", status.message()));
    }
    if (DecodeValueHeader(value).has_value()) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(options_.directory, ": the value of a key in slot ",
                                            slot, " has no sound header"));
  };
  if (absl::Status status = store_->VisitAll(check_entry); !status.ok()) return status;
  return log_->Read(std::nullopt, [&](const Record& record) {
    if (record.kind != RecordKind::kWrite) return absl::OkStatus();
    EffectReader reader(record.payload);
    Effect effect;
    while (reader.Next(&effect)) {
    }
    if (reader.ok()) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(options_.directory, ": record ",
                                            record.position.index.ToString(),
                                            ": its effects cannot be read"));
  });
}

}  // namespace slotkv
