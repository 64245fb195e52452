// Invariants
//   1. A ZONE file is written once, whole, while LOCK is held, into a root that holds no slotkv
//      data; it never changes.
//   2. Nothing is created in a root before it is known whose it is.
//
// ZONE, format 1, little-endian:
//   magic 8 bytes "SLOTKVZN", version u32 = 1, cluster 16 bytes, zone id u64,
//   name (varint length, then its bytes), XXH3-64 of all bytes before it u64
#include "shard/zone_directory.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/coding.h"
#include "engine/text.h"
#include "shard/cluster_state.h"

#define XXH_INLINE_ALL
#include "xxhash.h"

namespace slotkv {
namespace {

constexpr std::string_view kMagic = "SLOTKVZN";
constexpr uint32_t kFormatVersion = 1;
constexpr const char* kIdentityName = "ZONE";
constexpr const char* kLockName = "LOCK";

uint64_t Checksum(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

absl::Status Damaged(const char* what) { return absl::DataLossError(what); }

bool IsNode(const std::string& name) { return absl::StartsWith(name, NodeIdTag::kPrefix); }

// What only a root in use holds.
bool IsData(const std::string& name) { return name == "TOPOLOGY" || IsNode(name); }

// What of that the root holds; empty: nothing.
absl::StatusOr<std::string> FindData(const Disk& disk, const std::string& path,
                                     bool (*is_data)(const std::string&) = IsData) {
  const absl::StatusOr<std::vector<std::string>> names = disk.List(path);
  if (!names.ok()) return names.status();
  const auto data = std::find_if(names->begin(), names->end(), is_data);
  return data == names->end() ? "" : *data;
}

absl::StatusOr<bool> IsFound(const absl::StatusOr<std::string>& data) {
  if (absl::IsNotFound(data.status())) return false;
  if (!data.ok()) return data.status();
  return !data->empty();
}

absl::Status MakeEmptyRoot(const Disk& disk, const std::string& path) {
  if (absl::Status status = disk.MakeDirectory(path); !status.ok()) return status;
  const absl::StatusOr<std::string> data = FindData(disk, path);
  if (!data.ok() || data->empty()) return data.status();
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": holds ", *data, " but no ", kIdentityName,
                   " file that says whose it is; nothing is created here"));
}

}  // namespace

std::string ZoneIdentity::ToString() const {
  return absl::StrCat("zone ", name, " (", id.ToString(), ") of cluster ", cluster.ToString());
}

std::string EncodeZoneIdentity(const ZoneIdentity& identity) {
  std::string out(kMagic);
  PutFixed(&out, kFormatVersion);
  out.append(identity.cluster.view());
  PutFixed(&out, identity.id.value());
  PutBytes(&out, identity.name);
  PutFixed(&out, Checksum(out));
  return out;
}

absl::StatusOr<ZoneIdentity> DecodeZoneIdentity(std::string_view bytes) {
  constexpr size_t kFixedBytes = 8 + 4;
  if (bytes.size() < kFixedBytes + sizeof(uint64_t)) return Damaged("too short");
  if (bytes.substr(0, kMagic.size()) != kMagic) return Damaged("no zone identity file");
  const std::string_view body = bytes.substr(0, bytes.size() - sizeof(uint64_t));
  if (LoadFixed<uint64_t>(body.data() + body.size()) != Checksum(body)) {
    return Damaged("checksum mismatch");
  }
  const uint32_t version = LoadFixed<uint32_t>(body.data() + kMagic.size());
  if (version != kFormatVersion) {
    return absl::UnimplementedError(absl::StrCat("zone identity format version ", version,
                                                 " is unknown; this release reads version ",
                                                 kFormatVersion));
  }
  Decoder decoder(body.substr(kFixedBytes));
  std::array<char, ClusterId::kBytes> cluster = {};
  uint64_t id = 0;
  std::string_view name;
  if (!decoder.Fixed(&cluster) || !decoder.Fixed(&id) || !decoder.Bytes(&name) ||
      !decoder.empty()) {
    return Damaged("fields do not add up");
  }
  if (!IsZoneName(name)) return Damaged("bad zone name");
  return ZoneIdentity{ClusterId::FromBytes({cluster.data(), cluster.size()}), ZoneId(id),
                      std::string(name)};
}

std::string NodeDirectoryName(NodeId node, uint32_t incarnation) {
  return absl::StrCat(node.ToString(), ".", incarnation);
}

ZoneDirectory::ZoneDirectory(std::string path, ZoneIdentity identity,
                             std::unique_ptr<DirectoryLock> lock)
    : path_(std::move(path)), identity_(std::move(identity)), lock_(std::move(lock)) {}

absl::StatusOr<bool> ZoneDirectory::HoldsData(const Disk& disk, const std::string& path) {
  return IsFound(FindData(disk, path));
}

absl::StatusOr<bool> ZoneDirectory::HoldsNodes(const Disk& disk, const std::string& path) {
  return IsFound(FindData(disk, path, IsNode));
}

absl::StatusOr<ZoneIdentity> ZoneDirectory::Identify(const Disk& disk, const std::string& path) {
  const std::string file = JoinPath(path, kIdentityName);
  const absl::StatusOr<std::string> bytes = disk.Read(file);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<ZoneIdentity> identity = DecodeZoneIdentity(*bytes);
  if (identity.ok()) return identity;
  return absl::Status(identity.status().code(),
                      absl::StrCat(file, ": ", identity.status().message()));
}

absl::StatusOr<std::unique_ptr<ZoneDirectory>> ZoneDirectory::Create(const Disk* disk,
                                                                     const std::string& path,
                                                                     const ZoneIdentity& identity) {
  if (!IsZoneName(identity.name)) return absl::InvalidArgumentError("bad zone name");
  absl::StatusOr<ZoneIdentity> found = Identify(*disk, path);
  const bool blank = absl::IsNotFound(found.status());
  if (blank) {
    if (absl::Status status = MakeEmptyRoot(*disk, path); !status.ok()) return status;
  } else if (!found.ok()) {
    return found.status();
  } else if (*found != identity) {
    return absl::AlreadyExistsError(
        absl::StrCat(path, ": is ", found->ToString(), "; it cannot become ", identity.ToString()));
  }
  absl::StatusOr<std::unique_ptr<DirectoryLock>> lock = disk->Lock(JoinPath(path, kLockName));
  if (!lock.ok()) return lock.status();
  // Another process may have taken the blank root before this one had the lock.
  found = Identify(*disk, path);
  if (found.ok() && *found != identity) {
    return absl::AlreadyExistsError(absl::StrCat(path, ": has just become ", found->ToString()));
  }
  if (absl::IsNotFound(found.status())) {
    const absl::Status written =
        disk->Replace(JoinPath(path, kIdentityName), EncodeZoneIdentity(identity));
    if (!written.ok()) return written;
  } else if (!found.ok()) {
    return found.status();
  }
  return std::unique_ptr<ZoneDirectory>(new ZoneDirectory(path, identity, *std::move(lock)));
}

absl::StatusOr<std::unique_ptr<ZoneDirectory>> ZoneDirectory::Open(const Disk* disk,
                                                                   const std::string& path,
                                                                   const ZoneIdentity& expected) {
  absl::StatusOr<ZoneIdentity> found = Identify(*disk, path);
  if (absl::IsNotFound(found.status())) {
    return absl::UnavailableError(absl::StrCat(path, ": has no ", kIdentityName,
                                               " file, but should be ", expected.ToString(),
                                               "; is the disk mounted?"));
  }
  if (!found.ok()) return found.status();
  if (*found != expected) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": is ", found->ToString(), ", but should be ", expected.ToString()));
  }
  absl::StatusOr<std::unique_ptr<DirectoryLock>> lock = disk->Lock(JoinPath(path, kLockName));
  if (!lock.ok()) return lock.status();
  return std::unique_ptr<ZoneDirectory>(new ZoneDirectory(path, expected, *std::move(lock)));
}

std::string ZoneDirectory::NodePath(NodeId node, uint32_t incarnation) const {
  return JoinPath(path_, NodeDirectoryName(node, incarnation));
}

}  // namespace slotkv
