#include "engine/store.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/fixed_array.h"
#include "absl/strings/str_cat.h"
#include "engine/effects.h"
#include "engine/progress_note.h"
#include "engine/rocksdb_logger.h"
#include "engine/rocksdb_status.h"
#include "engine/text.h"
#include "rocksdb/compaction_filter.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/listener.h"
#include "rocksdb/memtablerep.h"
#include "rocksdb/slice_transform.h"
#include "rocksdb/table.h"

namespace slotkv {
namespace {

rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

// A memory of this much is not kept once a batch is applied.
constexpr size_t kMaxIdleBatchBytes = size_t{16} << 20;

// Lists in a memtable, and what it takes from the heap at a time.
constexpr size_t kMemtableBuckets = 4096;
constexpr size_t kMinArenaBlockBytes = size_t{64} << 10;
constexpr size_t kMaxArenaBlockBytes = size_t{1} << 20;

// A write group under way may still find alive what has just expired; none takes this long.
constexpr uint64_t kDropAfterMs = 60'000;

// Beside the store, on the same file system.
std::string SnapshotDirectory(const std::string& directory) { return directory + ".snapshot"; }

}  // namespace

// Drops what has expired when RocksDB rewrites tables anyway.
class Store::ExpiryFilter final : public rocksdb::CompactionFilter {
 public:
  explicit ExpiryFilter(ExpiryClock* clock) : clock_(clock) {}

  const char* Name() const override { return "slotkv.expiry"; }

  Decision FilterV2(int, const rocksdb::Slice& key, ValueType type, const rocksdb::Slice& value,
                    std::string*, std::string*) const override {
    if (type != ValueType::kValue || key.size() < kSlotBytes ||
        SlotOf(ToView(key)) >= kFirstMetadataSlot) {
      return Decision::kKeep;
    }
    const std::optional<ValueHeader> header = DecodeValueHeader(ToView(value));
    if (!header.has_value() || header->expiry_ms == 0) return Decision::kKeep;
    const uint64_t now_ms = clock_->NowMs();
    if (!header->ExpiredAt(now_ms - std::min(now_ms, kDropAfterMs))) return Decision::kKeep;
    // From here on nobody can find it: the clock must not go back to when it lived.
    clock_->NoteObserved(header->expiry_ms);
    // kRemove leaves a tombstone, so that no older version comes to light.
    return Decision::kRemove;
  }

 private:
  ExpiryClock* const clock_;
};

class Store::Listener final : public rocksdb::EventListener {
 public:
  explicit Listener(Store* store) : store_(store) {}

  void OnFlushBegin(rocksdb::DB*, const rocksdb::FlushJobInfo&) override {
    // Invariant 2. The call cannot refuse the flush, the fence can.
    if (!store_->sync_log_().ok()) {
      store_->fence_->Raise();
      store_->failed_.store(true, std::memory_order_release);
    }
  }

  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* status) override {
    if (status->IsNoSpace()) {
      store_->disk_full_.store(++store_->disk_full_errors_, std::memory_order_release);
    } else {
      // Other errors pass, with the disk: only what was read tells of the files.
      if (status->IsCorruption()) store_->Checked(*status).IgnoreError();
      store_->failed_.store(true, std::memory_order_release);
    }
  }

  void OnStallConditionsChanged(const rocksdb::WriteStallInfo& info) override {
    store_->stalled_.store(info.condition.cur != rocksdb::WriteStallCondition::kNormal,
                           std::memory_order_release);
  }

 private:
  Store* const store_;
};

Store::Store(const StoreOptions& options)
    : disk_(options.disk),
      directory_(options.directory),
      fence_(std::make_shared<WriteFence>()),
      env_(rocksdb::NewCompositeEnv(NewHookedFileSystem(options.disk->shared_hook(), fence_))),
      resources_(options.resources),
      sync_log_(options.sync_log),
      filter_(std::make_unique<ExpiryFilter>(options.clock)),
      listener_(std::make_shared<Listener>(this)) {}

Store::~Store() {
  if (db_ != nullptr) db_->Close().PermitUncheckedError();
}

rocksdb::Options Store::RocksDbOptions(bool create) {
  rocksdb::Options options;
  options.create_if_missing = create;
  options.env = env_.get();
  options.listeners.push_back(listener_);
  options.compaction_filter = filter_.get();

  rocksdb::BlockBasedTableOptions table;
  table.block_cache = resources_->block_cache;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  // Reads are by key: a hash in each block finds the few entries among which it is, without a
  // binary search. Each of them is likely to be a cache miss, so they are few.
  table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
  table.block_restart_interval = 4;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));

  // The cluster flushes by the sum over all stores; RocksDB's own limits are the backstop.
  options.write_buffer_manager = resources_->memtables;
  options.write_buffer_size = resources_->memtable_bytes;
  // Large enough that the heap is not asked often, small beside each of a hundred stores' share.
  options.arena_block_size =
      std::clamp(resources_->memtable_bytes / 512, kMinArenaBlockBytes, kMaxArenaBlockBytes);
  options.max_write_buffer_number = 4;
  // One thread at a time applies.
  options.allow_concurrent_memtable_write = false;
  // A slot is a prefix, and a memtable of small lists, one for each few slots, takes a key much
  // faster than one large list; reads and scans stay within a slot.
  options.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(kSlotBytes));
  options.memtable_factory.reset(rocksdb::NewHashSkipListRepFactory(kMemtableBuckets));
  // The log brings back what is not flushed.
  options.avoid_flush_during_shutdown = true;

  // What tables take is written as they grow: a sync of many megabytes at their end would keep the
  // logs and the topology from the disk.
  options.bytes_per_sync = size_t{512} << 10;

  // Many stores live in one process: no disk, thread or file of each for housekeeping.
  options.manifest_preallocation_size = size_t{64} << 10;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.skip_stats_update_on_db_open = true;
  options.info_log = NewRocksDbLogger(resources_->logger, directory_);
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.keep_log_file_num = 2;
  options.max_log_file_size = size_t{1} << 20;
  return options;
}

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const StoreOptions& options) {
  std::unique_ptr<Store> store(new Store(options));
  // It keeps tables from being freed. If it stays, that is a matter of space only.
  StoreSnapshot::DeleteDebris(*options.disk, SnapshotDirectory(options.directory)).IgnoreError();
  const bool missing = !options.disk->Exists(JoinPath(options.directory, "CURRENT"));
  if (missing && !options.create) {
    return absl::DataLossError(absl::StrCat(options.directory, ": the store is missing"));
  }
  if (missing) {
    // RocksDB refuses to begin among the remains of another store.
    if (absl::Status status = options.disk->DeleteTree(options.directory); !status.ok()) {
      return status;
    }
    if (absl::Status status = options.disk->MakeDirectory(options.directory); !status.ok()) {
      return status;
    }
  }
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::Open(store->RocksDbOptions(options.create), options.directory, &db);
  if (!status.ok()) {
    absl::Status error = FromRocksDb(status, absl::StrCat("store ", options.directory));
    // A file that others name is gone.
    return absl::IsNotFound(error) ? absl::DataLossError(error.message()) : error;
  }
  store->db_.reset(db);
  return store;
}

absl::Status Store::Get(uint16_t slot, std::string_view key, uint64_t now_ms, ValueHeader* header,
                        std::string* payload) const {
  *header = ValueHeader();
  const StoreKey store_key(slot, key);
  rocksdb::PinnableSlice value;
  const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), db_->DefaultColumnFamily(),
                                          ToSlice(store_key.view()), &value);
  return Found(slot, status, value, now_ms, header, payload);
}

// Of a reading of files that the store must have.
absl::Status Store::Checked(const rocksdb::Status& status) const {
  return status.ok() ? absl::OkStatus() : damage_.Pass(StoreStatus(status, directory_));
}

// Not noted as damage of files: whatever wrote the value wrote it on every copy.
absl::Status Store::BadValue(uint16_t slot) const {
  return absl::DataLossError(
      absl::StrCat(directory_, ": the value of a key in slot ", slot, " has no sound header"));
}

// What a lookup that ended with `status` and `value` has found.
absl::Status Store::Found(uint16_t slot, const rocksdb::Status& status,
                          const rocksdb::PinnableSlice& value, uint64_t now_ms, ValueHeader* header,
                          std::string* payload) const {
  if (status.IsNotFound()) return absl::Status(absl::StatusCode::kNotFound, "");
  if (!status.ok()) return Checked(status);
  const std::optional<ValueHeader> decoded = DecodeValueHeader(ToView(value));
  if (!decoded.has_value()) return BadValue(slot);
  *header = *decoded;
  if (header->ExpiredAt(now_ms)) return absl::Status(absl::StatusCode::kNotFound, "");
  if (payload == nullptr) return absl::OkStatus();
  const std::string_view stored = PayloadOf(ToView(value));
  payload->assign(stored.data(), stored.size());
  return absl::OkStatus();
}

void Store::MultiGet(absl::Span<Lookup> lookups, uint64_t now_ms) const {
  absl::FixedArray<rocksdb::Slice, 64> keys(lookups.size());
  absl::FixedArray<rocksdb::PinnableSlice, 64> values(lookups.size());
  absl::FixedArray<rocksdb::Status, 64> statuses(lookups.size());
  for (size_t i = 0; i < lookups.size(); ++i) keys[i] = ToSlice(lookups[i].store_key);
  db_->MultiGet(rocksdb::ReadOptions(), db_->DefaultColumnFamily(), lookups.size(), keys.data(),
                values.data(), statuses.data(), /*sorted_input=*/true);
  for (size_t i = 0; i < lookups.size(); ++i) {
    Lookup& lookup = lookups[i];
    lookup.header = ValueHeader();
    lookup.status = Found(SlotOf(lookup.store_key), statuses[i], values[i], now_ms, &lookup.header,
                          lookup.payload);
  }
}

absl::Status Store::Batch::Add(std::string_view payload) {
  EffectReader reader(payload);
  Effect effect;
  while (reader.Next(&effect)) {
    absl::Status status;
    switch (effect.kind) {
      case Effect::kPut:
        status = Put(effect.store_key, effect.store_value);
        break;
      case Effect::kDelete:
        status = Delete(effect.store_key);
        break;
      case Effect::kClear:
        status = Clear(ClearedSlots(effect.store_key).first, ClearedSlots(effect.store_key).last);
        break;
    }
    if (!status.ok()) return status;
  }
  if (reader.ok()) return absl::OkStatus();
  return absl::DataLossError("a log record's effects cannot be read");
}

absl::Status Store::Batch::Put(std::string_view store_key, std::string_view store_value) {
  const rocksdb::Status status = batch_.Put(ToSlice(store_key), ToSlice(store_value));
  return status.ok() ? absl::OkStatus() : FromRocksDb(status, "write batch");
}

absl::Status Store::Batch::Delete(std::string_view store_key) {
  const rocksdb::Status status = batch_.Delete(ToSlice(store_key));
  return status.ok() ? absl::OkStatus() : FromRocksDb(status, "write batch");
}

absl::Status Store::Batch::Clear(uint16_t first, uint16_t last) {
  const StoreKey begin(first, "");
  const StoreKey end(static_cast<uint16_t>(last + 1), "");
  const rocksdb::Status status = batch_.DeleteRange(ToSlice(begin.view()), ToSlice(end.view()));
  return status.ok() ? absl::OkStatus() : FromRocksDb(status, "write batch");
}

void Store::Batch::NoteProgress(LogIndex index) {
  batch_.Put(ProgressNoteKey(ProgressNote::kApplied), EncodeProgressNote(index))
      .PermitUncheckedError();
}

absl::Status Store::Apply(Batch* batch, bool may_wait) {
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  options.no_slowdown = !may_wait;
  const rocksdb::Status status = db_->Write(options, &batch->batch_);
  if (!status.ok()) return StoreStatus(status, directory_);
  const bool large = batch->bytes() > kMaxIdleBatchBytes;
  batch->batch_.Clear();
  if (large) batch->batch_ = rocksdb::WriteBatch();
  return absl::OkStatus();
}

Store::Reader::Reader(const Store* store, bool fill_cache)
    : store_(store), it_([this, store, fill_cache] {
        rocksdb::ReadOptions options;
        // Ends the slot; and no seek goes on over range tombstones through the slots behind.
        options.iterate_upper_bound = &upper_;
        options.fill_cache = fill_cache;
        return store->db_->NewIterator(options);
      }()) {}

void Store::Reader::Seek(uint16_t slot, std::string_view from) {
  slot_ = slot;
  StoreSlot(upper_bytes_, static_cast<uint16_t>(slot + 1));
  it_->Seek(ToSlice(StoreKey(slot, from).view()));
  Load();
}

void Store::Reader::Next() {
  it_->Next();
  Load();
}

void Store::Reader::Load() {
  valid_ = status_.ok() && it_->Valid();
  if (!valid_) {
    if (status_.ok()) status_ = store_->Checked(it_->status());
    return;
  }
  const std::string_view value = ToView(it_->value());
  const std::optional<ValueHeader> header = DecodeValueHeader(value);
  if (!header.has_value()) {
    status_ = store_->BadValue(slot_);
    valid_ = false;
    return;
  }
  key_ = UserKeyOf(ToView(it_->key()));
  header_ = *header;
  payload_ = PayloadOf(value);
}

std::unique_ptr<Store::Reader> Store::NewReader() const {
  return std::unique_ptr<Reader>(new Reader(this, /*fill_cache=*/false));
}

absl::Status Store::VisitSlot(
    uint16_t slot,
    absl::FunctionRef<bool(std::string_view, const ValueHeader&, std::string_view)> visit) const {
  Reader reader(this, /*fill_cache=*/false);
  for (reader.Seek(slot, ""); reader.Valid(); reader.Next()) {
    if (!visit(reader.key(), reader.header(), reader.payload())) break;
  }
  return reader.status();
}

absl::StatusOr<LogIndex> Store::PersistedProgress() const {
  rocksdb::ReadOptions options;
  options.read_tier = rocksdb::kPersistedTier;
  absl::StatusOr<LogIndex> progress = ReadProgressNotes(db_.get(), options, directory_);
  damage_.Pass(progress.status()).IgnoreError();
  return progress;
}

absl::Status Store::NoteFlushed(LogIndex applied) {
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  return StoreStatus(
      db_->Put(options, ProgressNoteKey(ProgressNote::kFlushed), EncodeProgressNote(applied)),
      directory_);
}

absl::Status Store::Flush(bool wait) {
  rocksdb::FlushOptions options;
  options.wait = wait;
  options.allow_write_stall = true;
  return StoreStatus(db_->Flush(options), directory_);
}

absl::StatusOr<std::unique_ptr<StoreSnapshot>> Store::Snapshot() const {
  return StoreSnapshot::Create(disk_, db_.get(), SnapshotDirectory(directory_), &has_snapshot_);
}

bool Store::stalled() const {
  if (!stalled_.load(std::memory_order_acquire)) return false;
  uint64_t stopped = 0, delayed_rate = 0;
  db_->GetIntProperty(rocksdb::DB::Properties::kIsWriteStopped, &stopped);
  db_->GetIntProperty(rocksdb::DB::Properties::kActualDelayedWriteRate, &delayed_rate);
  return stopped != 0 || delayed_rate != 0;
}

absl::Status Store::WriteError() const {
  if (failed_.load(std::memory_order_acquire)) {
    if (absl::Status damage = damage_.Get(); !damage.ok()) return damage;
    return absl::UnavailableError(absl::StrCat(directory_, ": the store has failed"));
  }
  if (disk_full_.load(std::memory_order_acquire) != 0) {
    return absl::ResourceExhaustedError(absl::StrCat(directory_, ": the disk is full"));
  }
  return absl::OkStatus();
}

void Store::TryResume() {
  uint64_t error = disk_full_.load(std::memory_order_acquire);
  if (error == 0 || !db_->Resume().ok()) return;
  // Unless it has filled up again meanwhile.
  disk_full_.compare_exchange_strong(error, 0, std::memory_order_acq_rel);
}

size_t Store::memtable_bytes() const {
  uint64_t bytes = 0;
  db_->GetIntProperty(rocksdb::DB::Properties::kCurSizeActiveMemTable, &bytes);
  return bytes;
}

uint64_t Store::table_bytes() const {
  uint64_t bytes = 0;
  db_->GetIntProperty(rocksdb::DB::Properties::kTotalSstFilesSize, &bytes);
  return bytes;
}

uint64_t Store::estimated_keys() const {
  uint64_t keys = 0;
  db_->GetIntProperty(rocksdb::DB::Properties::kEstimateNumKeys, &keys);
  return keys;
}

absl::Status Store::ApproximateSlotBytes(uint16_t first, absl::Span<uint64_t> bytes) const {
  // One more than there are slots: each ends where the next begins.
  std::string bounds;
  for (size_t i = 0; i <= bytes.size(); ++i) AppendSlot(static_cast<uint16_t>(first + i), &bounds);
  std::vector<rocksdb::Range> ranges;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char* const begin = bounds.data() + i * kSlotBytes;
    ranges.emplace_back(rocksdb::Slice(begin, kSlotBytes),
                        rocksdb::Slice(begin + kSlotBytes, kSlotBytes));
  }
  rocksdb::SizeApproximationOptions options;
  options.include_files = true;
  options.include_memtables = false;  // ours cannot tell
  return Checked(db_->GetApproximateSizes(options, db_->DefaultColumnFamily(), ranges.data(),
                                          static_cast<int>(ranges.size()), bytes.data()));
}

absl::Status Store::VerifyChecksums() const { return Checked(db_->VerifyChecksum()); }

absl::Status Store::VisitAll(
    absl::FunctionRef<absl::Status(std::string_view, std::string_view)> visit) const {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  options.total_order_seek = true;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    if (absl::Status status = visit(ToView(it->key()), ToView(it->value())); !status.ok()) {
      return status;
    }
  }
  return Checked(it->status());
}

}  // namespace slotkv
