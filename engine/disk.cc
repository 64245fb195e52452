#include "engine/disk.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/file_io.h"
#include "engine/hooked_file_system.h"
#include "engine/rocksdb_status.h"
#include "engine/text.h"
#include "rocksdb/file_system.h"

namespace slotkv {
namespace {

const rocksdb::IOOptions kIo;

rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }

// Where the last written byte of a file is, or somewhat behind it: file systems that can tell
// reserved space from data are asked, others say that all is data.
uint64_t WrittenSize(int fd) {
  const off_t size = lseek(fd, 0, SEEK_END);
  off_t end = 0;
  for (off_t data = lseek(fd, 0, SEEK_DATA); data >= 0; data = lseek(fd, end, SEEK_DATA)) {
    end = lseek(fd, data, SEEK_HOLE);
    if (end < 0) return static_cast<uint64_t>(size);
  }
  // ENXIO: no more data behind `end`.
  return static_cast<uint64_t>(errno == ENXIO ? end : size);
}

std::string Parent(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Of a file that has no name any more. In steps: a file system gives all the space of a large file
// back in one go, tens of milliseconds during which no other file on it becomes durable.
void GiveBackSpace(int fd) {
  constexpr off_t kStep = off_t{1} << 20;
  struct stat info;
  if (fstat(fd, &info) != 0 || info.st_nlink != 0) return;
  // What fails here is given back when the file is closed.
  for (off_t size = info.st_size - kStep; size > 0 && ftruncate(fd, size) == 0;) size -= kStep;
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

DirectoryLock::DirectoryLock(int fd) : fd_(fd) {}

DirectoryLock::~DirectoryLock() {
  // Closing is not enough: a child that was forked meanwhile has the file open, too.
  flock(fd_, LOCK_UN);
  close(fd_);
}

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

absl::StatusOr<FileBytes> Disk::ReadWritten(const std::string& path, uint64_t limit) const {
  if (hook_ != nullptr) {
    if (absl::Status status = hook_->Before(FileOp::kRead, path); !status.ok()) return status;
  }
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, path, "open");
  const size_t size = static_cast<size_t>(std::min(limit, WrittenSize(fd)));
  std::unique_ptr<char[]> bytes(new char[size]);
  size_t have = 0;
  int error = 0;
  while (have < size && error == 0) {
    const ssize_t got = pread(fd, bytes.get() + have, size - have, static_cast<off_t>(have));
    if (got > 0) have += static_cast<size_t>(got);
    if (got == 0) error = EIO;  // shorter than it said
    if (got < 0 && errno != EINTR) error = errno;
  }
  close(fd);
  if (error != 0) return ErrnoStatus(error, path, "read");
  if (hook_ != nullptr) hook_->After(FileOp::kRead, path);
  return FileBytes(std::move(bytes), size);
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
    if (is_directory) return directory == "/" ? absl::OkStatus() : SyncDirectory(Parent(directory));
    return absl::FailedPreconditionError(
        absl::StrCat(directory, ": exists and is not a directory"));
  }
  const std::string parent = Parent(directory);
  if (!files_->FileExists(parent, kIo, nullptr).ok()) {
    if (absl::Status status = MakeDirectory(parent); !status.ok()) return status;
  }
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

absl::Status Disk::RewriteAndSync(const std::string& path, uint64_t size) const {
  absl::StatusOr<FileBytes> bytes = ReadWritten(path, size);
  if (!bytes.ok()) return bytes.status();
  for (const FileOp op : {FileOp::kWrite, FileOp::kSync}) {
    if (hook_ == nullptr) break;
    if (absl::Status status = hook_->Before(op, path); !status.ok()) return status;
  }
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, path, "open");
  absl::Status status = WriteFully(fd, path, 0, bytes->view());
  if (status.ok() && fsync(fd) != 0) status = ErrnoStatus(errno, path, "fsync");
  close(fd);
  if (status.ok() && hook_ != nullptr) hook_->After(FileOp::kSync, path);
  return status;
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
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  const absl::Status status = FromRocksDb(files_->DeleteFile(path, kIo, nullptr), path);
  if (fd < 0) return status;
  if (status.ok()) GiveBackSpace(fd);
  close(fd);
  return status;
}

absl::Status Disk::DeleteTree(const std::string& directory) const {
  if (!Exists(directory)) return absl::OkStatus();
  absl::StatusOr<std::vector<std::string>> names = List(directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const std::string path = JoinPath(directory, name);
    struct stat info;
    // Not stat: what a symbolic link points to is not ours to delete.
    if (lstat(path.c_str(), &info) != 0) return ErrnoStatus(errno, path, "lstat");
    absl::Status status = S_ISDIR(info.st_mode)
                              ? DeleteTree(path)
                              : FromRocksDb(files_->DeleteFile(path, kIo, nullptr), path);
    if (!status.ok()) return status;
  }
  return FromRocksDb(files_->DeleteDir(directory, kIo, nullptr), directory);
}

absl::Status Disk::DeleteIfEmpty(const std::string& directory) const {
  const absl::StatusOr<std::vector<std::string>> names = List(directory);
  if (absl::IsNotFound(names.status())) return absl::OkStatus();
  if (!names.ok() || !names->empty()) return names.status();
  return FromRocksDb(files_->DeleteDir(directory, kIo, nullptr), directory);
}

// flock, because a record lock does not keep out its own process under another name of the file,
// and goes when any descriptor of the file is closed.
absl::StatusOr<std::unique_ptr<DirectoryLock>> Disk::Lock(const std::string& path) const {
  if (hook_ != nullptr) {
    if (absl::Status status = hook_->Before(FileOp::kLock, path); !status.ok()) return status;
  }
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoStatus(errno, path, "open");
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    close(fd);
    return ErrnoStatus(error, path, "lock");
  }
  if (hook_ != nullptr) hook_->After(FileOp::kLock, path);
  return std::make_unique<DirectoryLock>(fd);
}

std::string JoinPath(std::string_view directory, std::string_view name) {
  return absl::StrCat(ToAbsl(directory), "/", ToAbsl(name));
}

}  // namespace slotkv
