#include "tests/volatile_disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPageBytes = 4096;

// Opening and closing a lock file would drop the lock; RocksDB's own journal is not hooked.
bool IsIgnored(const std::string& name) { return name == "LOCK" || absl::StartsWith(name, "LOG"); }

bool IsLogSegment(const std::string& path) {
  return absl::StrContains(path, "/log/") && absl::EndsWith(path, ".log");
}

std::string BytesOf(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) std::abort();
  std::string bytes(static_cast<size_t>(info.st_size), '\0');
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t got = pread(fd, &bytes[at], bytes.size() - at, static_cast<off_t>(at));
    if (got <= 0) std::abort();
    at += static_cast<size_t>(got);
  }
  return bytes;
}

}  // namespace

VolatileDisk::VolatileDisk(std::string root)
    : root_(std::move(root)), operations_left_(std::numeric_limits<int>::max()) {
  absl::MutexLock lock(&mu_);
  TrackTree(root_);
}

VolatileDisk::~VolatileDisk() {
  absl::MutexLock lock(&mu_);
  for (const auto& [inode, file] : files_) close(file.fd);
}

void VolatileDisk::TrackTree(const std::string& directory) {
  durable_[directory] = List(directory);
  for (const auto& [name, inode] : durable_[directory]) {
    const std::string path = absl::StrCat(directory, "/", name);
    if (inode == 0) {
      TrackTree(path);
    } else {
      files_[inode].synced = BytesOf(files_[inode].fd);
    }
  }
}

std::optional<ino_t> VolatileDisk::Track(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  struct stat info;
  if (fstat(fd, &info) != 0) std::abort();
  if (!files_.emplace(info.st_ino, File{fd, ""}).second) close(fd);
  return info.st_ino;
}

VolatileDisk::Entries VolatileDisk::List(const std::string& directory) {
  Entries entries;
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator(directory, gone)) {
    const std::string name = entry.path().filename().string();
    if (IsIgnored(name)) continue;
    if (entry.is_directory(gone)) {
      entries[name] = 0;
    } else if (const std::optional<ino_t> inode = Track(entry.path().string())) {
      entries[name] = *inode;
    }
  }
  return entries;
}

absl::Status VolatileDisk::Before(FileOp op, const std::string& path) {
  if (dead_ || operations_left_-- <= 0) {
    dead_ = true;
    return absl::UnavailableError(absl::StrCat(path, ": the power is out"));
  }
  absl::MutexLock lock(&mu_);
  if (op == FileOp::kSync) {
    Snapshot snapshot;
    snapshot.file = Track(path);
    if (snapshot.file.has_value()) snapshot.bytes = BytesOf(files_[*snapshot.file].fd);
    syncing_[std::this_thread::get_id()] = std::move(snapshot);
  } else if (op == FileOp::kSyncDirectory) {
    syncing_[std::this_thread::get_id()].entries = List(path);
  }
  return absl::OkStatus();
}

void VolatileDisk::After(FileOp op, const std::string& path) {
  absl::MutexLock lock(&mu_);
  if (dead_) return;
  if (op == FileOp::kCreate) {
    Track(path);
  } else if (op == FileOp::kReserve) {
    // Nobody writes before the space is there.
    const std::optional<ino_t> file = Track(path);
    if (file.has_value()) files_[*file].synced = BytesOf(files_[*file].fd);
  } else if (op == FileOp::kSync) {
    const Snapshot& snapshot = syncing_[std::this_thread::get_id()];
    if (snapshot.file.has_value()) files_[*snapshot.file].synced = snapshot.bytes;
  } else if (op == FileOp::kSyncDirectory) {
    durable_[path] = syncing_[std::this_thread::get_id()].entries;
  }
}

VolatileDisk::Entries VolatileDisk::Mix(const Entries& durable, const Entries& current,
                                        std::mt19937_64* random) const {
  const uint64_t how = (*random)() % 4;
  if (how == 0) return durable;
  if (how == 1) return current;
  std::set<std::string> names;
  for (const auto& [name, inode] : durable) names.insert(name);
  for (const auto& [name, inode] : current) names.insert(name);
  Entries mixed;
  std::set<ino_t> kept;
  for (const std::string& name : names) {
    const Entries& from = (*random)() % 2 == 0 ? durable : current;
    const auto it = from.find(name);
    if (it == from.end()) continue;
    mixed.insert(*it);
    kept.insert(it->second);
  }
  for (const auto& [name, inode] : current) {
    const bool was_there =
        std::any_of(durable.begin(), durable.end(),
                    [i = inode](const auto& entry) { return entry.second == i; });
    if (inode != 0 && was_there && kept.count(inode) == 0) mixed[name] = inode;
  }
  return mixed;
}

std::string VolatileDisk::SettledBytes(const std::string& path, ino_t file,
                                       std::mt19937_64* random) {
  const std::string& synced = files_[file].synced;
  std::string written = BytesOf(files_[file].fd);
  if (IsLogSegment(path) && written.size() == synced.size()) {
    const uint64_t odds = (*random)() % 5;  // of four
    for (size_t at = 0; at < written.size(); at += kPageBytes) {
      if ((*random)() % 4 >= odds) {
        written.replace(at, kPageBytes, synced.substr(at, kPageBytes));
      }
    }
    return written;
  }
  if (written.substr(0, synced.size()) != synced) return (*random)() % 2 == 0 ? synced : written;
  written.resize(synced.size() + (*random)() % (written.size() - synced.size() + 1));
  if ((*random)() % 4 == 0) std::fill(written.begin() + synced.size(), written.end(), '\0');
  return written;
}

void VolatileDisk::SettleDirectory(const std::string& directory, const std::string& to,
                                   std::mt19937_64* random) {
  fs::create_directory(to);
  // A directory that was never synced may hold nothing, or what it holds now.
  for (const auto& [name, inode] : Mix(durable_[directory], List(directory), random)) {
    const std::string from = absl::StrCat(directory, "/", name);
    const std::string target = absl::StrCat(to, "/", name);
    if (inode == 0) {
      SettleDirectory(from, target, random);
    } else {
      SetFileBytes(target, SettledBytes(from, inode, random));
    }
  }
}

void VolatileDisk::Settle(std::mt19937_64* random) {
  dead_ = true;
  absl::MutexLock lock(&mu_);
  const std::string settled = root_ + ".settled";
  SettleDirectory(root_, settled, random);
  fs::remove_all(root_);
  fs::rename(settled, root_);
}

}  // namespace slotkv
