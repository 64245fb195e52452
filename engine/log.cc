#include "engine/log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/text.h"

namespace slotkv {
namespace {

// Sealed segments that wait for a sync, at most; the leader waits for one beyond it.
constexpr size_t kMaxUnsyncedSealed = 8;
// In the active segment, before the next one is prepared.
constexpr uint64_t kBytesBeforeSpare = uint64_t{64} << 10;
// Each segment is so many times as large as the one before was full.
constexpr uint64_t kSegmentGrowth = 4;
// So much may wait in the page cache before the kernel is told to write it: a sync of more would
// keep others from the disk for as long, the topology's among them.
constexpr uint64_t kBytesToBeginWriting = uint64_t{512} << 10;

}  // namespace

Log::Log(const Disk* disk, WorkerPool* workers, std::string directory, const LogIdentity& identity,
         const LogOptions& options)
    : disk_(disk),
      workers_(workers),
      directory_(std::move(directory)),
      identity_(identity),
      options_(options) {}

Log::~Log() {
  absl::MutexLock lock(&mu_);
  const auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return !creating_spare_ && !syncing_ && jobs_ == 0;
  };
  mu_.Await(absl::Condition(&idle));
  SLOTKV_CHECK(reading_from_.empty());  // else a Pin would outlive what it is on
}

std::string Log::Path(uint64_t sequence) const {
  return JoinPath(directory_, SegmentName(sequence));
}

absl::StatusOr<std::unique_ptr<Log>> Log::Create(const Disk* disk, WorkerPool* workers,
                                                 const std::string& directory,
                                                 const LogIdentity& identity,
                                                 const LogOptions& options, LogPosition previous,
                                                 uint64_t clock_ms) {
  if (absl::Status status = disk->MakeDirectory(directory); !status.ok()) return status;
  std::unique_ptr<Log> log(new Log(disk, workers, directory, identity, options));
  {
    absl::MutexLock lock(&log->mu_);
    log->last_index_.store(previous.index.value(), std::memory_order_release);
    log->last_epoch_ = previous.epoch;
    log->marked_clock_ms_ = clock_ms;
  }
  absl::StatusOr<std::shared_ptr<LogFile>> file = log->CreateFile(1, options.min_segment_bytes);
  if (!file.ok()) return file.status();
  if (absl::Status status = log->Activate(*std::move(file), 1); !status.ok()) return status;
  if (absl::Status status = log->SyncScanned(); !status.ok()) return status;
  return log;
}

absl::StatusOr<std::unique_ptr<Log>> Log::OpenForReading(const Disk* disk, WorkerPool* workers,
                                                         const std::string& directory,
                                                         const LogIdentity& identity,
                                                         const LogOptions& options,
                                                         LogRecovery* recovery) {
  std::unique_ptr<Log> log(new Log(disk, workers, directory, identity, options));
  if (absl::Status status = log->Scan(recovery); !status.ok()) return status;
  return log;
}

absl::StatusOr<std::unique_ptr<Log>> Log::Open(const Disk* disk, WorkerPool* workers,
                                               const std::string& directory,
                                               const LogIdentity& identity,
                                               const LogOptions& options, LogRecovery* recovery) {
  absl::StatusOr<std::unique_ptr<Log>> log =
      OpenForReading(disk, workers, directory, identity, options, recovery);
  if (!log.ok()) return log;
  if (absl::Status status = (*log)->StartAppending(); !status.ok()) return status;
  return log;
}

absl::Status Log::StartAppending() {
  if (absl::Status status = SyncScanned(); !status.ok()) return status;
  for (const uint64_t sequence : behind_end_) {
    if (absl::Status status = disk_->Delete(Path(sequence)); !status.ok()) return status;
  }
  if (!behind_end_.empty()) {
    if (absl::Status status = disk_->SyncDirectory(directory_); !status.ok()) return status;
  }
  uint64_t sequence = 0, capacity = 0;
  {
    absl::MutexLock lock(&mu_);
    sequence = next_sequence_;
    capacity = std::clamp(segments_.back().end * kSegmentGrowth, options_.min_segment_bytes,
                          options_.max_segment_bytes);
  }
  absl::StatusOr<std::shared_ptr<LogFile>> file = CreateFile(sequence, capacity);
  if (!file.ok()) return file.status();
  return Activate(*std::move(file), sequence);
}

absl::StatusOr<std::vector<uint64_t>> Log::ListSegments() const {
  absl::StatusOr<std::vector<std::string>> names = disk_->List(directory_);
  if (absl::IsNotFound(names.status())) {
    return absl::DataLossError(absl::StrCat(directory_, ": the log is missing"));
  }
  if (!names.ok()) return names.status();
  std::vector<uint64_t> sequences;
  for (const std::string& name : *names) {
    if (const auto sequence = ParseSegmentName(name)) sequences.push_back(*sequence);
  }
  std::sort(sequences.begin(), sequences.end());
  return sequences;
}

// Finds the log's end and judges what stands behind it (invariant 3; the damage rule above).
absl::Status Log::Scan(LogRecovery* recovery) {
  absl::StatusOr<std::vector<uint64_t>> sequences = ListSegments();
  if (!sequences.ok()) return sequences.status();
  std::deque<Segment> segments;
  LogPosition last;
  LogIndex highest_synced;
  uint64_t end_sequence = 0, end_offset = 0;  // where the next record would stand
  bool ended = false;
  for (const uint64_t sequence : *sequences) {
    const std::string path = Path(sequence);
    absl::StatusOr<FileBytes> bytes = disk_->ReadWritten(path);
    if (!bytes.ok()) return bytes.status();
    absl::StatusOr<SegmentScan> scan = ScanSegment(bytes->view(), identity_, sequence, path);
    if (!scan.ok()) return scan.status();
    highest_synced = std::max(highest_synced, scan->highest_synced);
    recovery->highest_clock_ms = std::max(recovery->highest_clock_ms, scan->highest_clock_ms);
    if (!scan->header.has_value()) {  // a spare; it may stand between two segments in use
      behind_end_.push_back(sequence);
      continue;
    }
    ended = ended || (!segments.empty() && (scan->header->first != last.index.Next() ||
                                            scan->header->previous_epoch != last.epoch));
    if (!ended) {
      end_sequence = sequence;
      end_offset = scan->end;
    }
    // An Open that failed later on left an empty one.
    const bool spent = !segments.empty() && scan->last == last;
    if (ended || spent) {
      behind_end_.push_back(sequence);
      continue;
    }
    last = scan->last;
    segments.push_back({sequence, scan->header->first, scan->last.index,
                        scan->header->previous_epoch, scan->end, scan->header->seed,
                        bytes->view().size()});
  }
  if (segments.empty()) {
    return absl::DataLossError(absl::StrCat(directory_, ": the log is missing"));
  }
  if (last.index < highest_synced) {
    return absl::DataLossError(absl::StrCat(Path(end_sequence), ": offset ", end_offset,
                                            ": no sound record ", last.index.Next().ToString(),
                                            ", though records up to ", highest_synced.ToString(),
                                            " were durable"));
  }
  recovery->last = last;
  recovery->first = segments.front().first;
  found_durable_ = highest_synced;
  absl::MutexLock lock(&mu_);
  marked_clock_ms_ = recovery->highest_clock_ms;
  last_index_.store(last.index.value(), std::memory_order_release);
  last_epoch_ = last.epoch;
  segments_ = std::move(segments);
  next_sequence_ = sequences->back() + 1;
  return absl::OkStatus();
}

// What a killed process left in the page cache becomes durable here, so that a later power
// failure finds no hole below records that were appended after this.
absl::Status Log::SyncScanned() {
  std::deque<Segment> segments;
  LogIndex last;
  {
    absl::MutexLock lock(&mu_);
    last = LastLocked().index;
    segments = SegmentsLocked();
  }
  for (const Segment& segment : segments) {
    if (segment.last <= found_durable_ && segment.sequence != segments.back().sequence) continue;
    if (absl::Status status = disk_->RewriteAndSync(Path(segment.sequence), segment.end);
        !status.ok()) {
      return status;
    }
  }
  if (absl::Status status = disk_->SyncDirectory(directory_); !status.ok()) return status;
  absl::MutexLock lock(&mu_);
  synced_.store(last.value(), std::memory_order_release);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<LogFile>> Log::CreateFile(uint64_t sequence,
                                                         uint64_t capacity) const {
  absl::StatusOr<std::unique_ptr<LogFile>> file =
      LogFile::Create(Path(sequence), capacity, options_.io, disk_->hook());
  if (!file.ok()) return file.status();
  if (absl::Status status = disk_->SyncDirectory(directory_); !status.ok()) {
    disk_->Delete(Path(sequence)).IgnoreError();
    return status;
  }
  return std::shared_ptr<LogFile>(*std::move(file));
}

void Log::RequestSpare(uint64_t capacity) {
  if (creating_spare_) return;
  creating_spare_ = true;
  spare_status_ = absl::OkStatus();
  const uint64_t sequence = next_sequence_++;
  workers_->Schedule([this, sequence, capacity] {
    absl::StatusOr<std::shared_ptr<LogFile>> file = CreateFile(sequence, capacity);
    absl::MutexLock lock(&mu_);
    creating_spare_ = false;
    spare_status_ = file.status();
    if (!file.ok()) return;
    spare_ = *std::move(file);
    spare_sequence_ = sequence;
  });
}

absl::Status Log::Activate(std::shared_ptr<LogFile> file, uint64_t sequence) {
  Segment segment;
  segment.sequence = sequence;
  segment.seed = absl::Uniform<uint64_t>(random_);
  segment.capacity = file->capacity();
  SegmentHeader header;
  header.identity = identity_;
  header.sequence = sequence;
  header.seed = segment.seed;
  LogMark mark;
  mark.synced = synced();
  {
    absl::MutexLock lock(&mu_);
    segment.first = LastLocked().index.Next();
    segment.last = LastLocked().index;
    segment.previous_epoch = last_epoch_;
    header.first = segment.first;
    header.previous_epoch = segment.previous_epoch;
    mark.clock_ms = marked_clock_ms_;
  }
  std::string head = EncodeSegmentHeader(header);
  // What is known goes along: the file that says it may be truncated, or be the one that is lost.
  const std::string encoded_mark = EncodeMark(mark, segment.seed);
  for (const size_t offset : kMarkOffsets) head.replace(offset, encoded_mark.size(), encoded_mark);
  if (absl::Status status = file->Append(head); !status.ok()) return Fail(status);
  absl::MutexLock lock(&mu_);
  segments_ = SegmentsLocked();  // the one that is sealed here stays as it is
  if (active_ != nullptr && synced_.load(std::memory_order_relaxed) < segment.last.value()) {
    unsynced_sealed_.push_back(std::move(active_));
  }
  active_ = std::move(file);
  appending_ = active_.get();
  seed_ = segment.seed;
  appended_ = LastLocked();
  spare_requested_ = false;
  begun_writing_ = 0;
  segments_.push_back(segment);
  next_sequence_ = std::max(next_sequence_, sequence + 1);
  return absl::OkStatus();
}

absl::Status Log::Fail(const absl::Status& status) {
  absl::MutexLock lock(&mu_);
  if (failure_.ok()) failure_ = status;
  failed_.store(true, std::memory_order_release);
  return status;
}

absl::Status Log::Reserve(size_t bytes, absl::Duration timeout) {
  while (!failed_.load(std::memory_order_acquire)) {
    if (appending_->left() >= bytes) {
      // Have the next file ready long before it is needed, but none for a log that lies still.
      if (!spare_requested_ && appending_->size() > kBytesBeforeSpare) {
        spare_requested_ = true;
        absl::MutexLock lock(&mu_);
        if (spare_ == nullptr) RequestSpare(NextCapacity());
      }
      return absl::OkStatus();
    }
    absl::StatusOr<Spare> spare = TakeSpare(bytes + kSegmentHeaderBytes, timeout);
    if (!spare.ok()) return spare.status();
    if (spare->file->left() >= bytes + kSegmentHeaderBytes) {
      return Activate(std::move(spare->file), spare->sequence);
    }
    // It was made before anybody knew of a write this large.
    {
      absl::MutexLock lock(&mu_);
      ++jobs_;
    }
    workers_->Schedule([this, path = Path(spare->sequence)] {
      disk_->Delete(path).IgnoreError();  // empty: the next Open deletes it otherwise
      // A log made anew in this directory may use the name again: the destructor waits.
      absl::MutexLock lock(&mu_);
      --jobs_;
    });
  }
  absl::MutexLock lock(&mu_);
  return failure_;
}

uint64_t Log::NextCapacity() const {
  return std::clamp(segments_.back().capacity * kSegmentGrowth, options_.min_segment_bytes,
                    options_.max_segment_bytes);
}

absl::StatusOr<Log::Spare> Log::TakeSpare(uint64_t capacity, absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  if (spare_ == nullptr) RequestSpare(std::max(NextCapacity(), capacity));
  if (unsynced_sealed_.size() >= kMaxUnsyncedSealed) {
    ++jobs_;
    workers_->Schedule([this] {
      // A time too early is only a reason to sync again sooner, 0 would mean that there is none. A
      // failure shows in failure_.
      Sync(std::max<uint64_t>(1, unsynced_since_ms())).IgnoreError();
      absl::MutexLock job_lock(&mu_);
      --jobs_;
    });
  }
  const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return !failure_.ok() || (!creating_spare_ && unsynced_sealed_.size() < kMaxUnsyncedSealed);
  };
  if (!mu_.AwaitWithTimeout(absl::Condition(&ready), timeout)) {
    return absl::UnavailableError(
        absl::StrCat(directory_, ": no room in the log within the operation timeout"));
  }
  if (!failure_.ok()) return failure_;
  if (spare_ == nullptr) return spare_status_;
  return Spare{std::move(spare_), spare_sequence_};
}

absl::Status Log::Append(absl::Span<const Record> records, uint64_t now_ms) {
  SLOTKV_CHECK(records.front().position.index == appended_.index.Next());
  SLOTKV_CHECK(records.front().position.epoch >= appended_.epoch);
  if (failed_.load(std::memory_order_acquire)) {
    absl::MutexLock lock(&mu_);
    return failure_;
  }
  const LogIndex durable = synced();
  scratch_.clear();
  for (const Record& record : records) EncodeRecord(record, durable, seed_, &scratch_);
  if (absl::Status status = appending_->Append(scratch_); !status.ok()) return Fail(status);
  // One huge value should not hold its memory for good.
  if (scratch_.capacity() > (size_t{4} << 20)) scratch_ = std::string();
  if (appending_->size() - begun_writing_ >= kBytesToBeginWriting) {
    begun_writing_ = appending_->size();
    BeginWriting();
  }
  const bool same_epoch = appended_.epoch == records.back().position.epoch;
  appended_ = records.back().position;
  if (same_epoch) {
    // Sync stores 0 and then looks at last_index_: it sees this record, or this sees the 0.
    last_index_.store(appended_.index.value(), std::memory_order_seq_cst);
    if (unsynced_since_ms_.load(std::memory_order_seq_cst) != 0) return absl::OkStatus();
  }
  absl::MutexLock lock(&mu_);
  last_epoch_ = appended_.epoch;
  last_index_.store(appended_.index.value(), std::memory_order_seq_cst);
  if (unsynced_since_ms() == 0 && synced() < appended_.index) {
    unsynced_since_ms_.store(now_ms, std::memory_order_release);
  }
  return absl::OkStatus();
}

void Log::BeginWriting() {
  absl::MutexLock lock(&mu_);
  if (will_begin_writing_) return;
  will_begin_writing_ = true;
  ++jobs_;
  workers_->Schedule([this] {
    std::shared_ptr<LogFile> file;
    {
      absl::MutexLock job_lock(&mu_);
      will_begin_writing_ = false;
      // A sync that is under way does as much.
      if (!syncing_ && failure_.ok()) file = active_;
      syncing_ = syncing_ || file != nullptr;
    }
    if (file != nullptr) file->BeginWriting();
    absl::MutexLock job_lock(&mu_);
    if (file != nullptr) syncing_ = false;
    --jobs_;
  });
}

absl::Status Log::Sync(uint64_t now_ms) {
  std::vector<std::shared_ptr<LogFile>> files;
  LogIndex target;
  uint64_t seed = 0;
  {
    absl::MutexLock lock(&mu_);
    const LogIndex wanted = LastLocked().index;
    const auto free = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !syncing_; };
    mu_.Await(absl::Condition(&free));
    if (!failure_.ok()) return failure_;
    if (synced() >= wanted) return absl::OkStatus();
    syncing_ = true;
    files = unsynced_sealed_;
    files.push_back(active_);
    target = LastLocked().index;
    seed = segments_.back().seed;
  }
  absl::Status status;
  for (size_t i = 0; i < files.size() && status.ok(); ++i) status = files[i]->Sync();
  if (status.ok()) {
    absl::MutexLock lock(&mu_);
    synced_.store(target.value(), std::memory_order_release);
    unsynced_sealed_.erase(unsynced_sealed_.begin(),
                           unsynced_sealed_.begin() + static_cast<ptrdiff_t>(files.size() - 1));
    // A file sealed while it was being synced may hold records behind the target: it stays.
    // In this order (Append).
    if (LastLocked().index == target) unsynced_since_ms_.store(0, std::memory_order_seq_cst);
    if (LastLocked().index > target) unsynced_since_ms_.store(now_ms, std::memory_order_release);
  }
  if (status.ok()) status = WriteMark(files.back().get(), seed, marked_clock_ms_);
  EndSync(status);
  return status;
}

absl::Status Log::NoteClock(uint64_t clock_ms) {
  std::shared_ptr<LogFile> file;
  uint64_t seed = 0;
  {
    absl::MutexLock lock(&mu_);
    const auto free = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !syncing_; };
    mu_.Await(absl::Condition(&free));
    if (!failure_.ok()) return failure_;
    if (marked_clock_ms_ >= clock_ms) return absl::OkStatus();
    syncing_ = true;
    marked_clock_ms_ = clock_ms;
    file = active_;
    seed = segments_.back().seed;
  }
  const absl::Status status = WriteMark(file.get(), seed, clock_ms);
  EndSync(status);
  return status;
}

absl::Status Log::WriteMark(LogFile* file, uint64_t seed, uint64_t clock_ms) {
  const size_t offset = kMarkOffsets[static_cast<size_t>(marks_written_++ % 2)];
  return file->Overwrite(offset, EncodeMark({synced(), clock_ms}, seed));
}

void Log::EndSync(const absl::Status& status) {
  absl::MutexLock lock(&mu_);
  syncing_ = false;
  if (status.ok()) return;
  if (failure_.ok()) failure_ = status;
  failed_.store(true, std::memory_order_release);
}

absl::Status Log::Read(std::optional<LogIndex> wanted,
                       absl::FunctionRef<absl::Status(const Record&)> visit) const {
  std::deque<Segment> segments;
  Pin pin;
  {
    absl::MutexLock lock(&mu_);
    segments = SegmentsLocked();
    const absl::StatusOr<LogIndex> here = StillHere(wanted);
    if (!here.ok()) return here.status();
    pin = PinLocked(*here);
  }
  const LogIndex from = pin.from();
  absl::Status status;
  for (const Segment& segment : segments) {
    if (segment.last < from) continue;
    status = ReadSegment(segment, from, visit);
    if (!status.ok()) break;
  }
  return status;
}

absl::StatusOr<LogIndex> Log::StillHere(std::optional<LogIndex> from) const {
  const LogIndex oldest = segments_.front().first;
  if (from.value_or(oldest) >= oldest) return from.value_or(oldest);
  return absl::DataLossError(absl::StrCat(directory_, ": record ", from->ToString(),
                                          " is gone, the log begins at ", oldest.ToString()));
}

Log::Pin Log::PinLocked(LogIndex from) const {
  reading_from_.insert(from);
  return Pin(this, from);
}

absl::StatusOr<Log::Pin> Log::PinFrom(std::optional<LogIndex> from) const {
  absl::MutexLock lock(&mu_);
  const absl::StatusOr<LogIndex> here = StillHere(from);
  if (!here.ok()) return here.status();
  if (*here > LastLocked().index.Next()) {
    return absl::OutOfRangeError(absl::StrCat(directory_, ": record ", here->ToString(),
                                              " is not here yet, the log ends at ",
                                              LastLocked().index.ToString()));
  }
  return PinLocked(*here);
}

Log::Pin::Pin(Pin&& other) noexcept
    : log_(std::exchange(other.log_, nullptr)), from_(other.from_) {}

Log::Pin& Log::Pin::operator=(Pin&& other) noexcept {
  if (this == &other) return *this;
  Release();
  log_ = std::exchange(other.log_, nullptr);
  from_ = other.from_;
  return *this;
}

Log::Pin::~Pin() { Release(); }

void Log::Pin::Release() {
  if (log_ == nullptr) return;
  absl::MutexLock lock(&log_->mu_);
  log_->reading_from_.erase(log_->reading_from_.find(from_));
}

void Log::Pin::Advance(LogIndex from) {
  if (log_ == nullptr || from <= from_) return;
  absl::MutexLock lock(&log_->mu_);
  log_->reading_from_.erase(log_->reading_from_.find(from_));
  log_->reading_from_.insert(from);
  from_ = from;
}

absl::StatusOr<LogPosition> Log::PositionOf(LogIndex index) const {
  const absl::Status missing = absl::NotFoundError(
      absl::StrCat(directory_, ": the log does not know record ", index.ToString()));
  Segment segment;
  Pin pin;
  {
    absl::MutexLock lock(&mu_);
    const std::deque<Segment> segments = SegmentsLocked();
    if (index > segments.back().last) return missing;
    // Epochs never fall: where the one before a segment is the one at its end, it is all its
    // records', and the file need not be read.
    ShardEpoch epoch_at_end = last_epoch_;
    size_t i = segments.size() - 1;
    while (i > 0 && index < segments[i].first) epoch_at_end = segments[i--].previous_epoch;
    segment = segments[i];
    if (index.Next() == segment.first) return LogPosition{segment.previous_epoch, index};
    if (index < segment.first) return missing;
    if (index == segment.last || segment.previous_epoch == epoch_at_end) {
      return LogPosition{epoch_at_end, index};
    }
    pin = PinLocked(index);
  }
  LogPosition position;
  const absl::Status status = ReadSegment(segment, index, [&](const Record& record) {
    position = record.position;
    return absl::CancelledError("found");
  });
  if (position.index == index) return position;
  return status;
}

absl::Status Log::ReadSegment(const Segment& segment, LogIndex from,
                              absl::FunctionRef<absl::Status(const Record&)> visit) const {
  const std::string path = Path(segment.sequence);
  absl::StatusOr<FileBytes> bytes = disk_->ReadWritten(path, segment.end);
  if (!bytes.ok()) return bytes.status();
  const std::string_view all = bytes->view();
  uint64_t offset = kSegmentHeaderBytes;
  for (LogIndex next = segment.first; next <= segment.last; next = next.Next()) {
    const std::optional<DecodedRecord> decoded =
        offset < all.size() ? DecodeRecord(all.substr(offset), segment.seed) : std::nullopt;
    if (!decoded.has_value() || decoded->record.position.index != next) {
      return damage_.Pass(absl::DataLossError(
          absl::StrCat(path, ": offset ", offset, ": record ", next.ToString(), " is damaged")));
    }
    offset += decoded->size;
    if (next < from) continue;
    if (absl::Status status = visit(decoded->record); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Log::TruncateFront(LogIndex upto) {
  std::deque<uint64_t> doomed;
  {
    absl::MutexLock lock(&mu_);
    // Only what is durable may go: a file under sync is in use. And the first that stays must have
    // a durable record, hence a durable header: without one a power failure would leave no log.
    const LogIndex durable = synced();
    LogIndex limit = std::min(upto, durable);
    if (!reading_from_.empty()) {
      limit = std::min(limit, LogIndex(reading_from_.begin()->value() - 1));
    }
    while (segments_.size() > 1 && segments_.front().last <= limit &&
           segments_[1].first <= durable) {
      doomed_.push_back(segments_.front().sequence);
      segments_.pop_front();
    }
    doomed = doomed_;
  }
  // Oldest first, each one durably gone before the next: no crash leaves a gap.
  for (const uint64_t sequence : doomed) {
    if (absl::Status status = disk_->Delete(Path(sequence)); !status.ok()) return status;
    if (absl::Status status = disk_->SyncDirectory(directory_); !status.ok()) return status;
    absl::MutexLock lock(&mu_);
    doomed_.pop_front();
  }
  return absl::OkStatus();
}

LogPosition Log::last() const {
  absl::MutexLock lock(&mu_);
  return LastLocked();
}

LogPosition Log::LastLocked() const {
  return {last_epoch_, LogIndex(last_index_.load(std::memory_order_seq_cst))};
}

// segments_ as they are now.
std::deque<Log::Segment> Log::SegmentsLocked() const {
  std::deque<Segment> segments = segments_;
  if (active_ != nullptr) {
    segments.back().last = LastLocked().index;
    segments.back().end = active_->size();  // perhaps with bytes behind that record
  }
  return segments;
}

LogIndex Log::first() const {
  absl::MutexLock lock(&mu_);
  return segments_.front().first;
}

size_t Log::segment_count() const {
  absl::MutexLock lock(&mu_);
  return segments_.size();
}

uint64_t Log::sealed_bytes() const {
  absl::MutexLock lock(&mu_);
  uint64_t total = 0;
  for (size_t i = 0; i + 1 < segments_.size(); ++i) total += segments_[i].end;
  return total;
}

}  // namespace slotkv
