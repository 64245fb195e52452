// The seam through which a test sees, fails or delays every file operation.
#ifndef SLOTKV_ENGINE_FILE_HOOK_H_
#define SLOTKV_ENGINE_FILE_HOOK_H_

#include <string>

#include "absl/status/status.h"

namespace slotkv {

enum class FileOp {
  kOpen,           // an existing file is opened for reading
  kCreate,         // a file is created, or opened for appending
  kRead,           // bytes are read
  kWrite,          // bytes are written
  kReserve,        // space is reserved
  kSync,           // a file is made durable
  kSyncDirectory,  // a directory's entries are made durable
  kMakeDirectory,
  kRename,  // the path is the new name
  kDelete,
  kList,
  kLock,
};

// Called around each operation on the thread that makes it; thread-safe. Production has none.
class FileHook {
 public:
  virtual ~FileHook() = default;

  // A status other than ok makes the operation fail with it and leaves the file alone. A hook
  // that blocks here is a disk that hangs.
  virtual absl::Status Before(FileOp op, const std::string& path) = 0;

  // The operation has succeeded.
  virtual void After(FileOp op, const std::string& path) {
    static_cast<void>(op);
    static_cast<void>(path);
  }
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_FILE_HOOK_H_
