// A cluster's statistics, and its topology, for programs.
#ifndef SLOTKV_TOOLS_STATS_JSON_H_
#define SLOTKV_TOOLS_STATS_JSON_H_

#include <string>

#include "slotkv/cluster.h"

namespace slotkv::tools {

// One line of JSON. What is not known is null; latencies are in microseconds; what there is of each
// slot is in arrays, one element a slot.
std::string StatsJson(const ClusterStats& stats, const Topology& topology);

// The epoch and the copies of each shard alone, as StatsJson has them.
std::string ReplicasJson(const ClusterStats& stats);

// One line of JSON: the epoch, and of each shard its slots, their ranges, and its primary.
std::string SlotMapJson(const Topology& topology);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_STATS_JSON_H_
