// replicas and promote: the copies of shards, and which of them is the primary.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "slotkv/cluster.h"
#include "tools/command_line.h"
#include "tools/promote.h"
#include "tools/replicas_text.h"
#include "tools/standard_output.h"
#include "tools/stats_json.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

// ---- replicas ----

struct ReplicasFlags {
  ClusterFlags cluster;
  bool json = false;
};

int RunReplicas(const ReplicasFlags& flags) {
  auto cluster = OpenCluster(flags.cluster, IfMissing::kFail);
  if (!cluster.ok()) return Fail(cluster.status());
  const ClusterStats stats = (*cluster)->GetStats();
  return CloseAndExit(cluster->get(), Print(flags.json ? absl::StrCat(ReplicasJson(stats), "\n")
                                                       : ReplicasText(stats)));
}

void AddReplicas(CLI::App* app, Run* run) {
  auto flags = std::make_shared<ReplicasFlags>();
  CLI::App* const command = app->add_subcommand(
      "replicas", "Shows the copies of each shard, and whether they are in sync");
  AddDir(command, &flags->cluster);
  command->add_flag("--json", flags->json, "Prints JSON, for programs");
  command->footer(
      "A line for each shard: its nodes, each with its role, its zone, whether it is in sync, not\n"
      "in sync or down, and as lag the bytes that are in its log and not yet in its store. Only\n"
      "nodes in sync hold every acknowledged write and can be promoted.\n"
      "\n"
      "Examples:\n"
      "  slotkv replicas /var/lib/app/sessions\n"
      "  slotkv replicas /var/lib/app/sessions --json | jq '.shards[].nodes[] | "
      "select(.in_sync | not)'\n");
  command->callback([flags, run] { *run = [flags] { return RunReplicas(*flags); }; });
}

// ---- promote ----

struct PromoteFlags {
  ClusterFlags cluster;
  ShardId shard;
  PromoteOptions options;
};

std::string ReplicasOf(Cluster* cluster, ShardId id) {
  for (const ShardStats& shard : cluster->GetStats().shards) {
    if (shard.id == id) return ShardReplicasText(shard);
  }
  return "";
}

absl::Status Promote(Cluster* cluster, const PromoteFlags& flags) {
  const std::string before = ReplicasOf(cluster, flags.shard);
  absl::Status promoted = PromoteReplica(cluster, flags.shard, flags.options);
  if (!promoted.ok()) return promoted;
  return Print(absl::StrCat("before: ", before, "after:  ", ReplicasOf(cluster, flags.shard)));
}

int RunPromote(const PromoteFlags& flags) {
  auto cluster = OpenCluster(flags.cluster, IfMissing::kFail);
  if (!cluster.ok()) return Fail(cluster.status());
  return CloseAndExit(cluster->get(), Promote(cluster->get(), flags));
}

// A positional that is an id; `parse` is of those in promote.h.
template <typename Id, typename Parse>
CLI::Option* AddId(CLI::App* command, const std::string& name, const std::string& example,
                   const std::string& description, Id* id, Parse parse) {
  const auto check = [parse, example](std::string& text) {
    return parse(text).has_value() ? ""
                                   : absl::StrCat("expected ", example, ", not ", Quoted(text));
  };
  return command
      ->add_option_function<std::string>(
          name, [id, parse](const std::string& text) { *id = *parse(text); }, description)
      ->check(CLI::Validator(check, ""))
      ->type_name("");
}

void AddPromote(CLI::App* app, Run* run) {
  auto flags = std::make_shared<PromoteFlags>();
  CLI::App* const command =
      app->add_subcommand("promote", "Makes another copy of a shard its primary");
  AddDir(command, &flags->cluster);
  AddId(command, "SHARD", "shard-2 or 2", "The shard, as slotkv replicas names it", &flags->shard,
        ParseShardId)
      ->required();
  AddId(command, "NODE", "node-4 or 4", "The copy; without it, any replica in sync",
        &flags->options.node, ParseNodeId);
  command->add_flag("--force", flags->options.force,
                    "Promotes a copy that is not in sync when none in sync is left: the writes "
                    "that it has not are lost");
  command->footer(
      "Prints the copies of the shard before and after. With a copy that is in sync nothing is\n"
      "lost, and the primary of before goes on as a replica. When no such copy can be used, the\n"
      "command says up to where another one has the shard's records, and how many acknowledged\n"
      "writes would be lost with it, as far as that can be known; --force goes on with it all the\n"
      "same (without NODE: the one that has most). A lost copy that comes back later is built "
      "anew\n"
      "from it.\n"
      "\n"
      "Examples:\n"
      "  slotkv promote /var/lib/app/sessions shard-2\n"
      "  slotkv promote /var/lib/app/sessions shard-2 node-4\n"
      "  slotkv promote /var/lib/app/sessions shard-2 node-4 --force\n");
  command->callback([flags, run] { *run = [flags] { return RunPromote(*flags); }; });
}

}  // namespace

void AddReplicaCommands(CLI::App* app, Run* run) {
  AddReplicas(app, run);
  AddPromote(app, run);
}

}  // namespace slotkv::tools
