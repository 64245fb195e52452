// The copies of shards, for people.
#ifndef SLOTKV_TOOLS_REPLICAS_TEXT_H_
#define SLOTKV_TOOLS_REPLICAS_TEXT_H_

#include <string>

#include "slotkv/cluster.h"

namespace slotkv::tools {

// "primary" or "replica".
const char* RoleName(Role role);

// Whether the statistics have numbers of the node, which they do of copies in use.
bool HasNumbers(const NodeStats& node);

// "node-4 replica zone-b in sync, lag 0 bytes"; "not in sync", "down" or how much of it is built
// instead, and what has failed.
std::string ReplicaText(const NodeStats& node);

// A line: the shard, and each of its nodes as ReplicaText has it.
std::string ShardReplicasText(const ShardStats& shard);

// A line for each shard that takes no writes: why.
std::string RefusalsText(const ClusterStats& stats);

// A line for each zone that is down, or has no current copy of the topology: why.
std::string ZonesDownText(const ClusterStats& stats);

// A line for each shard of which damaged copies were repaired: how many.
std::string RepairsText(const ClusterStats& stats);

// How many copies there are and are in sync, and a line for each shard, in columns;
// then RefusalsText, RepairsText and ZonesDownText.
std::string ReplicasText(const ClusterStats& stats);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_REPLICAS_TEXT_H_
