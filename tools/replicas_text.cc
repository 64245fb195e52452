#include "tools/replicas_text.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/command_line.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

constexpr char kShardColumn[] = "%-11s";

// The width of each column of nodes.
std::vector<size_t> WidthsOf(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const std::vector<std::string>& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  return widths;
}

}  // namespace

const char* RoleName(Role role) { return role == Role::kPrimary ? "primary" : "replica"; }

bool HasNumbers(const NodeStats& node) { return node.info.up && node.info.in_sync; }

std::string ReplicaText(const NodeStats& node) {
  std::string text = absl::StrCat(node.info.id.ToString(), " ", RoleName(node.info.role), " ",
                                  node.info.zone, " ");
  if (node.bytes_to_copy != 0) {
    absl::StrAppend(&text, "being built anew, ", ByteSize(node.copied_bytes), " of ",
                    ByteSize(node.bytes_to_copy));
  } else if (!node.info.up) {
    absl::StrAppend(&text, "down");
  } else if (!node.info.in_sync) {
    absl::StrAppend(&text, "not in sync");
  } else {
    absl::StrAppend(&text, "in sync, lag ", ByteSize(node.lag_bytes));
  }
  if (!node.failure.ok()) {
    absl::StrAppend(&text, node.info.in_sync ? ", failing: " : ": ",
                    Escaped(MessageOf(node.failure)));
  }
  return text;
}

std::string ShardReplicasText(const ShardStats& shard) {
  std::string text = absl::StrFormat(kShardColumn, shard.id.ToString());
  for (const NodeStats& node : shard.nodes) absl::StrAppend(&text, "  ", ReplicaText(node));
  return absl::StrCat(text, "\n");
}

std::string RefusalsText(const ClusterStats& stats) {
  std::string text;
  for (const ShardStats& shard : stats.shards) {
    if (shard.write_status.ok()) continue;
    absl::StrAppend(&text, shard.id.ToString(), " takes no writes: ", MessageOf(shard.write_status),
                    "\n");
  }
  return text;
}

std::string ZonesDownText(const ClusterStats& stats) {
  std::string text;
  for (const ZoneStats& zone : stats.zones) {
    if (!zone.status.ok()) {
      absl::StrAppend(&text, "zone ", zone.name, " is down: ", Escaped(MessageOf(zone.status)),
                      "\n");
    } else if (!zone.topology.ok()) {
      absl::StrAppend(&text, "zone ", zone.name, ": its copy of the topology is not current: ",
                      Escaped(MessageOf(zone.topology)), "\n");
    }
  }
  return text;
}

std::string RepairsText(const ClusterStats& stats) {
  std::string text;
  for (const ShardStats& shard : stats.shards) {
    if (shard.repairs == 0) continue;
    absl::StrAppend(&text, shard.id.ToString(),
                    " has repaired damage: ", Count(shard.repairs, "time"),
                    " a copy was built anew\n");
  }
  return text;
}

std::string ReplicasText(const ClusterStats& stats) {
  uint64_t nodes = 0, in_sync = 0;
  std::vector<std::vector<std::string>> rows;
  for (const ShardStats& shard : stats.shards) {
    std::vector<std::string>& row = rows.emplace_back();
    for (const NodeStats& node : shard.nodes) {
      row.push_back(ReplicaText(node));
      ++nodes;
      in_sync += HasNumbers(node) ? 1 : 0;
    }
  }
  const std::vector<size_t> widths = WidthsOf(rows);
  std::string text =
      absl::StrCat("epoch ", stats.epoch.value(), ", ", Count(stats.shards.size(), "shard"), ", ",
                   Count(nodes, "node"), ", ", WithCommas(in_sync), " in sync\n\n");
  for (size_t i = 0; i < rows.size(); ++i) {
    std::string line = absl::StrFormat(kShardColumn, stats.shards[i].id.ToString());
    for (size_t j = 0; j < rows[i].size(); ++j) {
      absl::StrAppendFormat(&line, "  %-*s", static_cast<int>(widths[j]), rows[i][j]);
    }
    absl::StrAppend(&text, absl::StripTrailingAsciiWhitespace(line), "\n");
  }
  return absl::StrCat(text, RefusalsText(stats), RepairsText(stats), ZonesDownText(stats));
}

}  // namespace slotkv::tools
