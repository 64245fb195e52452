// One copy of a shard's log: segments in a directory.
//
//   sealed  sealed  sealed | active | spare
//   (oldest)               appends    reserved, all zeros
//
// Invariants:
//   1. Records have consecutive indexes, over all segments; epochs never fall.
//   2. Appends go to the active segment only. After Open it is a new one: nothing is ever written
//      behind bytes of unknown state.
//   3. Segments behind the log's end are deleted, durably, before the first append.
//   4. synced() never exceeds what a power failure leaves.
//   5. A failed append or sync fails this log for good; it is never tried again.
//   6. The oldest segment that is kept has a durable record, or none was ever deleted; so no
//      failure forgets the last record's name.
//
// At Open a bad record at or below any durable index that was found is damage (DataLoss, with file
// and offset); otherwise the log ends in front of it, whatever follows.
//
// Thread safety: Reserve and Append belong to one thread at a time (the group's leader), every
// other member to any thread. No lock is held across I/O but the copy into mapped memory; Append
// takes none, but for the first records of an epoch or behind a sync.
#ifndef SLOTKV_ENGINE_LOG_H_
#define SLOTKV_ENGINE_LOG_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/damage_note.h"
#include "engine/disk.h"
#include "engine/log_file.h"
#include "engine/segment.h"
#include "engine/worker_pool.h"

namespace slotkv {

struct LogOptions {
  LogIo io = LogIo::kAuto;
  // A segment is four times as large as the one before was full, within these bounds, in bytes.
  uint64_t min_segment_bytes = uint64_t{1} << 20;
  uint64_t max_segment_bytes = uint64_t{64} << 20;
};

// What Open found.
struct LogRecovery {
  LogPosition last;  // of an empty log, what it begins behind; {0, 0}: nothing
  LogIndex first;    // the oldest record still here
  uint64_t highest_clock_ms = 0;
};

class Log {
 public:
  // A new, empty log in `directory`, durable when this returns. It begins behind `previous`, as if
  // all records up to that one had been truncated away, and remembers `clock_ms` as if noted by
  // NoteClock. `disk` and `workers` must outlive the log.
  static absl::StatusOr<std::unique_ptr<Log>> Create(const Disk* disk, WorkerPool* workers,
                                                     const std::string& directory,
                                                     const LogIdentity& identity,
                                                     const LogOptions& options,
                                                     LogPosition previous = {},
                                                     uint64_t clock_ms = 0);

  // The log in `directory`, its end found. Nothing is changed; it can be read, and appended to
  // after StartAppending. DataLoss if it is damaged or missing.
  static absl::StatusOr<std::unique_ptr<Log>> OpenForReading(const Disk* disk, WorkerPool* workers,
                                                             const std::string& directory,
                                                             const LogIdentity& identity,
                                                             const LogOptions& options,
                                                             LogRecovery* recovery);
  // Makes all that was found durable, deletes what stands behind the log's end and begins a
  // segment. Once, after OpenForReading.
  absl::Status StartAppending();

  // Both of these.
  static absl::StatusOr<std::unique_ptr<Log>> Open(const Disk* disk, WorkerPool* workers,
                                                   const std::string& directory,
                                                   const LogIdentity& identity,
                                                   const LogOptions& options,
                                                   LogRecovery* recovery);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Makes room for `bytes` of records (EncodedRecordSize each) in the active segment.
  // ResourceExhausted: the disk is full; Unavailable: not within the timeout, or the log has
  // failed. Nothing was appended.
  absl::Status Reserve(size_t bytes, absl::Duration timeout);

  // Appends records that follow the last one, for which Reserve has made room. `now_ms` is the
  // expiry clock. If it fails, some of them may be in the log.
  absl::Status Append(absl::Span<const Record> records, uint64_t now_ms);

  // Makes everything appended before the call durable. Concurrent calls share one sync.
  absl::Status Sync(uint64_t now_ms);

  // Writes into the log (without syncing) that callers were told of expiry up to this time.
  absl::Status NoteClock(uint64_t clock_ms);

  // Calls `visit` for each record from index `from` on, in order, up to the last one appended
  // before the call; stops at the first error. DataLoss if a record is damaged or `from` has been
  // truncated away; nullopt: from the oldest that is here.
  absl::Status Read(std::optional<LogIndex> from,
                    absl::FunctionRef<absl::Status(const Record&)> visit) const;

  // Keeps the records from an index on from being truncated away while it lives. Movable; one that
  // was moved from keeps nothing. Must not outlive the log. Not thread-safe.
  class Pin {
   public:
    Pin() = default;
    Pin(Pin&& other) noexcept;
    Pin& operator=(Pin&& other) noexcept;
    ~Pin();

    // Lets go of the records below `from`. One that is not above from() changes nothing.
    void Advance(LogIndex from);
    // The oldest record that it keeps, or would keep once it is appended.
    LogIndex from() const { return from_; }

   private:
    friend class Log;
    Pin(const Log* log, LogIndex from) : log_(log), from_(from) {}
    void Release();

    const Log* log_ = nullptr;  // null: keeps nothing
    LogIndex from_;
  };

  // Keeps the records from `from` on, which may be the one that is appended next; nullopt: from
  // the oldest that is here. DataLoss if `from` has been truncated away, OutOfRange if it is more
  // than one above the last record.
  absl::StatusOr<Pin> PinFrom(std::optional<LogIndex> from) const;

  // The name of a record that is here, or of the one that the log begins behind; {0, 0} for index 0
  // of a log that begins with record 1. NotFound for any other; DataLoss if a record that had to be
  // read is damaged.
  absl::StatusOr<LogPosition> PositionOf(LogIndex index) const;

  // Deletes whole segments that hold nothing above `upto`, but neither the active one nor any
  // that a Read under way or a Pin still needs. One caller at a time.
  absl::Status TruncateFront(LogIndex upto);

  // The first record that Read or PositionOf has found damaged; ok: none.
  absl::Status damage() const { return damage_.Get(); }

  LogPosition last() const;
  LogIndex synced() const { return LogIndex(synced_.load(std::memory_order_acquire)); }
  // The oldest record that is still to be read.
  LogIndex first() const;
  // Append's time of the oldest record that is not durable yet, or somewhat earlier; 0: all are.
  uint64_t unsynced_since_ms() const { return unsynced_since_ms_.load(std::memory_order_acquire); }
  size_t segment_count() const;
  // Of records in sealed segments: what truncation could free.
  uint64_t sealed_bytes() const;

 private:
  struct Segment {
    uint64_t sequence = 0;
    LogIndex first;
    LogIndex last;              // first - 1: holds none
    ShardEpoch previous_epoch;  // of record first - 1
    uint64_t end = kSegmentHeaderBytes;
    uint64_t seed = 0;
    uint64_t capacity = 0;  // of the file; for a scanned one, as far as it was written
  };

  struct Spare {
    std::shared_ptr<LogFile> file;
    uint64_t sequence = 0;
  };

  Log(const Disk* disk, WorkerPool* workers, std::string directory, const LogIdentity& identity,
      const LogOptions& options);

  std::string Path(uint64_t sequence) const;
  absl::StatusOr<std::vector<uint64_t>> ListSegments() const;
  absl::Status Scan(LogRecovery* recovery);
  absl::Status SyncScanned();
  absl::StatusOr<std::shared_ptr<LogFile>> CreateFile(uint64_t sequence, uint64_t capacity) const;
  LogPosition LastLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::deque<Segment> SegmentsLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint64_t NextCapacity() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void RequestSpare(uint64_t capacity) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<Spare> TakeSpare(uint64_t capacity, absl::Duration timeout)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Activate(std::shared_ptr<LogFile> file, uint64_t sequence);
  absl::Status Fail(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  // `from`, or nullopt's meaning, if it is still here.
  absl::StatusOr<LogIndex> StillHere(std::optional<LogIndex> from) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  Pin PinLocked(LogIndex from) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status ReadSegment(const Segment& segment, LogIndex from,
                           absl::FunctionRef<absl::Status(const Record&)> visit) const;
  absl::Status WriteMark(LogFile* file, uint64_t seed, uint64_t clock_ms) ABSL_LOCKS_EXCLUDED(mu_);
  void BeginWriting() ABSL_LOCKS_EXCLUDED(mu_);
  void EndSync(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);

  const Disk* const disk_;
  WorkerPool* const workers_;
  const std::string directory_;
  const LogIdentity identity_;
  const LogOptions options_;

  // The leader's own.
  std::string scratch_;
  absl::BitGen random_;
  LogFile* appending_ = nullptr;  // active_
  uint64_t seed_ = 0;             // of active_
  LogPosition appended_;          // the last record
  bool spare_requested_ = false;  // for when active_ is full
  uint64_t begun_writing_ = 0;    // bytes of active_ that a job was told to begin to write

  // What Scan found, for StartAppending.
  std::vector<uint64_t> behind_end_;
  LogIndex found_durable_;

  mutable DamageNote damage_;

  // Of the last record; written by Append, and behind the record's bytes and the file's size.
  std::atomic<uint64_t> last_index_{0};

  // Written under mu_.
  std::atomic<uint64_t> synced_{0};
  std::atomic<uint64_t> unsynced_since_ms_{0};
  std::atomic<bool> failed_{false};  // failure_ is not ok

  mutable absl::Mutex mu_;
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  ShardEpoch last_epoch_ ABSL_GUARDED_BY(mu_);  // of the last record
  // Oldest first. The last one is active, if there is an active_, and its `last` and `end` are
  // those of when it began: SegmentsLocked knows better.
  std::deque<Segment> segments_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<LogFile> active_ ABSL_GUARDED_BY(mu_);
  // Truncated away, their files perhaps not deleted yet; oldest first.
  std::deque<uint64_t> doomed_ ABSL_GUARDED_BY(mu_);
  // Where the Reads under way began, and what Pins keep.
  mutable std::multiset<LogIndex> reading_from_ ABSL_GUARDED_BY(mu_);
  // Sealed files with records that are not durable yet.
  std::vector<std::shared_ptr<LogFile>> unsynced_sealed_ ABSL_GUARDED_BY(mu_);
  // One sync, or one mark, at a time.
  bool syncing_ ABSL_GUARDED_BY(mu_) = false;
  bool will_begin_writing_ ABSL_GUARDED_BY(mu_) = false;  // the job is queued
  int marks_written_ = 0;                                 // guarded by syncing_
  uint64_t marked_clock_ms_ = 0;  // written under mu_, by whoever has set syncing_
  // The file that the next segment will be.
  bool creating_spare_ ABSL_GUARDED_BY(mu_) = false;
  // Jobs of this log that are queued or running, the spare's aside.
  int jobs_ ABSL_GUARDED_BY(mu_) = 0;
  std::shared_ptr<LogFile> spare_ ABSL_GUARDED_BY(mu_);
  uint64_t spare_sequence_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status spare_status_ ABSL_GUARDED_BY(mu_);
  uint64_t next_sequence_ ABSL_GUARDED_BY(mu_) = 1;
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_LOG_H_
