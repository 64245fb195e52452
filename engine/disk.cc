#include "engine/disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/errno_status.h"
#include "engine/hooked_file_system.h"
#include "engine/rocksdb_status.h"
#include "engine/text.h"
#include "rocksdb/file_system.h"

namespace slotkv {
namespace {

const rocksdb::IOOptions kIo;

rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }

std::string Parent(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

AppendFile::AppendFile(std::string path, std::unique_ptr<rocksdb::FSWritableFile> file)
    : path_(std::move(path)), file_(std::move(file)) {}

AppendFile::~AppendFile() = default;

absl::Status AppendFile::Append(std::string_view bytes) {
  return FromRocksDb(file_->Append(ToSlice(bytes), kIo, nullptr), path_);
}

absl::Status AppendFile::Sync() { return FromRocksDb(file_->Fsync(kIo, nullptr), path_); }

absl::Status AppendFile::Close() { return FromRocksDb(file_->Close(kIo, nullptr), path_); }

DirectoryLock::DirectoryLock(std::shared_ptr<rocksdb::FileSystem> files, rocksdb::FileLock* lock)
    : files_(std::move(files)), lock_(lock) {}

DirectoryLock::~DirectoryLock() { files_->UnlockFile(lock_, kIo, nullptr).PermitUncheckedError(); }

Disk::Disk(std::shared_ptr<FileHook> hook)
    : hook_(std::move(hook)), files_(NewHookedFileSystem(hook_, nullptr)) {}

Disk::~Disk() = default;

bool Disk::Exists(const std::string& path) const {
  return files_->FileExists(path, kIo, nullptr).ok();
}

absl::StatusOr<std::string> Disk::Read(const std::string& path) const {
  std::unique_ptr<rocksdb::FSSequentialFile> file;
  rocksdb::IOStatus status = files_->NewSequentialFile(path, {}, &file, nullptr);
  if (!status.ok()) return FromRocksDb(status, path);
  std::string contents;
  std::string buffer(size_t{64} << 10, '\0');
  while (true) {
    rocksdb::Slice piece;
    status = file->Read(buffer.size(), kIo, &piece, buffer.data(), nullptr);
    if (!status.ok()) return FromRocksDb(status, path);
    if (piece.empty()) return contents;
    contents.append(piece.data(), piece.size());
  }
}

absl::StatusOr<std::vector<std::string>> Disk::List(const std::string& directory) const {
  std::vector<std::string> names;
  const rocksdb::IOStatus status = files_->GetChildren(directory, kIo, &names, nullptr);
  if (!status.ok()) return FromRocksDb(status, directory);
  names.erase(std::remove_if(names.begin(), names.end(),
                             [](const std::string& name) { return name == "." || name == ".."; }),
              names.end());
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status Disk::MakeDirectory(const std::string& directory) const {
  if (files_->FileExists(directory, kIo, nullptr).ok()) {
    bool is_directory = false;
    const rocksdb::IOStatus status = files_->IsDirectory(directory, kIo, &is_directory, nullptr);
    if (!status.ok()) return FromRocksDb(status, directory);
    if (is_directory) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat(directory, ": exists and is not a directory"));
  }
  const std::string parent = Parent(directory);
  if (absl::Status status = MakeDirectory(parent); !status.ok()) return status;
  const rocksdb::IOStatus status = files_->CreateDirIfMissing(directory, kIo, nullptr);
  if (!status.ok()) return FromRocksDb(status, directory);
  return SyncDirectory(parent);
}

absl::Status Disk::SyncDirectory(const std::string& directory) const {
  std::unique_ptr<rocksdb::FSDirectory> handle;
  rocksdb::IOStatus status = files_->NewDirectory(directory, kIo, &handle, nullptr);
  if (status.ok()) status = handle->Fsync(kIo, nullptr);
  return FromRocksDb(status, directory);
}

absl::Status Disk::SyncFile(const std::string& path) const {
  if (hook_ != nullptr) {
    if (absl::Status status = hook_->Before(FileOp::kSync, path); !status.ok()) return status;
  }
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, path, "open");
  const int error = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  if (error != 0) return ErrnoStatus(error, path, "fsync");
  if (hook_ != nullptr) hook_->After(FileOp::kSync, path);
  return absl::OkStatus();
}

absl::Status Disk::Replace(const std::string& path, std::string_view contents) const {
  const std::string temporary = path + ".new";
  std::unique_ptr<rocksdb::FSWritableFile> file;
  rocksdb::IOStatus status = files_->NewWritableFile(temporary, {}, &file, nullptr);
  if (status.ok()) status = file->Append(ToSlice(contents), kIo, nullptr);
  if (status.ok()) status = file->Fsync(kIo, nullptr);
  if (status.ok()) status = file->Close(kIo, nullptr);
  if (!status.ok()) {
    // A half-written file of ours would only puzzle whoever looks; its loss is no loss.
    if (file != nullptr) files_->DeleteFile(temporary, kIo, nullptr).PermitUncheckedError();
    return FromRocksDb(status, temporary);
  }
  if (absl::Status renamed = Rename(temporary, path); !renamed.ok()) return renamed;
  return SyncDirectory(Parent(path));
}

absl::StatusOr<std::unique_ptr<AppendFile>> Disk::OpenForAppend(const std::string& path) const {
  if (!Exists(path)) return absl::NotFoundError(absl::StrCat(path, ": no such file"));
  std::unique_ptr<rocksdb::FSWritableFile> file;
  const rocksdb::IOStatus status = files_->ReopenWritableFile(path, {}, &file, nullptr);
  if (!status.ok()) return FromRocksDb(status, path);
  return std::make_unique<AppendFile>(path, std::move(file));
}

absl::Status Disk::Rename(const std::string& from, const std::string& to) const {
  return FromRocksDb(files_->RenameFile(from, to, kIo, nullptr), to);
}

absl::Status Disk::Delete(const std::string& path) const {
  if (!Exists(path)) return absl::OkStatus();
  return FromRocksDb(files_->DeleteFile(path, kIo, nullptr), path);
}

absl::Status Disk::DeleteTree(const std::string& directory) const {
  if (!Exists(directory)) return absl::OkStatus();
  absl::StatusOr<std::vector<std::string>> names = List(directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const std::string path = JoinPath(directory, name);
    bool is_directory = false;
    const rocksdb::IOStatus status = files_->IsDirectory(path, kIo, &is_directory, nullptr);
    if (!status.ok()) return FromRocksDb(status, path);
    if (absl::Status s = is_directory ? DeleteTree(path) : Delete(path); !s.ok()) return s;
  }
  return FromRocksDb(files_->DeleteDir(directory, kIo, nullptr), directory);
}

absl::Status Disk::DeleteIfEmpty(const std::string& directory) const {
  const absl::StatusOr<std::vector<std::string>> names = List(directory);
  if (absl::IsNotFound(names.status())) return absl::OkStatus();
  if (!names.ok() || !names->empty()) return names.status();
  return FromRocksDb(files_->DeleteDir(directory, kIo, nullptr), directory);
}

absl::StatusOr<std::unique_ptr<DirectoryLock>> Disk::Lock(const std::string& path) const {
  rocksdb::FileLock* lock = nullptr;
  const rocksdb::IOStatus status = files_->LockFile(path, kIo, &lock, nullptr);
  if (!status.ok()) return FromRocksDb(status, path);
  return std::make_unique<DirectoryLock>(files_, lock);
}

std::string JoinPath(std::string_view directory, std::string_view name) {
  return absl::StrCat(ToAbsl(directory), "/", ToAbsl(name));
}

}  // namespace slotkv
