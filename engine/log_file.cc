#include "engine/log_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/check.h"
#include "engine/file_io.h"

namespace slotkv {

LogFile::LogFile(std::string path, int fd, uint64_t capacity, FileHook* hook)
    : path_(std::move(path)), fd_(fd), capacity_(capacity), hook_(hook) {}

absl::Status LogFile::Before(FileOp op) const {
  return hook_ == nullptr ? absl::OkStatus() : hook_->Before(op, path_);
}

void LogFile::After(FileOp op) const {
  if (hook_ != nullptr) hook_->After(op, path_);
}

absl::Status LogFile::Sync() {
  if (absl::Status status = Before(FileOp::kSync); !status.ok()) return status;
  // On Linux this writes what was stored through a shared mapping, too.
  if (fdatasync(fd_) != 0) return ErrnoStatus(errno, path_, "fdatasync");
  After(FileOp::kSync);
  return absl::OkStatus();
}

void LogFile::BeginWriting() {
  const uint64_t end = size();
  // What fails here shows at the next Sync.
  (void)sync_file_range(fd_, static_cast<off64_t>(begun_), static_cast<off64_t>(end - begun_),
                        SYNC_FILE_RANGE_WRITE);
  begun_ = end;
}

namespace {

class WrittenLogFile final : public LogFile {
 public:
  using LogFile::LogFile;
  ~WrittenLogFile() override { close(fd_); }

  absl::Status Append(std::string_view bytes) override {
    SLOTKV_CHECK(bytes.size() <= left());
    if (absl::Status status = Before(FileOp::kWrite); !status.ok()) return status;
    if (absl::Status status = WriteFully(fd_, path_, size(), bytes); !status.ok()) return status;
    Grow(bytes.size());
    After(FileOp::kWrite);
    return absl::OkStatus();
  }

  absl::Status Overwrite(uint64_t offset, std::string_view bytes) override {
    SLOTKV_CHECK(offset + bytes.size() <= capacity_);
    if (absl::Status status = Before(FileOp::kWrite); !status.ok()) return status;
    return WriteFully(fd_, path_, offset, bytes);
  }
};

class MappedLogFile final : public LogFile {
 public:
  MappedLogFile(std::string path, int fd, uint64_t capacity, FileHook* hook, char* memory)
      : LogFile(std::move(path), fd, capacity, hook), memory_(memory) {}

  ~MappedLogFile() override {
    munmap(memory_, capacity_);
    close(fd_);
  }

  absl::Status Append(std::string_view bytes) override {
    SLOTKV_CHECK(bytes.size() <= left());
    if (absl::Status status = Before(FileOp::kWrite); !status.ok()) return status;
    if (bytes.size() >= kPopulateBytes) Populate(bytes.size());
    std::memcpy(memory_ + size(), bytes.data(), bytes.size());
    Grow(bytes.size());
    Prefetch();
    After(FileOp::kWrite);
    return absl::OkStatus();
  }

  absl::Status Overwrite(uint64_t offset, std::string_view bytes) override {
    SLOTKV_CHECK(offset + bytes.size() <= capacity_);
    if (absl::Status status = Before(FileOp::kWrite); !status.ok()) return status;
    std::memcpy(memory_ + offset, bytes.data(), bytes.size());
    return absl::OkStatus();
  }

  // A sync takes the right to be written from each page by itself, and interrupts every core for
  // it, thousands of times: writers feel that. So all the pages leave the mapping before, at once;
  // what was written stays in the page cache, and the last page is mapped again when it is touched.
  absl::Status Sync() override {
    Unmap();
    return LogFile::Sync();
  }

  void BeginWriting() override {
    Unmap();
    LogFile::BeginWriting();
  }

 private:
  void Unmap() {
    const uint64_t end = size();
    if (end - unmapped_ < kUnmapBytes) return;
    (void)madvise(memory_ + unmapped_, end - unmapped_, MADV_DONTNEED);
    unmapped_ = PageOf(end);
  }

  // From so many bytes on it pays to have the kernel map their pages in one call.
  static constexpr size_t kPopulateBytes = size_t{32} << 10;

  // And from so many on, to have it unmap them in one.
  static constexpr uint64_t kUnmapBytes = uint64_t{256} << 10;

  // Nothing is lost where the kernel does not know the advice: each page is mapped when it is first
  // touched.
  void Populate(size_t bytes) {
#ifdef MADV_POPULATE_WRITE
    const uint64_t begin = PageOf(size());
    (void)madvise(memory_ + begin, size() + bytes - begin, MADV_POPULATE_WRITE);
#endif
  }

  // Where the next append will write: nobody has touched that memory since the kernel cleared it,
  // and the first lock or fence behind an append would wait for it to come into the cache. Bytes
  // whose page is not mapped yet are left alone.
  void Prefetch() const {
    constexpr uint64_t kBytes = 512, kLine = 64;
    const uint64_t end = std::min(size() + kBytes, capacity_);
    for (uint64_t i = size(); i < end; i += kLine) __builtin_prefetch(memory_ + i, /*rw=*/1);
  }

  static uint64_t PageOf(uint64_t offset) {
    static const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    return offset / page * page;
  }

  char* const memory_;
  uint64_t unmapped_ = 0;  // the syncing thread's: nothing is appended before this
};

// File systems where a store into reserved, mapped space cannot run out of room.
bool MappingIsSafe(int fd) {
  constexpr uint64_t kExt4 = 0xEF53, kXfs = 0x58465342, kTmpfs = 0x01021994;
  struct statfs info;
  if (fstatfs(fd, &info) != 0) return false;
  const uint64_t type = static_cast<uint64_t>(info.f_type);
  return type == kExt4 || type == kXfs || type == kTmpfs;
}

absl::Status Reserve(int fd, const std::string& path, uint64_t capacity, FileHook* hook) {
  if (hook != nullptr) {
    if (absl::Status status = hook->Before(FileOp::kReserve, path); !status.ok()) return status;
  }
  int error = EINTR;
  while (error == EINTR) error = posix_fallocate(fd, 0, static_cast<off_t>(capacity));
  if (error != 0) return ErrnoStatus(error, path, "reserve");
  if (fsync(fd) != 0) return ErrnoStatus(errno, path, "fsync");
  if (hook != nullptr) hook->After(FileOp::kReserve, path);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<LogFile>> LogFile::Create(const std::string& path, uint64_t capacity,
                                                         LogIo io, FileHook* hook) {
  if (hook != nullptr) {
    if (absl::Status status = hook->Before(FileOp::kCreate, path); !status.ok()) return status;
  }
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoStatus(errno, path, "create");
  if (hook != nullptr) hook->After(FileOp::kCreate, path);

  absl::Status status = Reserve(fd, path, capacity, hook);
  const bool mapped = io == LogIo::kMapped || (io == LogIo::kAuto && MappingIsSafe(fd));
  void* memory = nullptr;
  if (status.ok() && mapped) {
    memory = mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
      status = ErrnoStatus(errno, path, "mmap");
    } else {
      // A page that is touched first is "read" from space that was only reserved. With the kernel's
      // reading ahead that would be megabytes of zeros, which the writer that touches it waits for.
      (void)madvise(memory, capacity, MADV_RANDOM);
    }
  }
  if (!status.ok()) {
    close(fd);
    unlink(path.c_str());
    return status;
  }
  if (!mapped) {
    return std::unique_ptr<LogFile>(new WrittenLogFile(path, fd, capacity, hook));
  }
  return std::unique_ptr<LogFile>(
      new MappedLogFile(path, fd, capacity, hook, static_cast<char*>(memory)));
}

}  // namespace slotkv
