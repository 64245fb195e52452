// Invariants
//   1. A state that was decoded is valid; a state that is encoded was validated by its maker.
//   2. Decoding never trusts a count: each is compared with its bound before anything is allocated.
//   3. Epochs, incarnations and id counters only grow from one state to the next.
//
// Validation is in cluster_state_validation.cc.
//
// Format 1, little-endian; `bytes` is a varint length and that many bytes:
//   state := version u8 = 1, cluster 16 bytes, epoch u64, next shard u32, next node u32,
//            zone count varint, zone*, shard count varint, shard*
//   zone  := name bytes, id u64
//   shard := id u32, epoch u64, range count varint, range*, node count varint, node*
//   range := first u16, last u16
//   node  := id u32, role u8 (0 primary, 1 replica), in sync u8 (0, 1), incarnation u32, zone bytes
#include "shard/cluster_state.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "engine/coding.h"
#include "engine/text.h"

namespace slotkv {
namespace {

constexpr uint8_t kFormatVersion = 1;

}  // namespace

bool operator==(const ZoneState& a, const ZoneState& b) { return a.name == b.name && a.id == b.id; }

bool operator==(const NodeState& a, const NodeState& b) {
  return std::tie(a.id, a.role, a.zone, a.in_sync, a.incarnation) ==
         std::tie(b.id, b.role, b.zone, b.in_sync, b.incarnation);
}

bool operator==(const ShardState& a, const ShardState& b) {
  return a.id == b.id && a.epoch == b.epoch && a.slots == b.slots && a.nodes == b.nodes;
}

bool operator==(const ClusterState& a, const ClusterState& b) {
  return a.id == b.id && a.epoch == b.epoch && a.zones == b.zones && a.shards == b.shards &&
         a.next_shard_id == b.next_shard_id && a.next_node_id == b.next_node_id;
}

const ShardState* ClusterState::FindShard(ShardId shard) const {
  const auto found = std::find_if(shards.begin(), shards.end(),
                                  [shard](const ShardState& s) { return s.id == shard; });
  return found == shards.end() ? nullptr : &*found;
}

ShardState* ClusterState::FindShard(ShardId shard) {
  return const_cast<ShardState*>(static_cast<const ClusterState*>(this)->FindShard(shard));
}

Topology ClusterState::ToTopology(absl::FunctionRef<bool(NodeId)> up) const {
  std::vector<ShardInfo> infos;
  infos.reserve(shards.size());
  for (const ShardState& shard : shards) {
    ShardInfo info;
    info.id = shard.id;
    info.slots = shard.slots;
    for (const NodeState& node : shard.nodes) {
      info.nodes.push_back(
          NodeInfo{node.id, shard.id, node.role, node.zone, node.in_sync, up(node.id)});
    }
    infos.push_back(std::move(info));
  }
  return Topology(epoch, std::move(infos));
}

// ---- Encoding ----

std::string EncodeClusterState(const ClusterState& state) {
  std::string out;
  PutFixed(&out, kFormatVersion);
  out.append(state.id.view());
  PutFixed(&out, state.epoch.value());
  PutFixed(&out, state.next_shard_id);
  PutFixed(&out, state.next_node_id);
  PutVarint(&out, state.zones.size());
  for (const ZoneState& zone : state.zones) {
    PutBytes(&out, zone.name);
    PutFixed(&out, zone.id.value());
  }
  PutVarint(&out, state.shards.size());
  for (const ShardState& shard : state.shards) {
    PutFixed(&out, shard.id.value());
    PutFixed(&out, shard.epoch.value());
    PutVarint(&out, shard.slots.size());
    for (const SlotRange& range : shard.slots) {
      PutFixed(&out, range.first);
      PutFixed(&out, range.last);
    }
    PutVarint(&out, shard.nodes.size());
    for (const NodeState& node : shard.nodes) {
      PutFixed(&out, node.id.value());
      PutFixed(&out, static_cast<uint8_t>(node.role == Role::kPrimary ? 0 : 1));
      PutFixed(&out, static_cast<uint8_t>(node.in_sync ? 1 : 0));
      PutFixed(&out, node.incarnation);
      PutBytes(&out, node.zone);
    }
  }
  return out;
}

// ---- Decoding ----

namespace {

absl::Status Damaged(std::string_view what) {
  return absl::DataLossError(absl::StrCat("cluster state: ", ToAbsl(what)));
}

// Takes one value after the other; the first failure names what was being read and stays.
class StateReader {
 public:
  explicit StateReader(std::string_view bytes) : decoder_(bytes) {}

  const absl::Status& status() const { return status_; }

  template <typename T>
  T Fixed(const char* what) {
    T value = 0;
    if (status_.ok() && !decoder_.Fixed(&value)) Fail(what, "ends early");
    return value;
  }

  // Fixed, at most `max`.
  uint8_t Small(const char* what, uint8_t max) {
    const uint8_t value = Fixed<uint8_t>(what);
    if (status_.ok() && value > max) Fail(what, absl::StrCat("is ", value));
    return value;
  }

  size_t Count(const char* what, size_t max) {
    uint64_t value = 0;
    if (status_.ok() && !decoder_.Varint(&value)) Fail(what, "ends early");
    if (status_.ok() && value > max) Fail(what, absl::StrCat("is ", value, ", above ", max));
    return status_.ok() ? static_cast<size_t>(value) : 0;
  }

  std::string Name(const char* what) {
    std::string_view value;
    if (status_.ok() && !decoder_.Bytes(&value)) Fail(what, "ends early");
    if (status_.ok() && value.size() > kMaxZoneNameBytes) Fail(what, "is too long");
    return status_.ok() ? std::string(value) : std::string();
  }

  ClusterId Cluster() {
    std::string bytes;
    for (size_t i = 0; i < ClusterId::kBytes; ++i) bytes.push_back(Fixed<char>("cluster id"));
    return ClusterId::FromBytes(bytes);
  }

  void ExpectEnd() {
    if (status_.ok() && !decoder_.empty()) Fail("end", "is followed by more bytes");
  }

 private:
  void Fail(const char* what, std::string_view how) {
    status_ = Damaged(absl::StrCat(what, " ", ToAbsl(how)));
  }

  Decoder decoder_;
  absl::Status status_;
};

ShardState ReadShard(StateReader* reader) {
  ShardState shard;
  shard.id = ShardId(reader->Fixed<uint32_t>("shard id"));
  shard.epoch = ShardEpoch(reader->Fixed<uint64_t>("shard epoch"));
  const size_t ranges = reader->Count("range count", kSlotCount);
  for (size_t i = 0; i < ranges && reader->status().ok(); ++i) {
    SlotRange range;
    range.first = reader->Fixed<Slot>("first slot");
    range.last = reader->Fixed<Slot>("last slot");
    shard.slots.push_back(range);
  }
  const size_t nodes = reader->Count("node count", kMaxNodesPerShard);
  for (size_t i = 0; i < nodes && reader->status().ok(); ++i) {
    NodeState node;
    node.id = NodeId(reader->Fixed<uint32_t>("node id"));
    node.role = reader->Small("role", 1) == 0 ? Role::kPrimary : Role::kReplica;
    node.in_sync = reader->Small("in-sync flag", 1) == 1;
    node.incarnation = reader->Fixed<uint32_t>("incarnation");
    node.zone = reader->Name("node's zone");
    shard.nodes.push_back(std::move(node));
  }
  return shard;
}

ClusterState ReadState(StateReader* reader) {
  ClusterState state;
  state.id = reader->Cluster();
  state.epoch = Epoch(reader->Fixed<uint64_t>("epoch"));
  state.next_shard_id = reader->Fixed<uint32_t>("next shard id");
  state.next_node_id = reader->Fixed<uint32_t>("next node id");
  const size_t zones = reader->Count("zone count", kMaxZones);
  for (size_t i = 0; i < zones && reader->status().ok(); ++i) {
    ZoneState zone;
    zone.name = reader->Name("zone name");
    zone.id = ZoneId(reader->Fixed<uint64_t>("zone id"));
    state.zones.push_back(std::move(zone));
  }
  const size_t shards = reader->Count("shard count", kMaxShards);
  for (size_t i = 0; i < shards && reader->status().ok(); ++i) {
    state.shards.push_back(ReadShard(reader));
  }
  reader->ExpectEnd();
  return state;
}

}  // namespace

absl::StatusOr<ClusterState> DecodeClusterState(std::string_view bytes) {
  StateReader reader(bytes);
  const uint8_t version = reader.Fixed<uint8_t>("format version");
  if (!reader.status().ok()) return reader.status();
  if (version != kFormatVersion) {
    return absl::UnimplementedError(absl::StrCat("cluster state: format version ", version,
                                                 " is unknown; this release reads version ",
                                                 kFormatVersion));
  }
  ClusterState state = ReadState(&reader);
  if (!reader.status().ok()) return reader.status();
  if (absl::Status valid = Validate(state); !valid.ok()) return Damaged(ToStd(valid.message()));
  return state;
}

}  // namespace slotkv
