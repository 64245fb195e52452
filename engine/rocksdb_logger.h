// RocksDB's own warnings and errors, on their way to the service's log.
#ifndef SLOTKV_ENGINE_ROCKSDB_LOGGER_H_
#define SLOTKV_ENGINE_ROCKSDB_LOGGER_H_

#include <memory>
#include <string>

#include "engine/logger.h"
#include "rocksdb/env.h"

namespace slotkv {

// Each line begins with `name`, the store's. Null if `logger` is.
std::shared_ptr<rocksdb::Logger> NewRocksDbLogger(std::shared_ptr<Logger> logger, std::string name);

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_ROCKSDB_LOGGER_H_
