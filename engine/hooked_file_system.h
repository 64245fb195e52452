// The file system that RocksDB sees: the machine's, with a FileHook asked around each operation,
// files private to their owner, and a fence that stops all writing for good.
#ifndef SLOTKV_ENGINE_HOOKED_FILE_SYSTEM_H_
#define SLOTKV_ENGINE_HOOKED_FILE_SYSTEM_H_

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "engine/file_hook.h"
#include "rocksdb/file_system.h"

namespace slotkv {

// Refuses every write once raised. A node raises it when its log could not be synced: a store
// must not become durable ahead of its log, and RocksDB offers no other way to stop a flush that
// has begun.
class WriteFence {
 public:
  void Raise() { raised_.store(true, std::memory_order_release); }
  bool raised() const { return raised_.load(std::memory_order_acquire); }

 private:
  std::atomic<bool> raised_{false};
};

// Asks the hook, if there is one, before and after an operation. Shared by the wrapped files.
class FileGate {
 public:
  FileGate(std::shared_ptr<FileHook> hook, std::shared_ptr<const WriteFence> fence)
      : hook_(std::move(hook)), fence_(std::move(fence)) {}

  // Runs `operation` unless the hook or the fence refuses.
  template <typename Operation>
  rocksdb::IOStatus Pass(FileOp op, const std::string& path, const Operation& operation) const;

 private:
  rocksdb::IOStatus Before(FileOp op, const std::string& path) const;

  const std::shared_ptr<FileHook> hook_;
  const std::shared_ptr<const WriteFence> fence_;
};

// Both arguments may be null.
std::shared_ptr<rocksdb::FileSystem> NewHookedFileSystem(std::shared_ptr<FileHook> hook,
                                                         std::shared_ptr<const WriteFence> fence);

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_HOOKED_FILE_SYSTEM_H_
