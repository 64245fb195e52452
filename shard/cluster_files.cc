#include "shard/cluster_files.h"

#include <array>
#include <utility>

#define XXH_INLINE_ALL
#include "absl/strings/str_cat.h"
#include "engine/coding.h"
#include "xxhash.h"

namespace slotkv {
namespace {

constexpr std::string_view kMagic = "SLOTKVCL";
// Version 1 knew no replicas.
constexpr uint32_t kVersion = 2;
constexpr size_t kChecksumBytes = 8;

absl::Status Damaged(const char* what) { return absl::DataLossError(what); }

}  // namespace

std::string EncodeClusterPointer(const ClusterPointer& pointer) {
  std::string out(kMagic);
  PutFixed<uint32_t>(&out, kVersion);
  out.append(pointer.id.view());
  PutVarint(&out, static_cast<uint64_t>(pointer.shards));
  PutVarint(&out, static_cast<uint64_t>(pointer.replicas_per_shard));
  PutVarint(&out, pointer.zones.size());
  for (const ClusterPointer::ZoneEntry& entry : pointer.zones) {
    PutBytes(&out, entry.zone.name);
    PutFixed<uint64_t>(&out, entry.zone.id.value());
    PutBytes(&out, entry.path);
  }
  PutFixed<uint64_t>(&out, XXH3_64bits(out.data(), out.size()));
  return out;
}

absl::StatusOr<ClusterPointer> DecodeClusterPointer(std::string_view bytes) {
  const size_t fixed = kMagic.size() + sizeof(uint32_t);
  if (bytes.size() < fixed + kChecksumBytes || bytes.substr(0, kMagic.size()) != kMagic) {
    return Damaged("offset 0: not a slotkv cluster");
  }
  const std::string_view body = bytes.substr(0, bytes.size() - kChecksumBytes);
  if (LoadFixed<uint64_t>(body.data() + body.size()) != XXH3_64bits(body.data(), body.size())) {
    return Damaged("offset 0: bad checksum");
  }
  const uint32_t version = LoadFixed<uint32_t>(body.data() + kMagic.size());
  if (version < 1 || version > kVersion) {
    return absl::UnimplementedError(
        absl::StrCat("offset 8: format version ", version, ", this library reads 1 to ", kVersion));
  }
  Decoder in(body.substr(fixed));
  std::array<char, ClusterId::kBytes> id;
  uint64_t shards = 0, replicas = 0, zones = 0;
  ClusterPointer pointer;
  in.Fixed(&id);
  in.Varint(&shards);
  if (version >= 2) in.Varint(&replicas);
  in.Varint(&zones);
  if (!in.ok() || zones > kMaxZones) return Damaged("too many zones");
  if (shards < 1 || shards > kMaxShards) return Damaged("too many shards, or none");
  if (replicas >= kMaxNodesPerShard) return Damaged("too many replicas");
  pointer.shards = static_cast<int>(shards);
  pointer.replicas_per_shard = static_cast<int>(replicas);
  pointer.id = ClusterId::FromBytes({id.data(), id.size()});
  for (uint64_t i = 0; i < zones; ++i) {
    std::string_view name, path;
    uint64_t zone_id = 0;
    in.Bytes(&name);
    in.Fixed(&zone_id);
    in.Bytes(&path);
    pointer.zones.push_back({ZoneState{std::string(name), ZoneId(zone_id)}, std::string(path)});
  }
  if (!in.ok() || !in.empty()) return Damaged("its length is wrong");
  return pointer;
}

absl::StatusOr<ClusterPointer> ReadClusterPointer(const Disk& disk, const std::string& path) {
  absl::StatusOr<std::string> bytes = disk.Read(path);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<ClusterPointer> pointer = DecodeClusterPointer(*bytes);
  if (pointer.ok()) return pointer;
  return absl::Status(pointer.status().code(),
                      absl::StrCat(path, ": ", pointer.status().message()));
}

ClusterPointer NewClusterPointer(const Options& options) {
  ClusterPointer pointer;
  pointer.id = ClusterId::Random();
  pointer.shards = options.shards;
  pointer.replicas_per_shard = options.replicas_per_shard;
  if (options.zones.empty()) {
    for (const char* const name : {"zone-a", "zone-b", "zone-c"}) {
      pointer.zones.push_back({ZoneState{name, RandomZoneId()}, name});
    }
  }
  for (const Zone& zone : options.zones) {
    pointer.zones.push_back({ZoneState{zone.name, RandomZoneId()}, zone.path});
  }
  return pointer;
}

std::string ZonePath(const std::string& cluster_directory, const ClusterPointer::ZoneEntry& entry) {
  if (!entry.path.empty() && entry.path.front() == '/') return entry.path;
  return JoinPath(cluster_directory, entry.path);
}

}  // namespace slotkv
