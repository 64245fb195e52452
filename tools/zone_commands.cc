// replace-zone: another disk for a zone.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "slotkv/cluster.h"
#include "tools/command_line.h"
#include "tools/replicas_text.h"
#include "tools/standard_output.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

constexpr absl::Duration kLook = absl::Milliseconds(20);
constexpr absl::Duration kSayEvery = absl::Seconds(1);
// Copies that fail to be built are tried again at most ten seconds later: several times in this.
constexpr absl::Duration kFailingMax = absl::Seconds(60);

struct ReplaceZoneFlags {
  ClusterFlags cluster;
  std::string zone;
  std::string path;
};

// What is not in sync in the zone, a line each; empty: nothing.
std::string AbsentIn(const ClusterStats& stats, const std::string& zone) {
  std::string text;
  for (const ShardStats& shard : stats.shards) {
    for (const NodeStats& node : shard.nodes) {
      if (node.info.zone != zone || HasNumbers(node)) continue;
      absl::StrAppend(&text, shard.id.ToString(), ": ", ReplicaText(node), "\n");
    }
  }
  return text;
}

bool AnyFails(const ClusterStats& stats, const std::string& zone) {
  for (const ShardStats& shard : stats.shards) {
    for (const NodeStats& node : shard.nodes) {
      if (node.info.zone == zone && !node.info.in_sync && !node.failure.ok()) return true;
    }
  }
  return false;
}

// Until all copies in the zone are in sync: who ends the process before leaves them half built.
absl::Status AwaitCopies(Cluster* cluster, const std::string& zone, StandardOutput* out) {
  absl::Time say = absl::Now() + kSayEvery;
  absl::Time sound = absl::Now();
  while (true) {
    const ClusterStats stats = cluster->GetStats();
    const std::string absent = AbsentIn(stats, zone);
    if (absent.empty()) return absl::OkStatus();
    const absl::Time now = absl::Now();
    if (!AnyFails(stats, zone)) sound = now;
    if (now - sound >= kFailingMax) {
      return absl::UnavailableError(
          absl::StrCat("the zone is replaced, but its copies cannot be built; they will be tried "
                       "again whenever the cluster is open:\n",
                       absent));
    }
    if (now >= say) {
      out->Write(absent);
      if (!out->status().ok()) return out->status();
      say = now + kSayEvery;
    }
    absl::SleepFor(kLook);
  }
}

absl::Status ReplaceZone(Cluster* cluster, const ReplaceZoneFlags& flags) {
  const absl::Time start = absl::Now();
  absl::Status status = cluster->ReplaceZone(flags.zone, flags.path);
  if (!status.ok()) return status;
  StandardOutput out;
  out.Write(absl::StrCat("zone ", flags.zone, " is at ", Escaped(flags.path),
                         "; its copies are built anew\n"));
  status = AwaitCopies(cluster, flags.zone, &out);
  if (!status.ok()) return status;
  const absl::Duration took = absl::Trunc(absl::Now() - start, absl::Milliseconds(1));
  out.Write(absl::StrCat("all of them are in sync, after ", absl::FormatDuration(took), "\n"));
  return out.status();
}

int RunReplaceZone(const ReplaceZoneFlags& flags) {
  auto cluster = OpenCluster(flags.cluster, IfMissing::kFail);
  if (!cluster.ok()) return Fail(cluster.status());
  return CloseAndExit(cluster->get(), ReplaceZone(cluster->get(), flags));
}

}  // namespace

void AddZoneCommands(CLI::App* app, Run* run) {
  auto flags = std::make_shared<ReplaceZoneFlags>();
  CLI::App* const command =
      app->add_subcommand("replace-zone", "Gives a zone another disk, and builds its copies there");
  AddText(command, "DIR,--dir", &flags->cluster.dir, "The cluster's directory");
  AddText(command, "ZONE", &flags->zone, "The zone, as slotkv replicas names it")->required();
  AddText(command, "PATH", &flags->path,
          "The new, empty directory; relative paths are below the cluster's directory")
      ->required();
  command->footer(
      "For a disk that is lost, or is to be taken away: the zone is at PATH from then on. Its\n"
      "copies are built from those in other zones, which the command waits for. The old directory\n"
      "is used no more and may be deleted. Refused if the zone has the only copy of a shard that\n"
      "is in sync. Programs that name the zone in Options::zones must name the new path.\n"
      "\n"
      "Example:\n"
      "  slotkv replace-zone /var/lib/app/sessions zone-b /mnt/disk7/zone-b\n");
  command->callback([flags, run] { *run = [flags] { return RunReplaceZone(*flags); }; });
}

}  // namespace slotkv::tools
