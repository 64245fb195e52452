// A cluster's statistics for people.
#ifndef SLOTKV_TOOLS_STATS_TEXT_H_
#define SLOTKV_TOOLS_STATS_TEXT_H_

#include <optional>
#include <string>
#include <vector>

#include "slotkv/cluster.h"
#include "tools/stats_picture.h"

namespace slotkv::tools {

// What is drawn of each slot.
enum class Drawn { kKeys, kBytes };

struct StatsTextOptions {
  Drawn drawn = Drawn::kKeys;
  // A map of all slots; otherwise bars of ranges and a histogram, in ASCII.
  std::optional<MapStyle> map;
};

// Keys and bytes of slots that could not be read count as none; UnreadableSlots has how many there
// are. `cluster` is asked for keys of the heaviest slots.
std::string StatsText(const ClusterStats& stats, Cluster* cluster, const StatsTextOptions& options);

// Slots of which the statistics have no keys or no bytes.
int UnreadableSlots(const ClusterStats& stats);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_STATS_TEXT_H_
