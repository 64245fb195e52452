// Deleting a cluster: its own files and nothing else.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "shard/cluster_impl.h"

namespace slotkv {
namespace {

// A half-written file that a crash has left (Disk::Replace).
constexpr const char* kUnfinished = ".new";

// "node-7.1"; anything else that begins so is not the cluster's.
bool IsNodeDirectory(const std::string& name) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(name, absl::MaxSplits('.', 1));
  uint32_t node = 0, incarnation = 0;
  return absl::SimpleAtoi(absl::StripPrefix(parts.first, NodeIdTag::kPrefix), &node) &&
         absl::SimpleAtoi(parts.second, &incarnation) &&
         NodeDirectoryName(NodeId(node), incarnation) == name;
}

// Deletes the files, finished or not, and then the directory if nothing else is in it.
absl::Status DeleteFiles(const Disk& disk, const std::string& directory,
                         const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const std::string path = JoinPath(directory, name);
    if (absl::Status status = disk.Delete(path + kUnfinished); !status.ok()) return status;
    if (absl::Status status = disk.Delete(path); !status.ok()) return status;
  }
  return disk.DeleteIfEmpty(directory);
}

// Whether there is nothing in the directory but what its creation begins with.
bool HoldsOnly(const Disk& disk, const std::string& directory, const std::string& name) {
  const absl::StatusOr<std::vector<std::string>> names = disk.List(directory);
  return names.ok() && std::all_of(names->begin(), names->end(), [&](const std::string& found) {
           return found == kLockFile || found == name + kUnfinished;
         });
}

// The identity goes last, so that a deletion that was cut short can be repeated. `created`: whether
// the cluster ever was, so that a blank root is a disk that is away.
absl::Status DestroyZone(const Disk& disk, const std::string& path, const ZoneIdentity& identity,
                         bool created) {
  if (absl::IsNotFound(ZoneDirectory::Identify(disk, path).status())) {
    if (created || !HoldsOnly(disk, path, "ZONE")) return absl::OkStatus();
    return DeleteFiles(disk, path, {kLockFile, "ZONE"});
  }
  absl::StatusOr<std::unique_ptr<ZoneDirectory>> zone = ZoneDirectory::Open(&disk, path, identity);
  if (!zone.ok()) return zone.status();
  absl::StatusOr<std::vector<std::string>> names = disk.List(path);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!IsNodeDirectory(name)) continue;
    if (absl::Status status = disk.DeleteTree(JoinPath(path, name)); !status.ok()) return status;
  }
  return DeleteFiles(disk, path, {TopologyJournal::kName, kLockFile, "ZONE"});
}

}  // namespace

absl::Status ClusterImpl::Destroy(const std::string& path) {
  const Disk disk;
  const std::string pointer_path = JoinPath(path, kClusterFile);
  const std::string creating_path = JoinPath(path, kCreatingFile);
  if (!disk.Exists(pointer_path) && !disk.Exists(creating_path) &&
      !(disk.Exists(JoinPath(path, kLockFile)) && HoldsOnly(disk, path, kCreatingFile))) {
    return absl::OkStatus();
  }
  const absl::StatusOr<std::unique_ptr<DirectoryLock>> lock = disk.Lock(JoinPath(path, kLockFile));
  if (!lock.ok()) {
    return absl::UnavailableError(
        absl::StrCat(path, ": the cluster is open: ", lock.status().message()));
  }
  ClusterPointer pointer;
  const bool created = disk.Exists(pointer_path);
  if (created || disk.Exists(creating_path)) {
    absl::StatusOr<ClusterPointer> read =
        ReadClusterPointer(disk, created ? pointer_path : creating_path);
    if (!read.ok()) return read.status();
    pointer = *std::move(read);
  }
  for (const ClusterPointer::ZoneEntry& entry : pointer.zones) {
    const ZoneIdentity identity = {pointer.id, entry.zone.id, entry.zone.name};
    if (absl::Status status = DestroyZone(disk, ZonePath(path, entry), identity, created);
        !status.ok()) {
      return status;
    }
  }
  return DeleteFiles(disk, path, {TopologyJournal::kName, kCreatingFile, kClusterFile, kLockFile});
}

}  // namespace slotkv
