// The topology: which shard owns which slot, and where each shard's copies are.
//
// A Topology is an immutable value: copying is cheap (copies share the content), reading needs no
// lock, and a change is a new value with a higher epoch.
#ifndef SLOTKV_SHARD_TOPOLOGY_H_
#define SLOTKV_SHARD_TOPOLOGY_H_

#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "slotkv/ids.h"
#include "slotkv/slot.h"

namespace slotkv {

// What a copy is to its shard.
enum class Role { kPrimary, kReplica };

std::ostream& operator<<(std::ostream& out, Role role);

// One copy of one shard's data.
struct NodeInfo {
  NodeId id;
  ShardId shard;
  Role role = Role::kPrimary;
  std::string zone;
  // Holds every acknowledged write; only such nodes may be promoted.
  bool in_sync = true;
  // Open and serving in this process.
  bool up = true;

  friend bool operator==(const NodeInfo& a, const NodeInfo& b) {
    return a.id == b.id && a.shard == b.shard && a.role == b.role && a.zone == b.zone &&
           a.in_sync == b.in_sync && a.up == b.up;
  }
};

// A set of slots and the nodes that keep them.
struct ShardInfo {
  ShardId id;
  // Ascending, neither overlapping nor touching.
  std::vector<SlotRange> slots;
  // Never empty; exactly one is the primary.
  std::vector<NodeInfo> nodes;

  // The one node of `nodes` that is the primary; without one the process is aborted.
  const NodeInfo& primary() const;
  // Slots owned, 0..16384.
  int SlotCount() const;
};

// Thread-safe, as every immutable value is.
class Topology {
 public:
  // Epoch 0, no shards.
  Topology();
  // `shards` ascending by id, their slots disjoint.
  Topology(Epoch epoch, std::vector<ShardInfo> shards);

  // Higher after every change.
  Epoch epoch() const { return content_->epoch; }

  // Ascending by id.
  absl::Span<const ShardInfo> shards() const& { return content_->shards; }
  std::vector<ShardInfo> shards() && { return content_->shards; }

  // The shard that owns the slot, which is below kSlotCount. Slots have owners in every topology
  // that an open Cluster returns.
  ShardId OwnerOf(Slot slot) const { return content_->owners[slot]; }

  // Null if there is no such shard. Valid as long as this Topology or a copy of it.
  const ShardInfo* FindShard(ShardId id) const;

 private:
  struct Content {
    Epoch epoch;
    std::vector<ShardInfo> shards;
    std::vector<ShardId> owners;  // kSlotCount
  };
  std::shared_ptr<const Content> content_;
};

// "epoch 3: shard-1 [0-5460] node-1 primary zone-a; …", for people.
std::ostream& operator<<(std::ostream& out, const Topology& topology);

}  // namespace slotkv

#endif  // SLOTKV_SHARD_TOPOLOGY_H_
