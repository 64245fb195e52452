// One file of the log: reserved space that fills from the front.
//
// Space is reserved when the file is created, so that a full disk is met there, as a Status, and
// never as a signal inside a store into mapped memory. Bytes not yet appended read as zero.
//
// Thread safety: Append belongs to one thread at a time. Sync may run beside it on another thread
// and covers every append that returned before it was called; one Sync at a time. Overwrite may run
// beside both, on bytes that nobody else writes.
#ifndef SLOTKV_ENGINE_LOG_FILE_H_
#define SLOTKV_ENGINE_LOG_FILE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/file_hook.h"
#include "engine/log_io.h"

namespace slotkv {

class LogFile {
 public:
  // Creates `path` (which must not exist) with `capacity` bytes reserved, durably but for the
  // directory's entry. `hook` may be null and must outlive the file. ResourceExhausted if the
  // disk has no room; the file is gone then.
  static absl::StatusOr<std::unique_ptr<LogFile>> Create(const std::string& path, uint64_t capacity,
                                                         LogIo io, FileHook* hook);
  virtual ~LogFile() = default;
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // Writes at the end; `bytes` must fit in what is left of the capacity. After a failure the file
  // must not be appended to again: what stands at its end is unknown.
  virtual absl::Status Append(std::string_view bytes) = 0;
  // Replaces bytes that were appended before, outside of any order with appends.
  virtual absl::Status Overwrite(uint64_t offset, std::string_view bytes) = 0;
  // Makes all appended bytes durable.
  virtual absl::Status Sync();
  // Has the kernel begin to write what was appended, so that less is left for the next Sync. Not
  // beside one.
  virtual void BeginWriting();

  const std::string& path() const { return path_; }
  // Of what was appended; on any thread.
  uint64_t size() const { return size_.load(std::memory_order_acquire); }
  uint64_t capacity() const { return capacity_; }
  uint64_t left() const { return capacity_ - size(); }

 protected:
  LogFile(std::string path, int fd, uint64_t capacity, FileHook* hook);

  absl::Status Before(FileOp op) const;
  void After(FileOp op) const;
  // The bytes behind the end are written.
  void Grow(size_t bytes) { size_.store(size() + bytes, std::memory_order_release); }

  const std::string path_;
  const int fd_;
  const uint64_t capacity_;
  FileHook* const hook_;

 private:
  std::atomic<uint64_t> size_{0};  // written by the appending thread
  uint64_t begun_ = 0;             // BeginWriting's: the kernel knows of what is before
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_LOG_FILE_H_
