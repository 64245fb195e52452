#include "tools/promote.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

template <typename Id, typename Tag>
std::optional<Id> ParseId(std::string_view text) {
  absl::string_view digits = ToAbsl(text);
  absl::ConsumePrefix(&digits, Tag::kPrefix);
  const bool plain = std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit);
  typename Id::Value number = 0;
  if (!plain || !absl::SimpleAtoi(digits, &number)) return std::nullopt;
  return Id(number);
}

// "shard-1, shard-2"
template <typename Info>
std::string Ids(absl::Span<const Info> all) {
  return absl::StrJoin(all, ", ", [](std::string* out, const Info& info) {
    absl::StrAppend(out, info.id.ToString());
  });
}

}  // namespace

std::optional<ShardId> ParseShardId(std::string_view text) {
  return ParseId<ShardId, ShardIdTag>(text);
}

std::optional<NodeId> ParseNodeId(std::string_view text) {
  return ParseId<NodeId, NodeIdTag>(text);
}

absl::Status PromoteReplica(Cluster* cluster, ShardId shard, const PromoteOptions& options) {
  const std::optional<NodeId> node = options.node;
  const Topology topology = cluster->GetTopology();
  const ShardInfo* const info = topology.FindShard(shard);
  if (info == nullptr) {
    return absl::NotFoundError(absl::StrCat("no such shard: ", shard.ToString(),
                                            "; the cluster has ", Ids(topology.shards())));
  }
  const bool has_node =
      !node.has_value() || std::any_of(info->nodes.begin(), info->nodes.end(),
                                       [&node](const NodeInfo& each) { return each.id == *node; });
  if (!has_node) {
    return absl::NotFoundError(absl::StrCat("no such node: ", node->ToString(), "; ",
                                            shard.ToString(), " has ",
                                            Ids(absl::MakeConstSpan(info->nodes))));
  }
  const absl::Status promoted = cluster->Promote(shard, options);
  return absl::Status(promoted.code(), absl::StrReplaceAll(promoted.message(),
                                                           {{"PromoteOptions.force", "--force"}}));
}

}  // namespace slotkv::tools
