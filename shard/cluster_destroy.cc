// Deleting a cluster: its own files and nothing else.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "shard/cluster_impl.h"

namespace slotkv {
namespace {

bool IsNodeDirectory(const std::string& name) { return absl::StartsWith(name, NodeIdTag::kPrefix); }

// The identity goes last, so that a deletion that was cut short can be repeated.
absl::Status DestroyZone(const Disk& disk, const std::string& path, const ZoneIdentity& identity) {
  if (absl::IsNotFound(ZoneDirectory::Identify(disk, path).status())) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<ZoneDirectory>> zone = ZoneDirectory::Open(&disk, path, identity);
  if (!zone.ok()) return zone.status();
  absl::StatusOr<std::vector<std::string>> names = disk.List(path);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!IsNodeDirectory(name)) continue;
    if (absl::Status status = disk.DeleteTree(JoinPath(path, name)); !status.ok()) return status;
  }
  for (const char* const name : {TopologyJournal::kName, kLockFile, "ZONE"}) {
    if (absl::Status status = disk.Delete(JoinPath(path, name)); !status.ok()) return status;
  }
  zone->reset();
  return disk.DeleteIfEmpty(path);
}

}  // namespace

absl::Status ClusterImpl::Destroy(const std::string& path) {
  const Disk disk;
  std::string pointer_path = JoinPath(path, kClusterFile);
  if (!disk.Exists(pointer_path)) pointer_path = JoinPath(path, kCreatingFile);
  if (!disk.Exists(pointer_path)) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<DirectoryLock>> lock = disk.Lock(JoinPath(path, kLockFile));
  if (!lock.ok()) {
    return absl::UnavailableError(
        absl::StrCat(path, ": the cluster is open: ", lock.status().message()));
  }
  absl::StatusOr<ClusterPointer> pointer = ReadClusterPointer(disk, pointer_path);
  if (!pointer.ok()) return pointer.status();
  for (const ClusterPointer::ZoneEntry& entry : pointer->zones) {
    const ZoneIdentity identity = {pointer->id, entry.zone.id, entry.zone.name};
    if (absl::Status status = DestroyZone(disk, ZonePath(path, entry), identity); !status.ok()) {
      return status;
    }
  }
  for (const char* const name : {TopologyJournal::kName, kCreatingFile, kClusterFile, kLockFile}) {
    if (absl::Status status = disk.Delete(JoinPath(path, name)); !status.ok()) return status;
  }
  lock->reset();
  return disk.DeleteIfEmpty(path);
}

}  // namespace slotkv
