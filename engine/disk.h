// One zone's files.
//
// A Disk is how every other class reaches the file system: RocksDB's stores through env(), the
// topology journal and the identity files through the methods below, the log through LogFile
// (which asks hook() around each of its own system calls). All of it passes one FileHook, so a
// test can fail, delay or count any operation.
//
// Files are created with mode 0600 and directories with 0700. Errors name the path; full disks
// are ResourceExhausted, missing files NotFound, everything else the system reports is
// Unavailable. Thread-safe.
#ifndef SLOTKV_ENGINE_DISK_H_
#define SLOTKV_ENGINE_DISK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/file_hook.h"

namespace rocksdb {
class FileSystem;
class FSWritableFile;
class FileLock;
}  // namespace rocksdb

namespace slotkv {

// A file that grows at its end. Not thread-safe.
class AppendFile {
 public:
  AppendFile(std::string path, std::unique_ptr<rocksdb::FSWritableFile> file);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  absl::Status Append(std::string_view bytes);
  absl::Status Sync();
  absl::Status Close();
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  std::unique_ptr<rocksdb::FSWritableFile> file_;
};

// Holds a lock file until destroyed.
class DirectoryLock {
 public:
  explicit DirectoryLock(int fd);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  const int fd_;
};

// A file's bytes, without the zeros that a string would be filled with first.
class FileBytes {
 public:
  FileBytes(std::unique_ptr<char[]> bytes, size_t size) : bytes_(std::move(bytes)), size_(size) {}
  std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t size_;
};

class Disk {
 public:
  // `hook` may be null.
  explicit Disk(std::shared_ptr<FileHook> hook = nullptr);
  ~Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  bool Exists(const std::string& path) const;
  absl::StatusOr<std::string> Read(const std::string& path) const;
  // The first `limit` bytes of a file that was reserved and then filled from the front; reserved
  // space that was never written is left off its end. For logs: no library in between.
  absl::StatusOr<FileBytes> ReadWritten(const std::string& path, uint64_t limit = UINT64_MAX) const;
  // Names in the directory, "." and ".." aside, sorted.
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) const;
  // Creates the directory and its missing parents. Their entries are durable on ok, also if
  // somebody else had made them.
  absl::Status MakeDirectory(const std::string& directory) const;
  absl::Status SyncDirectory(const std::string& directory) const;
  // Makes the first `size` bytes of an existing file durable, whatever an earlier process left of
  // them: they are written again in place, since pages that could not be written before may look
  // clean, and a sync alone would then say ok.
  absl::Status RewriteAndSync(const std::string& path, uint64_t size) const;
  // Makes `path` hold `contents`, durably, all of it or as before.
  absl::Status Replace(const std::string& path, std::string_view contents) const;
  // Opens an existing file so that appends go to its end.
  absl::StatusOr<std::unique_ptr<AppendFile>> OpenForAppend(const std::string& path) const;
  absl::Status Rename(const std::string& from, const std::string& to) const;
  // A missing file is no error.
  absl::Status Delete(const std::string& path) const;
  // Deletes a directory and all below it; missing is no error. Does not follow symbolic links.
  absl::Status DeleteTree(const std::string& directory) const;
  // Deletes a directory that is empty; one that holds anything, or is missing, is left.
  absl::Status DeleteIfEmpty(const std::string& directory) const;
  // Unavailable at once if another process, or another caller in this one, holds it, be it under
  // another name.
  absl::StatusOr<std::unique_ptr<DirectoryLock>> Lock(const std::string& path) const;

  // What RocksDB opens its stores with: the same hook around each operation.
  const std::shared_ptr<rocksdb::FileSystem>& files() const { return files_; }
  FileHook* hook() const { return hook_.get(); }
  // For file systems of RocksDB's, which share in it.
  const std::shared_ptr<FileHook>& shared_hook() const { return hook_; }

 private:
  const std::shared_ptr<FileHook> hook_;
  const std::shared_ptr<rocksdb::FileSystem> files_;
};

// Joins with one '/'.
std::string JoinPath(std::string_view directory, std::string_view name);

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_DISK_H_
