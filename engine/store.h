// One node's store: a RocksDB database without a write-ahead log of its own.
//
// The shard's log is the write-ahead log. Invariants:
//   1. Only applied log records (and progress notes) are written here.
//   2. No table file is written before the log is synced as far as the table goes: RocksDB calls
//      us when a flush begins; if the sync fails, the fence goes up before the call returns and
//      every later write to the store's files is refused.
//   3. A progress note N in the store means: all records up to N are in the store, in the same
//      memtable or an older one. So the persisted note is a lower bound of what needs no replay.
//      Whoever applies and whoever flushes write one note each: neither ever falls.
//
// Thread-safe; records are applied by one thread at a time, in order.
#ifndef SLOTKV_ENGINE_STORE_H_
#define SLOTKV_ENGINE_STORE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/damage_note.h"
#include "engine/disk.h"
#include "engine/expiry_clock.h"
#include "engine/hooked_file_system.h"
#include "engine/ids.h"
#include "engine/store_format.h"
#include "engine/store_resources.h"
#include "engine/store_snapshot.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"

namespace slotkv {

struct StoreOptions {
  const Disk* disk = nullptr;
  const StoreResources* resources = nullptr;
  ExpiryClock* clock = nullptr;
  std::string directory;
  bool create = false;
  // Makes the log durable as far as it has been appended. Called on RocksDB's threads.
  std::function<absl::Status()> sync_log;
};

class Store {
 public:
  // The pointers in `options` must outlive the store. Damage is DataLoss, a missing store (unless
  // `create`) too.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const StoreOptions& options);
  // Does not flush: what is in memory only comes back from the log.
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Header and payload (unless null) of a key that has not expired at `now_ms`. Otherwise NotFound
  // without text, and `*payload` is as it was; header->expiry_ms is above 0 then if the key is
  // there but has expired.
  absl::Status Get(uint16_t slot, std::string_view key, uint64_t now_ms, ValueHeader* header,
                   std::string* payload) const;

  // One key of a MultiGet and what was found.
  struct Lookup {
    std::string_view store_key;  // as the store knows it
    // As Get's.
    absl::Status status;
    ValueHeader header;
    std::string* payload = nullptr;  // may be null
  };
  // Reads all of them as of one moment. `lookups` ascend by key.
  void MultiGet(absl::Span<Lookup> lookups, uint64_t now_ms) const;

  // The effects of consecutive records, gathered and then applied at once.
  class Batch {
   public:
    // DataLoss if `payload` is not made of effects; the batch must not be applied then.
    absl::Status Add(std::string_view payload);
    // One effect. Both are as the store knows them.
    absl::Status Put(std::string_view store_key, std::string_view store_value);
    absl::Status Delete(std::string_view store_key);
    // Deletes every key of the slots from `first` to `last`.
    absl::Status Clear(uint16_t first, uint16_t last);
    // By the thread that applies records: at most the last of them.
    void NoteProgress(LogIndex index);
    size_t bytes() const { return batch_.GetDataSize(); }
    bool empty() const { return batch_.Count() == 0; }

   private:
    friend class Store;
    rocksdb::WriteBatch batch_;
  };

  // Applies and empties the batch. While RocksDB stalls writes it waits, or is ResourceExhausted.
  absl::Status Apply(Batch* batch, bool may_wait = true);

  // Reads slots in bytewise order of their keys, expired ones included, all as of the moment at
  // which it was made. Must not outlive the store.
  class Reader {
   public:
    // Goes to the first key of `slot` that is not below `from`. Slots must not descend.
    void Seek(uint16_t slot, std::string_view from);
    void Next();
    // False at the slot's end, and upon an error.
    bool Valid() const { return valid_; }
    // Of the key it stands at; the views hold until it moves.
    std::string_view key() const { return key_; }
    const ValueHeader& header() const { return header_; }
    std::string_view payload() const { return payload_; }
    const absl::Status& status() const { return status_; }

   private:
    friend class Store;
    Reader(const Store* store, bool fill_cache);
    void Load();

    const Store* const store_;
    // The end of the slot that is read. RocksDB looks at it with each Seek.
    char upper_bytes_[kSlotBytes] = {};
    const rocksdb::Slice upper_{upper_bytes_, kSlotBytes};
    const std::unique_ptr<rocksdb::Iterator> it_;
    uint16_t slot_ = 0;
    bool valid_ = false;
    std::string_view key_;
    ValueHeader header_;
    std::string_view payload_;
    absl::Status status_;
  };
  std::unique_ptr<Reader> NewReader() const;

  // Calls `visit(user key, header, payload)` for the keys of `slot` in bytewise order, expired
  // ones included, as of one moment, until it returns false.
  absl::Status VisitSlot(
      uint16_t slot,
      absl::FunctionRef<bool(std::string_view, const ValueHeader&, std::string_view)> visit) const;

  // The lower bound of what the store has durably (invariant 3); 0: nothing.
  absl::StatusOr<LogIndex> PersistedProgress() const;

  // Before a flush: notes that all records up to `applied` are in the store. The note never falls.
  absl::Status NoteFlushed(LogIndex applied);
  // Starts a flush of what is in memory; `wait`: until it is done.
  absl::Status Flush(bool wait);

  // What is in tables now, to be copied elsewhere (engine/store_snapshot.h). One at a time, which
  // must not outlive the store; Unavailable while there is another.
  absl::StatusOr<std::unique_ptr<StoreSnapshot>> Snapshot() const;

  // RocksDB would delay or stop a write now.
  bool stalled() const;
  // Why writes would fail now: ResourceExhausted while the disk is full (see TryResume), else for
  // good; DataLoss: the files are damaged. Ok: they would not.
  absl::Status WriteError() const;
  // After a full disk: asks RocksDB to go on.
  void TryResume();

  // Where whatever reads the files, here or behind RocksDB's back, notes that they are damaged.
  DamageNote& damage() const { return damage_; }

  size_t memtable_bytes() const;
  // Of all table files.
  uint64_t table_bytes() const;
  // About how many keys there are, by RocksDB's own counts.
  uint64_t estimated_keys() const;
  // About how many bytes the keys of each slot from `first` on take in tables.
  absl::Status ApproximateSlotBytes(uint16_t first, absl::Span<uint64_t> bytes) const;
  // Reads all table files and checks their checksums.
  absl::Status VerifyChecksums() const;
  // Calls `visit(store key, store value)` for every entry, metadata included; stops at the first
  // error.
  absl::Status VisitAll(
      absl::FunctionRef<absl::Status(std::string_view, std::string_view)> visit) const;

 private:
  class Listener;
  class ExpiryFilter;

  explicit Store(const StoreOptions& options);
  absl::Status Checked(const rocksdb::Status& status) const;
  absl::Status BadValue(uint16_t slot) const;
  absl::Status Found(uint16_t slot, const rocksdb::Status& status,
                     const rocksdb::PinnableSlice& value, uint64_t now_ms, ValueHeader* header,
                     std::string* payload) const;
  rocksdb::Options RocksDbOptions(bool create);

  const Disk* const disk_;
  const std::string directory_;
  const std::shared_ptr<WriteFence> fence_;
  const std::unique_ptr<rocksdb::Env> env_;
  const StoreResources* const resources_;
  const std::function<absl::Status()> sync_log_;
  const std::unique_ptr<ExpiryFilter> filter_;
  const std::shared_ptr<Listener> listener_;

  // Set when RocksDB says so. Its word may come late or out of order, so stalled() asks again.
  mutable std::atomic<bool> stalled_{false};
  // The number of the disk-full error that stands; 0: none.
  std::atomic<uint64_t> disk_full_{0};
  std::atomic<uint64_t> disk_full_errors_{0};
  std::atomic<bool> failed_{false};
  mutable std::atomic<bool> has_snapshot_{false};
  mutable DamageNote damage_;

  // Last, so that it is closed while all above still stands.
  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_STORE_H_
