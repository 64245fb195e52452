#include "slotkv/topology.h"

#include <algorithm>
#include <ostream>
#include <utility>

#include "engine/check.h"

namespace slotkv {

std::ostream& operator<<(std::ostream& out, Role role) {
  return out << (role == Role::kPrimary ? "primary" : "replica");
}

const NodeInfo& ShardInfo::primary() const {
  const auto found = std::find_if(nodes.begin(), nodes.end(),
                                  [](const NodeInfo& node) { return node.role == Role::kPrimary; });
  SLOTKV_CHECK(found != nodes.end());
  return *found;
}

int ShardInfo::SlotCount() const {
  int count = 0;
  for (const SlotRange& range : slots) count += range.last - range.first + 1;
  return count;
}

Topology::Topology() {
  // A default value is made wherever one is declared: all share one content.
  static const std::shared_ptr<const Content>* const kEmpty = new std::shared_ptr<const Content>(
      std::make_shared<Content>(Content{Epoch(), {}, std::vector<ShardId>(kSlotCount, ShardId())}));
  content_ = *kEmpty;
}

Topology::Topology(Epoch epoch, std::vector<ShardInfo> shards) {
  std::vector<ShardId> owners(kSlotCount);
  for (const ShardInfo& shard : shards) {
    for (const SlotRange& range : shard.slots) {
      SLOTKV_CHECK(range.first <= range.last && range.last < kSlotCount);
      std::fill(owners.begin() + range.first, owners.begin() + range.last + 1, shard.id);
    }
  }
  content_ = std::make_shared<const Content>(Content{epoch, std::move(shards), std::move(owners)});
}

const ShardInfo* Topology::FindShard(ShardId id) const {
  const std::vector<ShardInfo>& shards = content_->shards;
  const auto found =
      std::lower_bound(shards.begin(), shards.end(), id,
                       [](const ShardInfo& shard, ShardId wanted) { return shard.id < wanted; });
  return found != shards.end() && found->id == id ? &*found : nullptr;
}

namespace {

void PrintShard(std::ostream& out, const ShardInfo& shard) {
  out << shard.id << " [";
  const char* separator = "";
  for (const SlotRange& range : shard.slots) {
    out << separator << range.first;
    if (range.last != range.first) out << '-' << range.last;
    separator = " ";
  }
  out << ']';
  separator = " ";
  for (const NodeInfo& node : shard.nodes) {
    out << separator << node.id << ' ' << node.role << ' ' << node.zone;
    if (!node.in_sync) out << " out-of-sync";
    if (!node.up) out << " down";
    separator = ", ";
  }
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Topology& topology) {
  out << "epoch " << topology.epoch();
  const char* separator = ": ";
  for (const ShardInfo& shard : topology.shards()) {
    out << separator;
    PrintShard(out, shard);
    separator = "; ";
  }
  return out;
}

}  // namespace slotkv
