// A store as of one moment, to be copied to another disk while the store itself goes on.
//
// A snapshot is a RocksDB checkpoint in a directory beside the store: its tables are links to the
// store's, which RocksDB never changes, so that it costs no space but for tables that the store
// deletes meanwhile. Copies are made of its bytes, never by a link: two copies of a shard must not
// share an inode. What a crash leaves of a snapshot the next one, or the next Store::Open, deletes.
#ifndef SLOTKV_ENGINE_STORE_SNAPSHOT_H_
#define SLOTKV_ENGINE_STORE_SNAPSHOT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/disk.h"
#include "engine/ids.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"

namespace slotkv {

// Called with the bytes copied so far, of so many in all, after each piece of at most a mebibyte;
// a status other than ok ends the copying with it.
using CopyProgress = absl::FunctionRef<absl::Status(uint64_t bytes_done, uint64_t bytes_total)>;

class StoreSnapshot {
 public:
  // Of what `db` has in its tables now; what is in memory is left out. `directory` is where, on
  // `disk` and on the file system of the store; what is there is deleted. `in_use` keeps snapshots
  // of one store apart: Unavailable while there is another. DataLoss if the store's files are found
  // damaged. All pointers must outlive the snapshot.
  static absl::StatusOr<std::unique_ptr<StoreSnapshot>> Create(const Disk* disk, rocksdb::DB* db,
                                                               const std::string& directory,
                                                               std::atomic<bool>* in_use);
  // Deletes the directory.
  ~StoreSnapshot();
  StoreSnapshot(const StoreSnapshot&) = delete;
  StoreSnapshot& operator=(const StoreSnapshot&) = delete;

  // Deletes what a crash has left of a snapshot in `directory`.
  static absl::Status DeleteDebris(const Disk& disk, const std::string& directory);

  // The lower bound of the records that it has (engine/store.h, invariant 3).
  LogIndex progress() const { return progress_; }

  // Copies all files into `directory` on `target`, which must not exist, durably. Errors name the
  // file at fault on the disk at fault. DataLoss if one of the snapshot's tables fails its
  // checksums; Unavailable if the target does not read back what was written; ResourceExhausted if
  // its disk is full. After an error some files may be there. Takes about two mebibytes of memory
  // and the index of one table.
  absl::Status CopyTo(const Disk& target, const std::string& directory,
                      CopyProgress progress) const;

 private:
  class FileCopy;

  StoreSnapshot(const Disk* disk, rocksdb::DB* db, std::string directory,
                std::atomic<bool>* in_use);
  absl::Status Link(rocksdb::DB* db);
  absl::Status ReadProgress();

  const Disk* const disk_;
  const std::string directory_;
  const rocksdb::Options read_options_;  // to read the snapshot with
  std::atomic<bool>* const in_use_;
  LogIndex progress_;
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_STORE_SNAPSHOT_H_
