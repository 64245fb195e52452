#include "benchmarks/subjects.h"

#include <utility>

#include "rocksdb/cache.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/table.h"
#include "shard/cluster_testing.h"

namespace slotkv {
SlotkvSubject::SlotkvSubject(LogIo log_io, int replicas, Fsync fsync) {
  options_.shards = 1;
  options_.replicas_per_shard = replicas;
  options_.fsync = fsync;
  options_.log_io = log_io;
  options_.memory_bytes = kBenchmarkMemoryBytes;
  Reopen();
}

void SlotkvSubject::Reopen() {
  cluster_.reset();
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options_, directory_.path());
  Require(cluster.status());
  cluster_ = *std::move(cluster);
}

void SlotkvSubject::Set(const std::string& key, const std::string& value) {
  Require(cluster_->Set(key, value));
}

void SlotkvSubject::Get(const std::string& key, std::string* value) {
  Require(cluster_->Get(key, value));
}

void SlotkvSubject::MultiGet(const std::vector<std::string_view>& keys,
                             std::vector<std::string>* values) {
  statuses_.resize(keys.size());
  cluster_->MultiGet(keys, absl::MakeSpan(*values), absl::MakeSpan(statuses_));
  for (const absl::Status& status : statuses_) Require(status);
}

void SlotkvSubject::WriteBatch(const std::vector<std::string_view>& keys,
                               const std::string& value) {
  slotkv::WriteBatch batch;
  for (const std::string_view key : keys) batch.Set(key, value);
  Require(cluster_->Write(batch));
}

size_t SlotkvSubject::Scan(size_t page) {
  ScanOptions options;
  options.limit = page;
  options.values = true;
  size_t count = 0;
  do {
    absl::StatusOr<ScanPage> read = cluster_->Scan(options);
    Require(read.status());
    count += read->entries.size();
    options.cursor = std::move(read->cursor);
  } while (!options.cursor.empty());
  return count;
}

void SlotkvSubject::Flush() { Require(FlushStores(cluster_.get())); }

RocksDbSubject::RocksDbSubject(bool sync) {
  write_options_.sync = sync;
  options_.create_if_missing = true;
  options_.write_buffer_size = kBenchmarkMemoryBytes / 4;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kBenchmarkMemoryBytes);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  options_.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  Reopen();
}

void RocksDbSubject::Reopen() {
  db_.reset();
  rocksdb::DB* db = nullptr;
  Require(rocksdb::DB::Open(options_, directory_.path(), &db));
  db_.reset(db);
}

void RocksDbSubject::Set(const std::string& key, const std::string& value) {
  Require(db_->Put(write_options_, key, value));
}

void RocksDbSubject::Get(const std::string& key, std::string* value) {
  Require(db_->Get(rocksdb::ReadOptions(), key, value));
}

void RocksDbSubject::MultiGet(const std::vector<std::string_view>& keys,
                              std::vector<std::string>* values) {
  std::vector<rocksdb::Slice> slices;
  for (const std::string_view key : keys) slices.emplace_back(key.data(), key.size());
  std::vector<rocksdb::PinnableSlice> pinned(keys.size());
  std::vector<rocksdb::Status> statuses(keys.size());
  db_->MultiGet(rocksdb::ReadOptions(), db_->DefaultColumnFamily(), keys.size(), slices.data(),
                pinned.data(), statuses.data());
  for (size_t i = 0; i < keys.size(); ++i) {
    Require(statuses[i]);
    (*values)[i].assign(pinned[i].data(), pinned[i].size());
  }
}

void RocksDbSubject::WriteBatch(const std::vector<std::string_view>& keys,
                                const std::string& value) {
  rocksdb::WriteBatch batch;
  for (const std::string_view key : keys) batch.Put({key.data(), key.size()}, value);
  Require(db_->Write(write_options_, &batch));
}

size_t RocksDbSubject::Scan(size_t page) {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
  size_t count = 0;
  it->SeekToFirst();
  while (it->Valid()) {
    std::vector<std::pair<std::string, std::string>> entries;
    for (; it->Valid() && entries.size() < page; it->Next()) {
      entries.emplace_back(it->key().ToString(), it->value().ToString());
    }
    count += entries.size();
  }
  Require(it->status());
  return count;
}

void RocksDbSubject::Flush() { Require(db_->Flush(rocksdb::FlushOptions())); }

}  // namespace slotkv
