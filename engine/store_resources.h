// What all stores of a cluster share, so that memory and threads stay bounded however many shards
// there are: one block cache, in which memtables are counted, too.
#ifndef SLOTKV_ENGINE_STORE_RESOURCES_H_
#define SLOTKV_ENGINE_STORE_RESOURCES_H_

#include <cstddef>
#include <memory>
#include <utility>

#include "engine/logger.h"
#include "rocksdb/cache.h"
#include "rocksdb/write_buffer_manager.h"

namespace slotkv {

struct StoreResources {
  // A third of `memory_bytes` is for memtables, the rest for blocks. `logger` may be null.
  explicit StoreResources(size_t memory_bytes, std::shared_ptr<Logger> logger = nullptr)
      : logger(std::move(logger)),
        memtable_bytes(memory_bytes / 3),
        block_cache(rocksdb::NewLRUCache(memory_bytes)),
        memtables(std::make_shared<rocksdb::WriteBufferManager>(memtable_bytes, block_cache)) {}

  // Blocks and memtables in memory.
  size_t memory_bytes_used() const { return block_cache->GetUsage(); }

  const std::shared_ptr<Logger> logger;
  const size_t memtable_bytes;
  const std::shared_ptr<rocksdb::Cache> block_cache;
  const std::shared_ptr<rocksdb::WriteBufferManager> memtables;
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_STORE_RESOURCES_H_
