// slots: which shard owns which slots.
#include <memory>

#include "absl/strings/str_cat.h"
#include "slotkv/cluster.h"
#include "tools/command_line.h"
#include "tools/slot_map_picture.h"
#include "tools/standard_output.h"
#include "tools/stats_json.h"

namespace slotkv::tools {
namespace {

struct SlotsFlags {
  ClusterFlags cluster;
  bool json = false;
};

int RunSlots(const SlotsFlags& flags) {
  auto cluster = OpenCluster(flags.cluster, IfMissing::kFail);
  if (!cluster.ok()) return Fail(cluster.status());
  const Topology topology = (*cluster)->GetTopology();
  return CloseAndExit(cluster->get(), Print(flags.json ? absl::StrCat(SlotMapJson(topology), "\n")
                                                       : SlotMapPicture(topology)));
}

}  // namespace

void AddSlotsCommand(CLI::App* app, Run* run) {
  auto flags = std::make_shared<SlotsFlags>();
  CLI::App* const command =
      app->add_subcommand("slots", "Shows which shard owns which slots, as a picture");
  AddDir(command, &flags->cluster);
  command->add_flag("--json", flags->json, "Prints JSON, for programs: all ranges");
  command->footer(
      "Each character stands for 8 slots: those of shard-1 are 1, of shard-10 a, of shard-36 A,\n"
      "and from shard-62 on it begins again with 1; + stands where the 8 are of several shards.\n"
      "Below are the shards: how many slots each has, its primary and that one's zone, and the\n"
      "first of its ranges.\n"
      "\n"
      "Examples:\n"
      "  slotkv slots /var/lib/app/sessions\n"
      "  slotkv slots /var/lib/app/sessions --json | jq '.shards[] | {id, slots}'\n");
  command->callback([flags, run] { *run = [flags] { return RunSlots(*flags); }; });
}

}  // namespace slotkv::tools
