// What is measured: slotkv through its public API, and plain RocksDB, set up alike.
//
// Both get the same block cache, memtables of the same size, the same filter and the same table
// format; RocksDB keeps its own write-ahead log, unsynced, as slotkv does under Fsync::kNever, or
// synced as under Fsync::kAlways.
#ifndef SLOTKV_BENCHMARKS_SUBJECTS_H_
#define SLOTKV_BENCHMARKS_SUBJECTS_H_

#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/workload.h"
#include "rocksdb/db.h"
#include "slotkv/cluster.h"

namespace slotkv {

// Block cache and memtables together.
inline constexpr size_t kBenchmarkMemoryBytes = size_t{512} << 20;

// Errors end the process: a benchmark has nothing to do then.
template <typename Status>
void Require(const Status& status) {
  if (status.ok()) return;
  std::cerr << "benchmark: " << status.ToString() << std::endl;
  std::exit(1);
}

// A cluster of one shard. Set may be called by several threads, as RocksDbSubject's may.
class SlotkvSubject {
 public:
  explicit SlotkvSubject(LogIo log_io = LogIo::kAuto, int replicas = 0,
                         Fsync fsync = Fsync::kNever);

  void Set(const std::string& key, const std::string& value);
  void Get(const std::string& key, std::string* value);
  // All are there; `values` is of the size of `keys`.
  void MultiGet(const std::vector<std::string_view>& keys, std::vector<std::string>* values);
  // The keys are of one slot.
  void WriteBatch(const std::vector<std::string_view>& keys, const std::string& value);
  // Copies keys and values out, `page` at a time; returns how many there were.
  size_t Scan(size_t page);
  // All data into tables, nothing in memtables.
  void Flush();
  // Closes and opens again.
  void Reopen();

 private:
  ScratchDirectory directory_;
  Options options_;
  std::unique_ptr<Cluster> cluster_;
  std::vector<absl::Status> statuses_;
};

class RocksDbSubject {
 public:
  // `sync`: each write is durable before it is over.
  explicit RocksDbSubject(bool sync = false);

  void Set(const std::string& key, const std::string& value);
  void Get(const std::string& key, std::string* value);
  // All are there; `values` is of the size of `keys`.
  void MultiGet(const std::vector<std::string_view>& keys, std::vector<std::string>* values);
  // The keys are of one slot.
  void WriteBatch(const std::vector<std::string_view>& keys, const std::string& value);
  // Copies keys and values out, `page` at a time; returns how many there were.
  size_t Scan(size_t page);
  void Flush();
  void Reopen();

 private:
  ScratchDirectory directory_;
  rocksdb::Options options_;
  rocksdb::WriteOptions write_options_;
  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace slotkv

#endif  // SLOTKV_BENCHMARKS_SUBJECTS_H_
