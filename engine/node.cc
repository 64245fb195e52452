#include "engine/node.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/effects.h"
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

// Appends the records of `from` up to `upto` to `to`, which ends somewhere before, durably.
absl::Status CopyRecords(const Log& from, LogIndex upto, Log* to) {
  if (upto <= to->last().index) return absl::OkStatus();
  const absl::Status status = from.Read(to->last().index.Next(), [&](const Record& record) {
    if (record.position.index > upto) return absl::OutOfRangeError("these are all");
    const size_t bytes = EncodedRecordSize(record.payload.size());
    if (absl::Status room = to->Reserve(bytes, absl::InfiniteDuration()); !room.ok()) return room;
    return to->Append({record}, MonotonicMs());
  });
  if (!status.ok() && to->last().index < upto) return status;
  return to->Sync(MonotonicMs());
}

}  // namespace

Node::Node(const NodeOptions& options) : options_(options) {}

Node::~Node() = default;

absl::Status Node::Create(const NodeOptions& options) {
  return Log::Create(options.disk, options.workers, JoinPath(options.directory, "log"),
                     options.identity, options.log)
      .status();
}

absl::StatusOr<Log::Pin> Node::CreateCopy(const NodeOptions& options, Node* from,
                                          CopyProgress progress) {
  absl::StatusOr<Log::Pin> pin = CopyFrom(options, from, progress);
  from->store_->damage().Pass(pin.status()).IgnoreError();
  // What cannot be deleted is debris, for the next attempt.
  if (!pin.ok()) options.disk->DeleteTree(options.directory).IgnoreError();
  return pin;
}

absl::StatusOr<Log::Pin> Node::CopyFrom(const NodeOptions& options, Node* from,
                                        CopyProgress progress) {
  if (absl::Status status = options.disk->DeleteTree(options.directory); !status.ok()) {
    return status;
  }
  // All of it, until the snapshot says what it does not have.
  absl::StatusOr<Log::Pin> pin = from->log_->PinFrom(std::nullopt);
  if (!pin.ok()) return pin;
  if (absl::Status status = from->Flush(/*wait=*/true); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<StoreSnapshot>> snapshot = from->store_->Snapshot();
  if (!snapshot.ok()) return snapshot.status();
  // The snapshot may have more than it says. The new log gets all that it may have, so that here,
  // too, no store is ahead of its log (engine/store.h, invariant 2).
  const LogIndex upto(from->applying_.load(std::memory_order_acquire));
  const LogIndex behind = (*snapshot)->progress();
  pin->Advance(behind.Next());
  const absl::StatusOr<LogPosition> previous = from->log_->PositionOf(behind);
  if (!previous.ok()) return previous.status();
  const std::string store = JoinPath(options.directory, "store");
  if (absl::Status status = (*snapshot)->CopyTo(*options.disk, store, progress); !status.ok()) {
    return status;
  }
  snapshot->reset();

  // Keys that had expired may be gone from the store: this log, too, must know that it was so late.
  const std::string unfinished = JoinPath(options.directory, "log.unfinished");
  absl::StatusOr<std::unique_ptr<Log>> log =
      Log::Create(options.disk, options.workers, unfinished, options.identity, options.log,
                  *previous, from->clock_->NowMs());
  if (!log.ok()) return log.status();
  if (absl::Status status = CopyRecords(*from->log_, upto, log->get()); !status.ok()) {
    return status;
  }
  pin->Advance((*log)->last().index.Next());
  log->reset();
  // Before, the store may have records that the log has not: no node is to be opened here.
  absl::Status status = options.disk->Rename(unfinished, JoinPath(options.directory, "log"));
  if (status.ok()) status = options.disk->SyncDirectory(options.directory);
  if (!status.ok()) return status;
  return pin;
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
  const absl::Status status = OpenStore(clock);
  return status.ok() ? Replay() : status;
}

absl::Status Node::OpenStore(ExpiryClock* clock) {
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
  applying_.store(progress->value(), std::memory_order_release);
  applied_.store(progress->value(), std::memory_order_release);
  persisted_.store(progress->value(), std::memory_order_release);
  // Only now is anything changed: log and store fit together.
  return log_->StartAppending();
}

absl::Status Node::Replay() {
  LogIndex last = applied();
  absl::Status status = log_->Read(last.Next(), [&](const Record& record) {
    if (absl::Status added = AddToReplay(record); !added.ok()) return added;
    last = record.position.index;
    ++replayed_;
    return replay_buffer_.bytes() < kReplayBatchBytes ? absl::OkStatus() : DrainReplay(last);
  });
  if (status.ok()) status = DrainReplay(last);
  replay_buffer_ = ReplayBuffer();  // megabytes, and few are needed from here on
  if (!status.ok() || log_->segment_count() <= kMaxSegmentsAfterOpen) return status;
  status = Flush(/*wait=*/true);
  return status.ok() ? Maintain() : status;
}

absl::Status Node::AddToReplay(const Record& record) {
  const auto damaged = [&](std::string_view what) {
    return absl::DataLossError(absl::StrCat(options_.directory, ": record ",
                                            record.position.index.ToString(), ToAbsl(what)));
  };
  switch (record.kind) {
    case RecordKind::kWrite:
      return replay_buffer_.Add(record.payload).ok() ? absl::OkStatus()
                                                     : damaged(": its effects cannot be read");
    case RecordKind::kEpochStart:
      return absl::OkStatus();
  }
  return damaged(absl::StrCat(" is of kind ", static_cast<int>(record.kind),
                              ", which this library does not know"));
}

absl::Status Node::DrainReplay(LogIndex last) {
  if (absl::Status status = replay_buffer_.DrainInto(&batch_); !status.ok()) return status;
  batch_last_ = last;
  return ApplyBatch(/*may_wait=*/true);
}

absl::Status Node::ApplySorted(absl::Span<const Record> records) {
  for (const Record& record : records) {
    if (absl::Status status = AddToReplay(record); !status.ok()) return status;
  }
  return DrainReplay(records.back().position.index);
}

absl::Status Node::ApplyBatch(bool may_wait) {
  applying_.store(batch_last_.value(), std::memory_order_release);
  if (!batch_.empty()) {
    if (bytes_since_note_ + batch_.bytes() >= kBytesPerProgressNote) {
      batch_.NoteProgress(batch_last_);
      bytes_since_note_ = 0;
    }
    bytes_since_note_ += batch_.bytes();
    if (absl::Status status = store_->Apply(&batch_, may_wait); !status.ok()) return status;
  }
  applied_.store(batch_last_.value(), std::memory_order_release);
  return absl::OkStatus();
}

absl::Status Node::Append(absl::Span<const Record> records) {
  // Only the first record behind a sync needs the time; one too early makes the next sync earlier.
  const uint64_t since_ms = log_->unsynced_since_ms();
  return log_->Append(records, since_ms != 0 ? since_ms : MonotonicMs());
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
  return ApplyBatch(/*may_wait=*/false);
}

absl::Status Node::ApplyRest() {
  return batch_.empty() ? absl::OkStatus() : ApplyBatch(/*may_wait=*/false);
}

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

absl::Status Node::Maintain(LogIndex others) {
  store_->TryResume();
  const absl::StatusOr<LogIndex> progress = store_->PersistedProgress();
  if (!progress.ok()) return progress.status();
  persisted_.store(progress->value(), std::memory_order_release);
  return log_->TruncateFront(std::min(*progress, others));
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
