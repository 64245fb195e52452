#include "benchmarks/subjects.h"

#include <cstdlib>
#include <iostream>
#include <utility>

#include "rocksdb/cache.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/table.h"
#include "shard/cluster_testing.h"

namespace slotkv {
namespace {

template <typename Status>
void Require(const Status& status) {
  if (status.ok()) return;
  std::cerr << "benchmark: " << status.ToString() << std::endl;
  std::exit(1);
}

}  // namespace

SlotkvSubject::SlotkvSubject(LogIo log_io) {
  options_.shards = 1;
  options_.fsync = Fsync::kNever;
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

void SlotkvSubject::Flush() { Require(FlushStores(cluster_.get())); }

RocksDbSubject::RocksDbSubject() {
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
  Require(db_->Put(rocksdb::WriteOptions(), key, value));
}

void RocksDbSubject::Get(const std::string& key, std::string* value) {
  Require(db_->Get(rocksdb::ReadOptions(), key, value));
}

void RocksDbSubject::Flush() { Require(db_->Flush(rocksdb::FlushOptions())); }

}  // namespace slotkv
