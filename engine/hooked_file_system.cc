#include "engine/hooked_file_system.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "engine/rocksdb_status.h"

namespace slotkv {

using rocksdb::FileOptions;
using rocksdb::FSDirectory;
using rocksdb::FSRandomAccessFile;
using rocksdb::FSReadRequest;
using rocksdb::FSSequentialFile;
using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

namespace {

bool Writes(FileOp op) {
  return op != FileOp::kOpen && op != FileOp::kRead && op != FileOp::kList && op != FileOp::kLock;
}

}  // namespace

IOStatus FileGate::Before(FileOp op, const std::string& path) const {
  if (fence_ != nullptr && fence_->raised() && Writes(op)) {
    return IOStatus::IOError(path, "refused: this copy's log could not be made durable");
  }
  if (hook_ == nullptr) return IOStatus::OK();
  return ToIoStatus(hook_->Before(op, path));
}

template <typename Operation>
IOStatus FileGate::Pass(FileOp op, const std::string& path, const Operation& operation) const {
  IOStatus status = Before(op, path);
  if (!status.ok()) return status;
  status = operation();
  if (status.ok() && hook_ != nullptr) hook_->After(op, path);
  return status;
}

namespace {

using Gate = std::shared_ptr<const FileGate>;

class HookedSequentialFile final : public rocksdb::FSSequentialFileOwnerWrapper {
 public:
  HookedSequentialFile(Gate gate, std::string path, std::unique_ptr<FSSequentialFile>&& file)
      : FSSequentialFileOwnerWrapper(std::move(file)),
        gate_(std::move(gate)),
        path_(std::move(path)) {}

  IOStatus Read(size_t size, const IOOptions& options, Slice* result, char* scratch,
                IODebugContext* debug) override {
    return gate_->Pass(FileOp::kRead, path_,
                       [&] { return target()->Read(size, options, result, scratch, debug); });
  }

 private:
  const Gate gate_;
  const std::string path_;
};

class HookedRandomAccessFile final : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  HookedRandomAccessFile(Gate gate, std::string path, std::unique_ptr<FSRandomAccessFile>&& file)
      : FSRandomAccessFileOwnerWrapper(std::move(file)),
        gate_(std::move(gate)),
        path_(std::move(path)) {}

  IOStatus Read(uint64_t offset, size_t size, const IOOptions& options, Slice* result,
                char* scratch, IODebugContext* debug) const override {
    return gate_->Pass(FileOp::kRead, path_, [&] {
      return target()->Read(offset, size, options, result, scratch, debug);
    });
  }

  IOStatus MultiRead(FSReadRequest* requests, size_t count, const IOOptions& options,
                     IODebugContext* debug) override {
    return gate_->Pass(FileOp::kRead, path_,
                       [&] { return target()->MultiRead(requests, count, options, debug); });
  }

 private:
  const Gate gate_;
  const std::string path_;
};

class HookedWritableFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  HookedWritableFile(Gate gate, std::string path, std::unique_ptr<FSWritableFile>&& file)
      : FSWritableFileOwnerWrapper(std::move(file)),
        gate_(std::move(gate)),
        path_(std::move(path)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    return gate_->Pass(FileOp::kWrite, path_,
                       [&] { return target()->Append(data, options, debug); });
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& verification,
                  IODebugContext* debug) override {
    return gate_->Pass(FileOp::kWrite, path_,
                       [&] { return target()->Append(data, options, verification, debug); });
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return gate_->Pass(FileOp::kSync, path_, [&] { return target()->Sync(options, debug); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return gate_->Pass(FileOp::kSync, path_, [&] { return target()->Fsync(options, debug); });
  }

 private:
  const Gate gate_;
  const std::string path_;
};

class HookedDirectory final : public rocksdb::FSDirectoryWrapper {
 public:
  HookedDirectory(Gate gate, std::string path, std::unique_ptr<FSDirectory>&& directory)
      : FSDirectoryWrapper(std::move(directory)), gate_(std::move(gate)), path_(std::move(path)) {}

  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return gate_->Pass(FileOp::kSyncDirectory, path_,
                       [&] { return FSDirectoryWrapper::Fsync(options, debug); });
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& dir_options) override {
    return gate_->Pass(FileOp::kSyncDirectory, path_, [&] {
      return FSDirectoryWrapper::FsyncWithDirOptions(options, debug, dir_options);
    });
  }

 private:
  const Gate gate_;
  const std::string path_;
};

class HookedFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  explicit HookedFileSystem(Gate gate)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), gate_(std::move(gate)) {}

  const char* Name() const override { return "slotkv"; }

  IOStatus NewSequentialFile(const std::string& path, const FileOptions& options,
                             std::unique_ptr<FSSequentialFile>* file,
                             IODebugContext* debug) override {
    return Wrap<HookedSequentialFile>(FileOp::kOpen, path, file, [&] {
      return target()->NewSequentialFile(path, options, file, debug);
    });
  }

  IOStatus NewRandomAccessFile(const std::string& path, const FileOptions& options,
                               std::unique_ptr<FSRandomAccessFile>* file,
                               IODebugContext* debug) override {
    return Wrap<HookedRandomAccessFile>(FileOp::kOpen, path, file, [&] {
      return target()->NewRandomAccessFile(path, options, file, debug);
    });
  }

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<FSWritableFile>* file, IODebugContext* debug) override {
    return Wrap<HookedWritableFile>(FileOp::kCreate, path, file, [&] {
      IOStatus status = target()->NewWritableFile(path, options, file, debug);
      return status.ok() ? MakePrivate(path) : status;
    });
  }

  IOStatus ReopenWritableFile(const std::string& path, const FileOptions& options,
                              std::unique_ptr<FSWritableFile>* file,
                              IODebugContext* debug) override {
    return Wrap<HookedWritableFile>(FileOp::kCreate, path, file, [&] {
      return target()->ReopenWritableFile(path, options, file, debug);
    });
  }

  IOStatus NewDirectory(const std::string& path, const IOOptions& options,
                        std::unique_ptr<FSDirectory>* directory, IODebugContext* debug) override {
    return Wrap<HookedDirectory>(FileOp::kOpen, path, directory, [&] {
      return target()->NewDirectory(path, options, directory, debug);
    });
  }

  IOStatus GetChildren(const std::string& path, const IOOptions& options,
                       std::vector<std::string>* names, IODebugContext* debug) override {
    return gate_->Pass(FileOp::kList, path,
                       [&] { return target()->GetChildren(path, options, names, debug); });
  }

  IOStatus DeleteFile(const std::string& path, const IOOptions& options,
                      IODebugContext* debug) override {
    return gate_->Pass(FileOp::kDelete, path,
                       [&] { return target()->DeleteFile(path, options, debug); });
  }

  IOStatus DeleteDir(const std::string& path, const IOOptions& options,
                     IODebugContext* debug) override {
    return gate_->Pass(FileOp::kDelete, path,
                       [&] { return target()->DeleteDir(path, options, debug); });
  }

  IOStatus CreateDir(const std::string& path, const IOOptions&, IODebugContext*) override {
    return MakePrivateDirectory(path, /*may_exist=*/false);
  }

  IOStatus CreateDirIfMissing(const std::string& path, const IOOptions&, IODebugContext*) override {
    return MakePrivateDirectory(path, /*may_exist=*/true);
  }

  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* debug) override {
    if (absl::EndsWith(to, "/CURRENT")) {
      // The MANIFEST that it names must not be lost to a power failure that it survives.
      IOStatus status = SyncDirectoryOf(to, options, debug);
      if (!status.ok()) return status;
    }
    return gate_->Pass(FileOp::kRename, to,
                       [&] { return target()->RenameFile(from, to, options, debug); });
  }

  IOStatus LockFile(const std::string& path, const IOOptions& options, rocksdb::FileLock** lock,
                    IODebugContext* debug) override {
    return gate_->Pass(FileOp::kLock, path, [&] {
      IOStatus status = target()->LockFile(path, options, lock, debug);
      return status.ok() ? MakePrivate(path) : status;
    });
  }

  IOStatus NewLogger(const std::string& path, const IOOptions& options,
                     std::shared_ptr<rocksdb::Logger>* logger, IODebugContext* debug) override {
    IOStatus status = target()->NewLogger(path, options, logger, debug);
    return status.ok() ? MakePrivate(path) : status;
  }

 private:
  // Opens with `open`, then puts a `Wrapper` around what it left in `*file`.
  template <typename Wrapper, typename File, typename Open>
  IOStatus Wrap(FileOp op, const std::string& path, std::unique_ptr<File>* file, const Open& open) {
    IOStatus status = gate_->Pass(op, path, open);
    if (status.ok()) *file = std::make_unique<Wrapper>(gate_, path, std::move(*file));
    return status;
  }

  IOStatus SyncDirectoryOf(const std::string& file, const IOOptions& options,
                           IODebugContext* debug) {
    std::unique_ptr<FSDirectory> directory;
    IOStatus status = NewDirectory(file.substr(0, file.rfind('/')), options, &directory, debug);
    return status.ok() ? directory->Fsync(options, debug) : status;
  }

  static IOStatus MakePrivate(const std::string& path) {
    if (chmod(path.c_str(), 0600) == 0) return IOStatus::OK();
    return IOStatus::IOError(path, std::strerror(errno));
  }

  IOStatus MakePrivateDirectory(const std::string& path, bool may_exist) {
    struct stat info;
    if (may_exist && stat(path.c_str(), &info) == 0) {
      if (S_ISDIR(info.st_mode)) return IOStatus::OK();
      return IOStatus::IOError(path, "exists and is not a directory");
    }
    return gate_->Pass(FileOp::kMakeDirectory, path, [&] {
      if (mkdir(path.c_str(), 0700) == 0) return IOStatus::OK();
      const int error = errno;
      if (error == ENOSPC) return IOStatus::NoSpace(path, std::strerror(error));
      return IOStatus::IOError(path, std::strerror(error));
    });
  }

  const Gate gate_;
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> NewHookedFileSystem(std::shared_ptr<FileHook> hook,
                                                         std::shared_ptr<const WriteFence> fence) {
  return std::make_shared<HookedFileSystem>(
      std::make_shared<const FileGate>(std::move(hook), std::move(fence)));
}

}  // namespace slotkv
