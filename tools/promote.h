// A copy that is made the primary of its shard, by the names that people give.
#ifndef SLOTKV_TOOLS_PROMOTE_H_
#define SLOTKV_TOOLS_PROMOTE_H_

#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "slotkv/cluster.h"

namespace slotkv::tools {

// "shard-3" or "3"; nullopt if the text is neither. The same for nodes.
std::optional<ShardId> ParseShardId(std::string_view text);
std::optional<NodeId> ParseNodeId(std::string_view text);

// NotFound, with what there is, if there is no such shard or the node is not one of it; otherwise
// as Cluster::Promote, in the words of the command line.
absl::Status PromoteReplica(Cluster* cluster, ShardId shard, const PromoteOptions& options);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_PROMOTE_H_
