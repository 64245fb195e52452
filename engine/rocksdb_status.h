// Translation between RocksDB's statuses and ours.
#ifndef SLOTKV_ENGINE_ROCKSDB_STATUS_H_
#define SLOTKV_ENGINE_ROCKSDB_STATUS_H_

#include <string_view>

#include "absl/status/status.h"
#include "rocksdb/io_status.h"
#include "rocksdb/status.h"

namespace slotkv {

// `context` (a path, or "store PATH") stands before RocksDB's own text. NotFound and full disks
// keep their meaning, damage is DataLoss, everything else Unavailable.
absl::Status FromRocksDb(const rocksdb::Status& status, std::string_view context);

// The same for an operation on a whole store, or on a file that it must have: that something is
// missing is damage there, hence DataLoss.
absl::Status StoreStatus(const rocksdb::Status& status, std::string_view directory);

// What a FileHook answered, as RocksDB is to see it.
rocksdb::IOStatus ToIoStatus(const absl::Status& status);

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_ROCKSDB_STATUS_H_
