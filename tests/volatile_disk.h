// A directory tree on a disk that forgets, when the power fails, what was not synced.
//
// As a FileHook it learns what is durable: a file's bytes when its sync began, a directory's
// entries when the directory's sync began. Settle then leaves below the root what a power failure
// may leave:
//   - of entries made, renamed or deleted since the directory's last sync, any subset; but a file
//     that is renamed has its old or its new name, never neither
//   - of a log segment, each 4 KiB page as it was synced last or as it was written last
//   - of any other file, any length between what was synced and what was written, the rest of it
//     possibly zeros
#ifndef SLOTKV_TESTS_VOLATILE_DISK_H_
#define SLOTKV_TESTS_VOLATILE_DISK_H_

#include <sys/types.h>

#include <atomic>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "engine/file_hook.h"

namespace slotkv {

// Thread-safe. Linux; names that RocksDB does not write through its file system are ignored.
class VolatileDisk final : public FileHook {
 public:
  // All that is below `root` is durable.
  explicit VolatileDisk(std::string root);
  ~VolatileDisk() override;

  absl::Status Before(FileOp op, const std::string& path) override;
  void After(FileOp op, const std::string& path) override;

  // Every operation fails from now on, or after some more.
  void CutPower() { operations_left_ = 0; }
  void CutPowerAfter(int operations) { operations_left_ = operations; }
  // What was acknowledged after this was true may not count.
  bool dead() const { return dead_; }

  // Once, when nobody uses the files any more.
  void Settle(std::mt19937_64* random);

 private:
  // By name; directories are 0.
  using Entries = std::map<std::string, ino_t>;

  struct File {
    int fd = -1;  // keeps the inode's number from being given to another file
    std::string synced;
  };

  // What a sync under way will have made durable.
  struct Snapshot {
    std::optional<ino_t> file;
    std::string bytes;
    Entries entries;
  };

  void TrackTree(const std::string& directory) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The file at `path`, known from now on; nullopt if there is none.
  std::optional<ino_t> Track(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Entries List(const std::string& directory) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Entries Mix(const Entries& durable, const Entries& current, std::mt19937_64* random) const;
  void SettleDirectory(const std::string& directory, const std::string& to, std::mt19937_64* random)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string SettledBytes(const std::string& path, ino_t file, std::mt19937_64* random)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string root_;
  std::atomic<int> operations_left_;
  std::atomic<bool> dead_{false};

  absl::Mutex mu_;
  std::map<ino_t, File> files_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Entries> durable_ ABSL_GUARDED_BY(mu_);  // by directory
  std::map<std::thread::id, Snapshot> syncing_ ABSL_GUARDED_BY(mu_);
};

}  // namespace slotkv

#endif  // SLOTKV_TESTS_VOLATILE_DISK_H_
