// A zone's root directory: who it belongs to, and that one process uses it.
//
//   ZONE              which cluster and which zone this is
//   LOCK              held while the zone is open
//   TOPOLOGY          a copy of the topology journal (shard/topology_journal.h)
//   node-7.1/         node 7, first incarnation: its log and store
#ifndef SLOTKV_SHARD_ZONE_DIRECTORY_H_
#define SLOTKV_SHARD_ZONE_DIRECTORY_H_

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/disk.h"
#include "shard/cluster_id.h"
#include "slotkv/ids.h"

namespace slotkv {

struct ZoneIdentity {
  ClusterId cluster;
  ZoneId id;
  std::string name;

  // "zone zone-a (zone id 5) of cluster 00…", for errors.
  std::string ToString() const;

  friend bool operator==(const ZoneIdentity& a, const ZoneIdentity& b) {
    return a.cluster == b.cluster && a.id == b.id && a.name == b.name;
  }
  friend bool operator!=(const ZoneIdentity& a, const ZoneIdentity& b) { return !(a == b); }
  friend std::ostream& operator<<(std::ostream& out, const ZoneIdentity& identity) {
    return out << identity.ToString();
  }
};

// The bytes of a ZONE file. The name is a zone name.
std::string EncodeZoneIdentity(const ZoneIdentity& identity);
// DataLoss if damaged, Unimplemented if a later release wrote it.
absl::StatusOr<ZoneIdentity> DecodeZoneIdentity(std::string_view bytes);

// "node-7.1"
std::string NodeDirectoryName(NodeId node, uint32_t incarnation);

// An open zone. Holds its LOCK until destroyed.
class ZoneDirectory {
 public:
  // For a cluster that is being created, or a zone that is being replaced. Makes the directory if
  // need be. AlreadyExists, naming both, if it is another zone's; FailedPrecondition if it holds
  // nodes or a topology but no identity; ok if it is this very zone already, so that a creation
  // that was cut short can be repeated. `disk` must outlive the result.
  static absl::StatusOr<std::unique_ptr<ZoneDirectory>> Create(const Disk* disk,
                                                               const std::string& path,
                                                               const ZoneIdentity& identity);

  // For a zone of an existing cluster. Creates no directory and no identity: a root without one is
  // Unavailable, for the mount point of an unmounted disk looks just so. FailedPrecondition, naming
  // both, if it is another zone; Unavailable if it is in use.
  static absl::StatusOr<std::unique_ptr<ZoneDirectory>> Open(const Disk* disk,
                                                             const std::string& path,
                                                             const ZoneIdentity& expected);

  // Whether the root holds a topology or nodes. False if it is not there.
  static absl::StatusOr<bool> HoldsData(const Disk& disk, const std::string& path);

  // Whether it holds nodes.
  static absl::StatusOr<bool> HoldsNodes(const Disk& disk, const std::string& path);

  // Whose root `path` is. NotFound if it says nothing, DataLoss if what it says is damaged.
  static absl::StatusOr<ZoneIdentity> Identify(const Disk& disk, const std::string& path);

  ZoneDirectory(const ZoneDirectory&) = delete;
  ZoneDirectory& operator=(const ZoneDirectory&) = delete;

  const std::string& path() const { return path_; }
  const ZoneIdentity& identity() const { return identity_; }
  std::string NodePath(NodeId node, uint32_t incarnation) const;

 private:
  ZoneDirectory(std::string path, ZoneIdentity identity, std::unique_ptr<DirectoryLock> lock);

  const std::string path_;
  const ZoneIdentity identity_;
  const std::unique_ptr<DirectoryLock> lock_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_ZONE_DIRECTORY_H_
